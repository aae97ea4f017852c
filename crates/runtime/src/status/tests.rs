use serde_json::{Value, json};

use super::*;
use crate::{
    journal::{Event, Exit, Hook, Record, Said, StopCause, Usage},
    lifecycle::grace_end,
    spec::{Call, Handler, Probe, ProbeKind, RestartPolicy, TerminationMessage},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A pod and what happens to it.
struct Story {
    pod: api::Pod,
    spec: spec::Pod,
    state: State,
    blocked: Vec<Blocked>,
}

impl Story {
    /// A pod whose containers have the roles that their names begin with: `init`, `side` or anything else.
    fn new(policy: RestartPolicy, names: &[&str]) -> Self {
        let role = |name: &str| match &name[..name.len().min(4)] {
            "init" => Role::Init,
            "side" => Role::Sidecar,
            _ => Role::Regular,
        };
        let of = |regular: bool| -> Vec<Value> {
            let chosen = names.iter().filter(|name| (role(name) == Role::Regular) == regular);
            let container = |name: &&str| match role(name) {
                Role::Sidecar => json!({ "name": name, "image": "i", "restartPolicy": "Always" }),
                _ => json!({ "name": name, "image": "i" }),
            };
            chosen.map(container).collect()
        };
        let pod = json!({
            "metadata": { "name": "p", "namespace": "ns", "uid": "u", "generation": 3 },
            "spec": { "containers": of(true), "initContainers": of(false) },
            "status": {
                "phase": "Pending", "qosClass": "BestEffort",
                "conditions": [{ "type": "DisruptionTarget", "status": "True" }],
            },
        });
        let container = |name: &&str| spec::Container {
            name: (*name).to_owned(),
            role: role(name),
            image: String::new(),
            restart: None,
            argv: vec!["x".into()],
            env: Vec::new(),
            attempt: None,
            cwd: "/".into(),
            identity: None,
            no_new_privileges: false,
            mounts: Vec::new(),
            termination_message: TerminationMessage {
                path: "/x".into(),
                required: false,
                fallback_to_logs: false,
            },
            stop_signal: None,
            streams: spec::Streams::default(),
            root: None,
            post_start: None,
            pre_stop: None,
            probes: Vec::new(),
        };
        let spec = spec::Pod {
            version: 1,
            handler: Handler::Process,
            namespace: "ns".into(),
            name: "p".into(),
            uid: "u".into(),
            restart_policy: policy,
            grace_seconds: 30,
            deadline: None,
            log_dir: "/log".into(),
            log_links_dir: "/links".into(),
            storage: Vec::new(),
            memory_volumes: Vec::new(),
            sandbox: spec::Sandbox::default(),
            oci_runtime: None,
            containers: names.iter().map(container).collect(),
        };
        let state = State::new(&spec);
        Story { pod: serde_json::from_value(pod).unwrap(), spec, state, blocked: Vec::new() }
    }

    fn happens(&mut self, second: i64, event: Event) -> &mut Self {
        let time = at(second) + SignedDuration::from_millis(500);
        self.state.apply(&Record { seq: 1, time, event });
        self
    }

    fn starts(&mut self, second: i64, container: &str) -> &mut Self {
        let attempt = self.state.container(container).unwrap().next_attempt();
        self.happens(second, Event::Started { container: container.into(), attempt, pid: 1, ticks: 1 })
    }

    fn exits(&mut self, second: i64, container: &str, code: i32) -> &mut Self {
        self.ends(second, container, code, ExitKind::Ended, "")
    }

    fn ends(&mut self, second: i64, container: &str, code: i32, kind: ExitKind, message: &str) -> &mut Self {
        let record = self.state.container(container).unwrap();
        let attempt = if record.is_running() { record.next_attempt() - 1 } else { record.next_attempt() };
        let exit = Exit { code, signal: None, kind, message: message.into(), usage: Usage::default() };
        self.happens(second, Event::Exited { container: container.into(), attempt, exit })
    }

    fn finishes(&mut self, second: i64) -> &mut Self {
        self.happens(second, Event::Finished)
    }

    fn status(&self) -> PodStatus {
        self.status_of(Some((&self.spec, &self.state)), 100)
    }

    /// The status at a time; what is stored of it is the same.
    fn status_of(&self, run: Option<(&spec::Pod, &State)>, now: i64) -> PodStatus {
        let nanos = SignedDuration::from_nanos(123_456_789);
        let status = pod_status(Observed {
            pod: &self.pod,
            run,
            blocked: &self.blocked,
            node_ip: "10.0.0.1",
            start_time: at(1) + nanos,
            now: at(now) + nanos,
        });
        let stored = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<PodStatus>(&stored).unwrap(), status);
        status
    }

    fn phase(&self) -> String {
        self.status().phase.unwrap()
    }
}

