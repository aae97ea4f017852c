use cronlet_object::api::{ContainerState, ContainerStateRunning};

use super::*;
use crate::pulls::Pulled;

fn container(id: Option<&str>, state: ContainerState) -> ContainerStatus {
    ContainerStatus {
        name: "c".into(),
        container_id: id.map(str::to_owned),
        state: Some(state),
        last_state: Some(ContainerState::default()),
        ..ContainerStatus::default()
    }
}

fn status(container: ContainerStatus) -> PodStatus {
    PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() }
}

fn running() -> ContainerState {
    ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() }
}

fn ended(code: i32, reason: &str, message: &str) -> ContainerState {
    let terminated = ContainerStateTerminated {
        exit_code: code,
        reason: Some(reason.into()),
        message: Some(message.into()),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

fn waits(reason: &str, message: &str) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.into()), message: Some(message.into()) };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// The reasons and messages of the events between two statuses.
fn told(old: Option<&PodStatus>, new: &PodStatus) -> Vec<(&'static str, String)> {
    let mut pod = api::Pod::default();
    pod.metadata.name = Some("p".into());
    pod.metadata.namespace = Some("ns".into());
    pod.metadata.uid = Some("u".into());
    let events = between(
        &pod,
        Told { status: old, state: None, pulls: None },
        Told { status: Some(new), state: None, pulls: None },
    );
    events.into_iter().map(|event| (event.reason, event.message)).collect()
}

#[test]
fn a_start_is_told_once_for_each_attempt() {
    let first = || status(container(Some("1"), running()));
    let created = ("Created", CREATED_WITHOUT_IMAGE.to_owned());
    let started = ("Started", "Container started".to_owned());
    assert_eq!(told(None, &first()), [created.clone(), started.clone()]);
    assert_eq!(told(Some(&first()), &first()), []);
    // It had ended before anyone looked.
    let second = status(container(Some("2"), ended(0, "Completed", "")));
    assert_eq!(told(Some(&first()), &second), [created, started]);
    assert_eq!(told(Some(&second), &second), []);
}

#[test]
fn a_program_that_cannot_be_executed_is_a_failure() {
    let failed = status(container(Some("1"), ended(128, "StartError", "no such program")));
    let events = told(None, &failed);
    assert_eq!(events[1], ("Failed", "Error: no such program".to_owned()));
}

#[test]
fn a_back_off_is_told_when_it_begins() {
    let waiting = |id: &str, delay: &str| {
        let mut container = container(Some(id), waits("CrashLoopBackOff", delay));
        container.last_state = Some(ended(1, "Error", ""));
        status(container)
    };
    let back_off = ("BackOff", "Back-off restarting failed container c in pod p_ns(u)".to_owned());
    let before = status(container(Some("1"), running()));
    assert_eq!(told(Some(&before), &waiting("1", "10s")), std::slice::from_ref(&back_off));
    assert_eq!(told(Some(&waiting("1", "10s")), &waiting("1", "10s")), []);
    // It was started in between, unseen.
    let events = told(Some(&waiting("1", "10s")), &waiting("2", "20s"));
    assert_eq!(events.len(), 3);
    assert_eq!(events[2], back_off);
}

#[test]
fn what_holds_a_pod_up_is_told_when_it_changes() {
    let failed = |message: &str| status(container(None, waits("CreateContainerConfigError", message)));
    assert_eq!(told(None, &failed("a")), [("Failed", "Error: a".to_owned())]);
    assert_eq!(told(Some(&failed("a")), &failed("a")), []);
    assert_eq!(told(Some(&failed("a")), &failed("b")), [("Failed", "Error: b".to_owned())]);
    let message = "MountVolume.SetUp failed for volume \"v\" : no";
    let mount = || status(container(None, waits("ContainerCreating", message)));
    assert_eq!(told(None, &mount()), [("FailedMount", message.to_owned())]);
    assert_eq!(told(Some(&mount()), &mount()), []);
    let other = status(container(None, waits("ContainerCreating", "cannot start the pod's shim")));
    assert_eq!(told(None, &other), [("Failed", "cannot start the pod's shim".to_owned())]);
}

