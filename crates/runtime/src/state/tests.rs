use super::*;
use crate::{journal::ExitKind, journal::Usage, lifecycle};

#[test]
fn an_id_is_the_same_for_everyone_and_different_for_every_attempt() {
    let id = container_id("u", "c", 0);
    assert_eq!(id.len(), 64);
    assert!(id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    assert_eq!(id, container_id("u", "c", 0));
    assert_ne!(id, container_id("u", "c", 1));
    assert_ne!(container_id("u", "c1", 0), container_id("u", "c", 10));
}

#[test]
fn a_program_that_could_not_be_executed_was_an_attempt() {
    let mut container = Container { name: "c".into(), ..Container::default() };
    let exit = || Exit {
        code: 128,
        signal: None,
        kind: ExitKind::StartError,
        message: "no".into(),
        usage: Usage::default(),
    };
    container.end(0, Timestamp::UNIX_EPOCH, exit());
    assert_eq!((container.next_attempt(), container.is_running()), (1, false));
    assert_eq!(container.current.as_ref().unwrap().process, None);
    assert!(container.restart_delay().is_zero());
    container.end(1, Timestamp::UNIX_EPOCH, exit());
    assert_eq!(container.previous.as_ref().unwrap().number, 0);
    assert_eq!(container.restart_delay().as_secs(), limits::RESTART_DELAY_FIRST_SECONDS);
}

#[test]
fn a_delay_beyond_the_end_of_time_is_no_accident() {
    assert_eq!(lifecycle::grace_end(Timestamp::MAX, 30), Timestamp::MAX);
}