fn all(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

/// A container's state in short: what it is, and its reason or exit code.
fn state_of(status: &PodStatus, name: &str) -> String {
    let container = all(status).find(|container| container.name == name).unwrap();
    let short = |state: &Option<ContainerState>| match state.clone().unwrap_or_default() {
        ContainerState { running: Some(_), .. } => "running".to_owned(),
        ContainerState { waiting: Some(waiting), .. } => format!("waiting {}", waiting.reason.unwrap()),
        ContainerState { terminated: Some(ended), .. } => {
            format!("ended {} {}", ended.exit_code, ended.reason.unwrap())
        }
        _ => "-".to_owned(),
    };
    format!("{}, last {}", short(&container.state), short(&container.last_state))
}

/// A condition in short.
fn condition(status: &PodStatus, kind: &str) -> String {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == kind).unwrap();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{} {} {}", condition.status, text(&condition.reason), text(&condition.message))
        .trim_end()
        .to_owned()
}

use RestartPolicy::{Always, Never, OnFailure};

#[test]
fn a_simple_life() {
    let mut story = Story::new(Never, &["c"]);
    let status = story.status();
    assert_eq!(
        (status.phase.as_deref(), state_of(&status, "c").as_str()),
        (Some("Pending"), "waiting ContainerCreating, last -")
    );
    assert_eq!(condition(&status, "PodReadyToStartContainers"), "False");
    assert_eq!(condition(&status, "Initialized"), "True");
    assert_eq!(condition(&status, "Ready"), "False ContainersNotReady containers with unready status: [c]");
    story.starts(5, "c");
    let status = story.status();
    assert_eq!(
        (status.phase.as_deref(), state_of(&status, "c").as_str()),
        (Some("Running"), "running, last -")
    );
    assert_eq!(condition(&status, "PodReadyToStartContainers"), "True");
    assert_eq!(
        (condition(&status, "Ready"), condition(&status, "ContainersReady")),
        ("True".into(), "True".into())
    );
    story.ends(6, "c", 0, ExitKind::Ended, "bye").finishes(6);
    let status = story.status();
    assert_eq!(
        (status.phase.as_deref(), state_of(&status, "c").as_str()),
        (Some("Succeeded"), "ended 0 Completed, last -")
    );
    let ended = all(&status).next().unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.started_at, ended.finished_at), (Some(Time(at(5))), Some(Time(at(6)))));
    assert_eq!(ended.message.as_deref(), Some("bye"));
    assert_eq!(ended.container_id, all(&status).next().unwrap().container_id);
    assert_eq!(condition(&status, "Initialized"), "True PodCompleted");
}

#[test]
fn what_the_node_does_not_know_stays() {
    let mut story = Story::new(Never, &["c"]);
    story.starts(5, "c");
    let status = story.status();
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    assert_eq!(condition(&status, "DisruptionTarget"), "True");
    assert_eq!((status.observed_generation, status.start_time.as_ref()), (Some(3), Some(&Time(at(1)))));
    assert_eq!((status.host_ip.as_deref(), status.pod_ip.as_deref()), (Some("10.0.0.1"), Some("10.0.0.1")));
    // A status that is computed again is the same: conditions move only when they change.
    story.pod.status = Some(status.clone());
    assert_eq!(story.status_of(Some((&story.spec, &story.state)), 500), status);
    story.exits(6, "c", 1).finishes(6);
    let later = story.status_of(Some((&story.spec, &story.state)), 500);
    let moved = |kind: &str| {
        let condition = later.conditions.iter().flatten().find(|condition| condition.type_ == kind).unwrap();
        condition.last_transition_time.clone().map_or(0, |time| time.0.as_second())
    };
    assert_eq!((moved("Ready"), moved("Initialized"), moved("PodScheduled")), (500, 100, 100));
}

