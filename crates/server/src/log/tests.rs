use cronlet_object::api::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    PodSpec, PodStatus,
};

use super::*;

fn container(name: &str) -> Container {
    Container { name: name.to_owned(), ..Container::default() }
}

fn pod(containers: &[&str], init: &[&str]) -> Pod {
    let spec = PodSpec {
        containers: containers.iter().map(|name| container(name)).collect(),
        init_containers: (!init.is_empty()).then(|| init.iter().map(|name| container(name)).collect()),
        ..PodSpec::default()
    };
    Pod { spec: Some(spec), ..Pod::default() }
}

fn with_status(state: ContainerState, last: ContainerState) -> Pod {
    let status = ContainerStatus {
        name: "c".into(),
        state: Some(state),
        last_state: Some(last),
        ..ContainerStatus::default()
    };
    let status = PodStatus { container_statuses: Some(vec![status]), ..PodStatus::default() };
    Pod { status: Some(status), ..pod(&["c"], &[]) }
}

fn waiting(reason: &str) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.into()), message: None };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated() -> ContainerState {
    ContainerState { terminated: Some(ContainerStateTerminated::default()), ..ContainerState::default() }
}

fn running() -> ContainerState {
    ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() }
}

fn text<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
    let error = result.unwrap_err();
    format!("{} {error}", error.code())
}

#[test]
fn a_container_must_be_named_unless_there_is_only_one() {
    assert_eq!(choose(&pod(&["a"], &["i"]), "p", None).unwrap(), "a");
    assert_eq!(choose(&pod(&["a", "b"], &["i"]), "p", Some("i")).unwrap(), "i");
    assert_eq!(
        text(choose(&pod(&["a", "b"], &[]), "p", None)),
        "400 a container name must be specified for pod p, choose one of: [a b]"
    );
    assert_eq!(
        text(choose(&pod(&["a", "b"], &["i"]), "p", None)),
        "400 a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
    );
    assert_eq!(text(choose(&pod(&["a"], &[]), "p", Some("z"))), "400 container z is not valid for pod p");
}

#[test]
fn a_container_that_has_not_started_has_no_log() {
    let none = ContainerState::default;
    assert!(!has_log(&pod(&["c"], &[]), "p", "c", false).unwrap());
    assert!(has_log(&with_status(running(), none()), "p", "c", false).unwrap());
    assert!(has_log(&with_status(waiting("CrashLoopBackOff"), terminated()), "p", "c", false).unwrap());
    assert_eq!(
        text(has_log(&with_status(waiting("ContainerCreating"), none()), "p", "c", false)),
        "400 container \"c\" in pod \"p\" is waiting to start: ContainerCreating"
    );
}

#[test]
fn the_previous_log_needs_a_previous_run() {
    assert!(has_log(&with_status(running(), terminated()), "p", "c", true).unwrap());
    assert_eq!(
        text(has_log(&with_status(running(), ContainerState::default()), "p", "c", true)),
        "400 previous terminated container \"c\" in pod \"p\" not found"
    );
}

#[test]
fn options_are_checked() {
    let now = "2026-11-23T02:00:00Z".parse().unwrap();
    let parse = |query: &str| Options::parse(&Query::parse(query), "p", now);
    let options = parse("sinceSeconds=60&tailLines=0&limitBytes=10&follow=true&timestamps=1").unwrap();
    assert_eq!(options.since, Some("2026-11-23T01:59:00Z".parse().unwrap()));
    assert_eq!((options.tail_lines, options.limit_bytes), (Some(0), Some(10)));
    assert!(options.follow && options.timestamps && !options.previous);
    assert_eq!(
        parse("sinceSeconds=9223372036854775807").unwrap().since,
        Some(Timestamp::MIN),
        "as far back as time goes"
    );
    assert_eq!(parse("cronlet.dev/attempt=2").unwrap().attempt, Some(2));
    for (query, why) in [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            "sinceSeconds=1&sinceTime=2026-11-23T02:00:00Z",
            "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        (
            "cronlet.dev/attempt=-1",
            "cronlet.dev/attempt: Invalid value: -1: must be the number of an attempt, counted from 0",
        ),
        ("stream=Stdout", "stream: Forbidden: may not be specified"),
    ] {
        assert_eq!(text(parse(query).map(drop)), format!("422 PodLogOptions \"p\" is invalid: {why}"));
    }
    assert!(text(parse("sinceTime=yesterday").map(drop)).starts_with("400 sinceTime: \"yesterday\""));
}
