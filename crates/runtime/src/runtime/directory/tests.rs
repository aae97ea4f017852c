use serde_json::json;

use super::*;
use crate::journal::ExitKind;

#[test]
fn what_was_started_before_its_journal_was_lost_is_not_new() {
    let pod: api::Pod = serde_json::from_value(json!({
        "metadata": {},
        "status": {
            "initContainerStatuses": [{
                "name": "i", "image": "", "imageID": "", "ready": true, "restartCount": 1, "containerID": "cronlet://1",
                "state": { "terminated": {
                    "exitCode": 0, "startedAt": "2026-01-01T00:00:01Z", "finishedAt": "2026-01-01T00:00:02Z" } },
            }],
            "containerStatuses": [
                {
                    "name": "runs", "image": "", "imageID": "", "ready": true, "restartCount": 2,
                    "containerID": "cronlet://2", "state": { "running": { "startedAt": "2026-01-01T00:00:03Z" } },
                },
                {
                    "name": "crashes", "image": "", "imageID": "", "ready": false, "restartCount": 3,
                    "containerID": "cronlet://3", "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                    "lastState": { "terminated": { "exitCode": 9, "message": "m", "reason": "OOMKilled" } },
                },
                {
                    "name": "new", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": "ContainerCreating" } },
                },
            ],
        },
    }))
    .unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let started =
        |container: &str, attempt| Event::Started { container: container.into(), attempt, pid: 0, ticks: 0 };
    let exited = |container: &str, attempt, code, kind, message: &str| {
        let exit = Exit { code, signal: None, kind, message: message.into(), usage: Usage::default() };
        Event::Exited { container: container.into(), attempt, exit }
    };
    let epoch = Timestamp::UNIX_EPOCH;
    let expected = [
        (at("2026-01-01T00:00:01Z"), started("i", 1)),
        (at("2026-01-01T00:00:02Z"), exited("i", 1, 0, ExitKind::Ended, "")),
        (at("2026-01-01T00:00:03Z"), started("runs", 2)),
        (epoch, started("crashes", 3)),
        (epoch, exited("crashes", 3, 9, ExitKind::OutOfMemory, "m")),
    ];
    assert_eq!(earlier_attempts(&pod), expected);
    assert_eq!(earlier_attempts(&api::Pod::default()), []);
}

#[test]
fn directories_are_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let pod = dir.path().join("uid");
    for _ in 0..2 {
        make(&pod).unwrap();
    }
    assert_eq!(uids(dir.path()), HashSet::from(["uid".to_owned()]));
    remove_dir(&pod);
    remove_dir(&pod);
    assert!(uids(dir.path()).is_empty() && uids(&pod).is_empty());
}

#[test]
fn mount_points_are_read_as_the_kernel_writes_them() {
    let mounts = "36 35 98:0 /root /mnt\\040a/b\\134 rw,noatime master:1 - ext3 /dev/root rw\nnonsense\n\
                  37 35 0:5 / /proc rw - proc proc rw\n";
    let points: Vec<PathBuf> = mount_points(mounts).collect();
    assert_eq!(points, [PathBuf::from("/mnt a/b\\"), PathBuf::from("/proc")]);
}