#[test]
fn the_address_of_a_pod_stays_whatever_becomes_of_the_nodes() {
    let mut story = Story::new(Never, &["c"]);
    story.pod.status.as_mut().unwrap().pod_ip = Some("10.9.9.9".into());
    let status = story.starts(5, "c").status();
    assert_eq!((status.host_ip.as_deref(), status.pod_ip.as_deref()), (Some("10.0.0.1"), Some("10.9.9.9")));
}

#[test]
fn phases_follow_the_containers() {
    let mut story = Story::new(Never, &["a", "b"]);
    assert_eq!(story.phase(), "Pending");
    assert_eq!(story.starts(1, "a").phase(), "Pending");
    assert_eq!(story.starts(1, "b").phase(), "Running");
    assert_eq!(story.exits(2, "a", 1).phase(), "Running");
    // All have ended, but not all of the pod.
    assert_eq!(story.exits(3, "b", 0).phase(), "Running");
    assert_eq!(story.finishes(3).phase(), "Failed");
    let mut story = Story::new(Always, &["a"]);
    assert_eq!(story.starts(1, "a").exits(2, "a", 0).phase(), "Running");
}

#[test]
fn a_pod_that_is_asked_to_end_has_succeeded_if_its_containers_did() {
    let mut story = Story::new(Always, &["c"]);
    story
        .starts(1, "c")
        .happens(2, Event::Stopping { cause: StopCause::Request, until: at(32), at_once: false });
    story.exits(3, "c", 0);
    assert_eq!(story.phase(), "Running");
    assert_eq!(story.finishes(3).phase(), "Succeeded");
}

#[test]
fn what_others_say_of_a_phase_stays_as_long_as_it_does() {
    let mut story = Story::new(Never, &["c"]);
    let stored = story.pod.status.as_mut().unwrap();
    stored.reason = Some("Held".into());
    stored.message = Some("by someone".into());
    let status = story.status();
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref(), status.message.as_deref()),
        (Some("Pending"), Some("Held"), Some("by someone"))
    );
    let status = story.starts(1, "c").status();
    assert_eq!((status.phase.as_deref(), status.reason, status.message), (Some("Running"), None, None));
}

#[test]
fn init_containers_keep_a_pod_pending() {
    let mut story = Story::new(OnFailure, &["init-1", "init-2", "c"]);
    let status = story.starts(1, "init-1").status();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(state_of(&status, "init-1"), "running, last -");
    assert_eq!(state_of(&status, "c"), "waiting PodInitializing, last -");
    let message = "False ContainersNotInitialized containers with incomplete status: [init-1 init-2]";
    assert_eq!(condition(&status, "Initialized"), message);
    // Failed, restarted at once, failed again: now it waits.
    let status = story.exits(2, "init-1", 1).starts(2, "init-1").exits(3, "init-1", 1).status();
    assert_eq!(state_of(&status, "init-1"), "waiting CrashLoopBackOff, last ended 1 Error");
    story.starts(13, "init-1").exits(14, "init-1", 0).starts(14, "init-2");
    let status = story.status();
    assert_eq!(state_of(&status, "init-1"), "ended 0 Completed, last ended 1 Error");
    let message = "False ContainersNotInitialized containers with incomplete status: [init-2]";
    assert_eq!(condition(&status, "Initialized"), message);
    story.exits(15, "init-2", 0);
    assert_eq!(story.phase(), "Pending");
    let status = story.starts(15, "c").status();
    assert_eq!(
        (status.phase.as_deref(), condition(&status, "Initialized").as_str()),
        (Some("Running"), "True")
    );
}

