//! Pods outlive the server: killed, it takes every pod back, and nothing is lost.

use std::fs;

use crate::testing::{Node, has_condition, job};

#[test]
fn a_killed_server_takes_running_pods_back() {
    let mut node = Node::start(&[]);
    let go = node.path("go");
    // The pod prints, waits until the test lets it go on, prints again and fails with a code of its own.
    let script = format!(
        "echo before; while [ ! -e {0} ]; do read -t 1 x </dev/zero; done; echo after; exit 42",
        go.display()
    );
    let script = script.replace("read -t 1 x </dev/zero", "sleep 0.05");
    let manifest = node.file("job.yaml", &job("survivor", &script));
    node.cronlet_ok(&["apply", "-f", &manifest]);
    node.wait_for_pod("", "Running");
    let shims = node.shims();
    assert_eq!(shims.len(), 1);

    node.kill();
    assert_eq!(node.shims(), shims, "the pod runs on without its server");
    node.restart();
    assert_eq!(node.shims(), shims, "the pod was not started anew");
    let pod = node.wait_for_pod("", "Running");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);

    node.kill();
    fs::write(&go, "").unwrap();
    node.restart();
    node.wait_for_job("survivor", "Failed");
    let pod = node.wait_for_pod("", "Failed");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 42);
    assert_eq!(node.cronlet_ok(&["logs", "job/survivor"]), "before\nafter\n");
}

#[test]
fn a_pod_that_ends_while_the_server_is_down_is_counted_once() {
    let mut node = Node::start(&[]);
    let manifest = node.file("job.yaml", &job("short", "sleep 0.2; echo done"));
    node.cronlet_ok(&["apply", "-f", &manifest]);
    node.wait_for_pod("", "Running");
    node.kill();
    for pid in node.shims() {
        wait_for_exit(pid);
    }
    node.restart();
    let states = node.wait_for_job("short", "Complete");
    assert_eq!(states.last().unwrap()["status"]["succeeded"], 1);
    assert!(states.iter().all(|job| job["status"]["failed"].as_i64().unwrap_or_default() == 0));
}

/// Waits until a process that is not our child has ended: its pidfd becomes readable.
fn wait_for_exit(pid: u32) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(pid) = Pid::from_raw(i32::try_from(pid).unwrap()) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
}

#[test]
fn ended_gracefully_the_server_leaves_pods_or_takes_them_along() {
    let mut node = Node::start(&[]);
    let manifest = node.file("job.yaml", &job("long", "sleep 600"));
    node.cronlet_ok(&["apply", "-f", &manifest]);
    node.wait_for_pod("", "Running");
    assert!(node.terminate().success());
    assert_eq!(node.shims().len(), 1, "SIGTERM leaves pods running");

    let mut taking = Node::start(&["--stop-pods"]);
    let manifest = taking.file("job.yaml", &job("long", "sleep 600"));
    taking.cronlet_ok(&["apply", "-f", &manifest]);
    taking.wait_for_pod("", "Running");
    assert!(taking.terminate().success());
    assert_eq!(taking.shims(), Vec::<u32>::new(), "--stop-pods ends them first");
}

#[test]
fn a_missed_minute_is_caught_up_by_one_job() {
    let mut node = Node::start(&["--runtime", "none"]);
    let manifest = "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: tick\nspec:\n  schedule: '@every 1s'\n  jobTemplate:\n    \
                    spec:\n      template:\n        spec:\n          restartPolicy: Never\n          containers:\n          \
                    - {name: c, image: i, command: ['true']}\n";
    let manifest = node.file("tick.yaml", manifest);
    node.cronlet_ok(&["apply", "-f", &manifest]);
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let first = node.watch(jobs, |job| job["kind"] == "Job").pop().unwrap();
    node.restart();
    // The Job of that minute exists already: its name is the lock, whatever crashed.
    let names: Vec<String> = node.get(jobs)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| j["metadata"]["name"].to_string())
        .collect();
    assert!(names.contains(&first["metadata"]["name"].to_string()));
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    assert!(!has_condition(&first, "Failed"));
}