#[test]
fn events_name_the_part_they_are_about() {
    let of = |field: &str| {
        let mut now = PodStatus::default();
        let statuses = Some(vec![container(Some("1"), running())]);
        match field {
            "init" => now.init_container_statuses = statuses,
            _ => now.container_statuses = statuses,
        }
        let nothing = Told { status: None, state: None, pulls: None };
        let events =
            between(&api::Pod::default(), nothing, Told { status: Some(&now), state: None, pulls: None });
        events[0].field_path.clone().unwrap()
    };
    assert_eq!((of("init").as_str(), of("").as_str()), ("spec.initContainers{c}", "spec.containers{c}"));
}

/// A pod with two containers of one image and the reasons and messages of the events between two states of it.
fn told_of_images(
    old: (Option<&PodStatus>, &Pulls),
    new: (&PodStatus, &Pulls),
) -> Vec<(&'static str, String)> {
    let mut pod = api::Pod::default();
    let of_image = |name: &str| api::Container {
        name: name.into(),
        image: Some("app:1".into()),
        ..api::Container::default()
    };
    pod.spec.get_or_insert_default().containers = vec![of_image("c"), of_image("d")];
    let old = Told { status: old.0, state: None, pulls: Some(old.1) };
    let events = between(&pod, old, Told { status: Some(new.0), state: None, pulls: Some(new.1) });
    events.into_iter().map(|event| (event.reason, event.message)).collect()
}

fn both(first: ContainerStatus) -> PodStatus {
    let second = ContainerStatus { name: "d".into(), ..first.clone() };
    PodStatus { container_statuses: Some(vec![first, second]), ..PodStatus::default() }
}

#[test]
fn a_pull_is_told_for_the_container_it_is_for() {
    let none = Pulls::default();
    let waiting = ContainerStateWaiting {
        reason: Some("ContainerCreating".into()),
        ..ContainerStateWaiting::default()
    };
    let creating = ContainerState { waiting: Some(waiting), ..ContainerState::default() };
    let creating = both(container(None, creating));
    let under_way = Pulls { under_way: ["app:1".to_owned()].into(), ..Pulls::default() };
    let pulling = told_of_images((None, &none), (&creating, &under_way));
    assert_eq!(pulling, [("Pulling", "Pulling image \"app:1\"".to_owned())]);
    assert_eq!(told_of_images((Some(&creating), &under_way), (&creating, &under_way)), []);

    let pulled = Pulled { bytes: 7, ..Pulled::default() };
    let done = Pulls { done: [("app:1".to_owned(), pulled)].into(), ..Pulls::default() };
    let made = |id| ContainerStatus { image_id: "sha256:1".into(), ..container(Some(id), running()) };
    let started = told_of_images((Some(&creating), &under_way), (&both(made("1")), &done));
    let present =
        "Container image \"app:1\" already present on machine and can be accessed by the pod".to_owned();
    let successfully =
        "Successfully pulled image \"app:1\" in 0s (0s including waiting). Image size: 7 bytes.".to_owned();
    let of_pulled = |events: Vec<(&'static str, String)>| -> Vec<String> {
        events.into_iter().filter(|event| event.0 == "Pulled").map(|event| event.1).collect()
    };
    let reasons: Vec<&str> = started.iter().map(|event| event.0).collect();
    assert_eq!(reasons, ["Pulled", "Created", "Started", "Pulled", "Created", "Started"]);
    assert_eq!(of_pulled(started), [successfully, present.clone()]);
    // A restart pulls nothing.
    let again = told_of_images((Some(&both(made("1"))), &done), (&both(made("2")), &done));
    assert_eq!(of_pulled(again), [present.clone(), present]);
}