#[test]
fn a_pod_waits_for_its_readiness_gates() {
    let mut story = Story::new(Never, &["c"]);
    let gates = json!([{ "conditionType": "a.example/open" }, { "conditionType": "b.example/open" }]);
    story.pod.spec.as_mut().unwrap().readiness_gates = serde_json::from_value(gates).unwrap();
    let said = |story: &mut Story, statuses: [&str; 2]| {
        let kinds = ["a.example/open", "b.example/open"].into_iter().zip(statuses);
        let told = kinds.filter(|(_, status)| !status.is_empty());
        let told: Vec<Value> = told.map(|(kind, status)| json!({ "type": kind, "status": status })).collect();
        story.pod.status.as_mut().unwrap().conditions = serde_json::from_value(json!(told)).unwrap();
        let status = story.status();
        (condition(&status, "Ready"), condition(&status, "ContainersReady"))
    };
    let unready = "False ContainersNotReady containers with unready status: [c]".to_owned();
    assert_eq!(said(&mut story, ["True", "True"]), (unready.clone(), unready));
    story.starts(1, "c");
    let missing = "corresponding condition of pod readiness gate \"a.example/open\" does not exist.";
    let closed = "the status of pod readiness gate \"b.example/open\" is not \"True\", but False";
    let message = format!("False ReadinessGatesNotReady {missing}, {closed}");
    assert_eq!(said(&mut story, ["", "False"]), (message, "True".into()));
    assert_eq!(said(&mut story, ["True", "True"]), ("True".into(), "True".into()));
    story.exits(2, "c", 0).finishes(2);
    assert_eq!(said(&mut story, ["", "False"]).0, "False PodCompleted");
}

#[test]
fn a_pod_whose_init_container_failed_has_failed() {
    let mut story = Story::new(Never, &["init", "c"]);
    story.starts(1, "init").exits(2, "init", 3).finishes(2);
    let status = story.status();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(state_of(&status, "c"), "waiting PodInitializing, last -");
    assert_eq!(condition(&status, "Ready"), "False PodFailed");
}

#[test]
fn sidecars_count_while_they_run() {
    let mut story = Story::new(Never, &["side", "c"]);
    assert_eq!(story.phase(), "Pending");
    let status = story.starts(1, "side").status();
    assert_eq!(
        (status.phase.as_deref(), condition(&status, "Initialized").as_str()),
        (Some("Pending"), "True")
    );
    assert_eq!(story.starts(1, "c").phase(), "Running");
    // The work is done, but the sidecar has not ended.
    assert_eq!(story.exits(2, "c", 0).phase(), "Running");
    story.exits(3, "side", 143).finishes(3);
    let status = story.status();
    assert_eq!(
        (status.phase.as_deref(), state_of(&status, "side").as_str()),
        (Some("Succeeded"), "ended 143 Error, last -")
    );
}

#[test]
fn a_sidecar_is_named_until_it_has_come_up() {
    let mut story = Story::new(Never, &["side", "c"]);
    let incomplete = "False ContainersNotInitialized containers with incomplete status: [side]";
    let status = story.status();
    assert_eq!(condition(&status, "Initialized"), incomplete);
    let unready = "False ContainersNotReady containers with unready status: [side c]";
    assert_eq!(condition(&status, "Ready"), unready);
    // With a startup probe, it is not enough that it runs.
    story.spec.containers[0].probes.push(Probe {
        kind: ProbeKind::Startup,
        call: Call::Sleep { seconds: 1 },
        initial_delay_seconds: 0,
        period_seconds: 10,
        timeout_seconds: 1,
        success_threshold: 1,
        failure_threshold: 1,
        grace_seconds: None,
    });
    assert_eq!(condition(&story.starts(1, "side").status(), "Initialized"), incomplete);
    let (container, probe, said) = ("side".to_owned(), ProbeKind::Startup, Said::Success);
    story.happens(2, Event::Probed { container, attempt: 0, probe, said, settled: true });
    assert_eq!(condition(&story.status(), "Initialized"), "True");
    // Later, while it is not there, the pod is not ready.
    let status = story.starts(3, "c").exits(4, "side", 1).status();
    let unready = "False ContainersNotReady containers with unready status: [side]";
    assert_eq!(condition(&status, "ContainersReady"), unready);
}

#[test]
fn an_init_container_is_ready_when_it_has_succeeded() {
    let mut story = Story::new(OnFailure, &["init", "c"]);
    let is_ready = |status: PodStatus| status.init_container_statuses.unwrap()[0].ready;
    assert!(!is_ready(story.starts(1, "init").status()));
    assert!(!is_ready(story.exits(2, "init", 1).status()));
    assert!(is_ready(story.starts(2, "init").exits(3, "init", 0).status()));
}

#[test]
fn a_crashing_container_says_how_long_it_waits() {
    let mut story = Story::new(OnFailure, &["c"]);
    story.starts(0, "c").exits(1, "c", 1);
    // The first restart comes at once.
    assert_eq!(state_of(&story.status(), "c"), "ended 1 Error, last -");
    let mut now = 1;
    for text in ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"] {
        story.starts(now, "c").exits(now + 1, "c", 1);
        let status = story.status();
        assert_eq!(state_of(&status, "c"), "waiting CrashLoopBackOff, last ended 1 Error");
        let waiting = all(&status).next().unwrap().state.clone().unwrap().waiting.unwrap();
        let message = format!("back-off {text} restarting failed container=c pod=p_ns(u)");
        assert_eq!(waiting.message, Some(message));
        now += 400;
    }
    let status = story.status();
    assert_eq!(all(&status).next().unwrap().restart_count, 7);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    // Asked to end, it waits for nothing.
    story.happens(
        now,
        Event::Stopping { cause: StopCause::Request, until: grace_end(at(now), 30), at_once: false },
    );
    assert_eq!(state_of(&story.status(), "c"), "ended 1 Error, last ended 1 Error");
}

#[test]
fn start_errors_and_losses_have_their_own_reasons() {
    let mut story = Story::new(Never, &["a", "b", "c"]);
    story.ends(1, "a", 128, ExitKind::StartError, "no such program");
    story.starts(1, "b").ends(2, "b", 137, ExitKind::Lost, "lost").finishes(3);
    let status = story.status();
    assert_eq!(state_of(&status, "a"), "ended 128 StartError, last -");
    assert_eq!(state_of(&status, "b"), "ended 137 ContainerStatusUnknown, last -");
    // It never ran, and now it never will.
    assert_eq!(state_of(&status, "c"), "ended 137 ContainerStatusUnknown, last -");
    let ended = all(&status).last().unwrap().state.clone().unwrap().terminated.unwrap();
    let message = "The container could not be located when the pod was terminated";
    assert_eq!(ended.message.as_deref(), Some(message));
    assert_eq!(status.phase.as_deref(), Some("Failed"));
}

#[test]
fn what_did_not_come_to_run_is_the_reason_to_wait_until_it_is_tried_again() {
    let mut story = Story::new(OnFailure, &["c"]);
    let status = story.ends(1, "c", 128, ExitKind::StartError, "no such program").status();
    assert_eq!(state_of(&status, "c"), "waiting RunContainerError, last ended 128 StartError");
    let waiting = all(&status).next().unwrap().state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.message.as_deref(), Some("no such program"));
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let status = story.ends(1, "c", 128, ExitKind::StartError, "no such program").status();
    assert_eq!(state_of(&status, "c"), "waiting CrashLoopBackOff, last ended 128 StartError");
    let mut story = Story::new(OnFailure, &["c"]);
    story.spec.containers[0].post_start = Some(Call::Sleep { seconds: 1 });
    let failed = |attempt| Event::Hooked {
        container: "c".into(),
        attempt,
        hook: Hook::PostStart,
        failure: Some("no".into()),
    };
    let status = story.starts(1, "c").happens(1, failed(0)).exits(2, "c", 143).status();
    assert_eq!(state_of(&status, "c"), "waiting PostStartHookError, last ended 143 Error");
    let status = story.starts(2, "c").happens(2, failed(1)).exits(3, "c", 143).status();
    assert_eq!(state_of(&status, "c"), "waiting CrashLoopBackOff, last ended 143 Error");
    // It is not tried again.
    let status =
        story.happens(3, Event::Stopping { cause: StopCause::Request, until: at(33), at_once: false });
    assert_eq!(state_of(&status.status(), "c"), "ended 143 Error, last ended 143 Error");
}

#[test]
fn an_end_that_nobody_saw_counts_as_a_restart() {
    for (policy, deleted, count) in [(Never, false, 2), (Always, false, 2), (Never, true, 1)] {
        let mut story = Story::new(policy, &["c"]);
        story.starts(1, "c").exits(2, "c", 1).starts(2, "c").ends(3, "c", 137, ExitKind::Lost, "lost");
        story.pod.metadata.deletion_timestamp = deleted.then(|| Time(at(3)));
        assert_eq!(all(&story.status()).next().unwrap().restart_count, count, "{policy:?}");
    }
    // Once it is restarted, that is what counts.
    let mut story = Story::new(Always, &["c"]);
    story.starts(1, "c").ends(3, "c", 137, ExitKind::Lost, "lost").starts(4, "c");
    assert_eq!(all(&story.status()).next().unwrap().restart_count, 1);
}