#[test]
fn an_image_that_cannot_be_had_is_told_as_the_kubelet_does() {
    let none = Pulls::default();
    let missing = |reason, message| status(container(None, waits(reason, message)));
    let told = |old: Option<&PodStatus>, new: &PodStatus| told_of_images((old, &none), (new, &none));
    let failed = missing("ErrImagePull", "failed to pull image \"app:1\": no such manifest");
    let error = |reason: &str| ("Failed", format!("Error: {reason}"));
    assert_eq!(
        told(None, &failed),
        [("Failed", "Failed to pull image \"app:1\": no such manifest".to_owned()), error("ErrImagePull")]
    );
    assert_eq!(told(Some(&failed), &failed), []);
    let back_off = missing("ImagePullBackOff", "Back-off pulling image \"app:1\": ErrImagePull: …");
    assert_eq!(
        told(Some(&failed), &back_off),
        [("BackOff", "Back-off pulling image \"app:1\"".to_owned()), error("ImagePullBackOff")]
    );
    assert_eq!(
        told(None, &missing("ErrImageNeverPull", "it is not here")),
        [("ErrImageNeverPull", "it is not here".to_owned()), error("ErrImageNeverPull")]
    );
    assert_eq!(
        told(None, &missing("InvalidImageName", "it is no name")),
        [("InspectFailed", "it is no name".to_owned()), error("InvalidImageName")]
    );
}

/// What is told of a container's end between two of its states: the attempts that there are with what they are condemned
/// for, the latest first, and whether it is being ended.
fn told_of_killing(
    old: &[(u32, Option<ProbeKind>)],
    new: &[(u32, Option<ProbeKind>)],
    killing: bool,
) -> Option<String> {
    let attempt = |(number, condemned): &(u32, Option<ProbeKind>)| {
        let failed = |kind| (*condemned == Some(kind)).then_some(false);
        let (startup, liveness) = (failed(ProbeKind::Startup), failed(ProbeKind::Liveness));
        let health = Health { startup, liveness, ..Health::default() };
        let started = jiff::Timestamp::UNIX_EPOCH;
        state::Attempt { number: *number, process: None, started, exit: None, health }
    };
    let told = serde_json::json!({ "path": "/x", "required": false, "fallback_to_logs": false });
    let spec: crate::spec::Pod = serde_json::from_value(serde_json::json!({
        "version": 1, "handler": "process", "namespace": "ns", "name": "p", "uid": "u", "restart_policy": "Always",
        "grace_seconds": 30, "log_dir": "/l", "log_links_dir": "/l", "memory_volumes": [],
        "containers": [{
            "name": "c", "role": "regular", "argv": ["true"], "env": [], "cwd": "/", "no_new_privileges": false,
            "mounts": [], "termination_message": told,
        }],
    }))
    .unwrap();
    let of = |attempts: &[(u32, Option<ProbeKind>)]| {
        let mut state = State::new(&spec);
        let mut attempts = attempts.iter().map(attempt);
        (state.containers[0].current, state.containers[0].previous) = (attempts.next(), attempts.next());
        state
    };
    let mut now = of(new);
    let until = jiff::Timestamp::UNIX_EPOCH;
    now.containers[0].killing = killing.then_some(state::Killing { until, firm: false });
    let status = container(Some("1"), running());
    super::killing(&api::Pod::default(), &status, Some(&of(old)), Some(&now)).map(|event| event.message)
}

#[test]
fn why_a_container_is_ended_is_told_once_also_if_it_runs_again_by_then() {
    let liveness = Some(ProbeKind::Liveness);
    let failed = Some("Container c failed liveness probe, will be restarted".to_owned());
    assert_eq!(told_of_killing(&[(0, None)], &[(0, liveness)], true), failed);
    assert_eq!(told_of_killing(&[(0, None)], &[(1, None), (0, liveness)], false), failed);
    assert_eq!(told_of_killing(&[(0, liveness)], &[(0, liveness)], true), None);
    assert_eq!(told_of_killing(&[(0, liveness)], &[(1, None), (0, liveness)], false), None);
    assert_eq!(told_of_killing(&[(1, None), (0, liveness)], &[(1, None), (0, liveness)], false), None);
    assert_eq!(told_of_killing(&[(0, None)], &[(0, None)], true).as_deref(), Some("Stopping container c"));
    assert_eq!(told_of_killing(&[(0, None)], &[(1, None), (0, None)], false), None);
    let startup = "Container c failed startup probe, will be restarted";
    let both = told_of_killing(&[(0, None)], &[(0, Some(ProbeKind::Startup))], true);
    assert_eq!(both.as_deref(), Some(startup));
}