#[test]
fn what_holds_a_pod_up_is_said_where_it_belongs() {
    let mut story = Story::new(Never, &["a", "b"]);
    let (container, message) = ("b".to_owned(), "configmap \"x\" not found".to_owned());
    story.blocked = vec![
        Blocked::Volume { volume: "v".into(), message: "not there".into() },
        Blocked::Container { container, reason: "CreateContainerConfigError", message },
    ];
    let status = story.status_of(None, 100);
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(state_of(&status, "b"), "waiting CreateContainerConfigError, last -");
    assert_eq!(state_of(&status, "a"), "waiting ContainerCreating, last -");
    let waiting = all(&status).next().unwrap().state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.message.as_deref(), Some("MountVolume.SetUp failed for volume \"v\" : not there"));
    assert_eq!((status.pod_ip, status.host_ip.as_deref()), (None, Some("10.0.0.1")));
}

#[test]
fn a_pod_that_may_not_run_here_has_failed_and_says_why() {
    let mut story = Story::new(Never, &["a"]);
    story.blocked = vec![Blocked::Pod { reason: "SysctlForbidden", message: "forbidden sysctl".into() }];
    let status = story.status_of(None, 100);
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref(), status.message.as_deref()),
        (Some("Failed"), Some("SysctlForbidden"), Some("Pod was rejected: forbidden sysctl"))
    );
}

#[test]
fn a_refused_container_says_why() {
    let mut story = Story::new(OnFailure, &["init", "c"]);
    let (container, volume, message) = ("init".to_owned(), "v".to_owned(), "no".to_owned());
    story.happens(1, Event::Refused { container, volume, message, retry_at: at(2) });
    let status = story.status();
    assert_eq!(state_of(&status, "init"), "waiting PodInitializing, last -");
    let waiting = all(&status).next().unwrap().state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.message.as_deref(), Some("MountVolume.SetUp failed for volume \"v\" : no"));
    assert_eq!(state_of(&status, "c"), "waiting PodInitializing, last -");
}

#[test]
fn a_container_that_is_refused_when_it_is_restarted_waits() {
    let mut story = Story::new(OnFailure, &["c"]);
    story.starts(1, "c").exits(2, "c", 1);
    let (container, volume, message) = ("c".to_owned(), "v".to_owned(), "no".to_owned());
    story.happens(2, Event::Refused { container, volume, message, retry_at: at(9) });
    assert_eq!(state_of(&story.status(), "c"), "waiting ContainerCreating, last ended 1 Error");
}

#[test]
fn a_deadline_is_the_reason_of_a_failure() {
    let mut story = Story::new(OnFailure, &["c"]);
    story
        .starts(1, "c")
        .happens(50, Event::Stopping { cause: StopCause::Deadline, until: at(80), at_once: false });
    assert_eq!((story.status().phase.as_deref(), story.status().reason), (Some("Running"), None));
    // Whatever its exit code is.
    story.exits(51, "c", 0).finishes(51);
    let status = story.status();
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was active on the node longer than the specified deadline")
    );
    // One that never started, too.
    let mut story = Story::new(OnFailure, &["c"]);
    story.pod.spec.as_mut().unwrap().active_deadline_seconds = Some(60);
    assert_eq!(story.status_of(None, 60).phase.as_deref(), Some("Pending"));
    let status = story.status_of(None, 61);
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
}

#[test]
fn a_pod_that_is_deleted_before_it_starts_has_failed() {
    let mut story = Story::new(OnFailure, &["c"]);
    story.pod.metadata.deletion_timestamp = Some(Time(at(5)));
    assert_eq!(story.status_of(None, 10).phase.as_deref(), Some("Failed"));
    let mut story = Story::new(OnFailure, &["c"]);
    story.finishes(1);
    assert_eq!(story.phase(), "Failed");
}
