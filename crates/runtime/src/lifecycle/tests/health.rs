//! Hooks and probes in the life of a pod.

use super::*;
use crate::{
    journal::{Hook, Said},
    spec::{Call, Probe, ProbeKind},
};

impl Story {
    fn hooked(&mut self, second: i64, container: usize, hook: Hook, ok: bool) {
        let failure = (!ok).then(|| "no".to_owned());
        self.happens(second, Event::Hooked { container: format!("c{container}"), attempt: 0, hook, failure });
    }

    fn settles(&mut self, second: i64, container: usize, probe: ProbeKind, ok: bool) {
        let said = if ok { Said::Success } else { Said::Failure("no".to_owned()) };
        let attempt = self.state.containers[container].current.as_ref().unwrap().number;
        let container = format!("c{container}");
        self.happens(second, Event::Probed { container, attempt, probe, said, settled: true });
    }

    fn with_post_start(mut self, container: usize) -> Self {
        self.pod.containers[container].post_start = Some(Call::Sleep { seconds: 1 });
        self
    }

    fn with_probe(mut self, container: usize, kind: ProbeKind, grace_seconds: Option<i64>) -> Self {
        self.pod.containers[container].probes.push(Probe {
            kind,
            call: Call::Sleep { seconds: 1 },
            initial_delay_seconds: 0,
            period_seconds: 10,
            timeout_seconds: 1,
            success_threshold: 1,
            failure_threshold: 1,
            grace_seconds,
        });
        self
    }
}

#[test]
fn the_next_container_waits_for_the_hook_of_the_one_before() {
    let mut story = Story::new(Never, &[Regular, Regular]).with_post_start(0);
    assert_eq!(story.decides(0).0, [Start(0)]);
    story.obeys(0);
    assert_eq!(story.decides(1), (vec![], None));
    story.hooked(2, 0, Hook::PostStart, true);
    assert_eq!(story.decides(2).0, [Start(1)]);
}

#[test]
fn a_container_whose_hook_fails_is_ended_and_its_exit_code_counts() {
    let mut story = Story::new(OnFailure, &[Regular]).with_post_start(0);
    story.obeys(0);
    story.hooked(1, 0, Hook::PostStart, false);
    assert_eq!(story.decides(1).0, [terminate(0, 31)]);
    story.obeys(1);
    assert_eq!(story.decides(30), (vec![], Some(31)));
    assert_eq!(story.decides(31).0, [Kill(0)]);
    story.exits(31, 0, 143);
    assert_eq!(story.decides(31).0, [Start(0)]);
}

#[test]
fn a_failed_liveness_probe_restarts_a_container_whatever_its_exit_code() {
    for (policy, again) in [(Always, true), (OnFailure, true), (Never, false)] {
        let mut story = Story::new(policy, &[Regular]).with_probe(0, ProbeKind::Liveness, Some(5));
        story.obeys(0);
        story.settles(1, 0, ProbeKind::Liveness, false);
        // The probe's own grace period.
        assert_eq!(story.decides(1).0, [terminate(0, 6)]);
        story.obeys(1);
        story.exits(2, 0, 0);
        assert_eq!(story.decides(2).0, [if again { Start(0) } else { Finish }], "{policy:?}");
    }
}

#[test]
fn a_sidecar_holds_the_next_up_until_its_startup_probe_succeeds() {
    let mut story = Story::new(Never, &[Sidecar, Regular]).with_probe(0, ProbeKind::Startup, None);
    story.obeys(0);
    assert_eq!(story.decides(1), (vec![], None));
    story.settles(2, 0, ProbeKind::Startup, true);
    assert_eq!(story.decides(2).0, [Start(1)]);
}

#[test]
fn a_readiness_probe_ends_nothing_and_holds_nothing_up() {
    let mut story = Story::new(Never, &[Sidecar, Regular]).with_probe(0, ProbeKind::Readiness, None);
    story.obeys(0);
    story.settles(1, 0, ProbeKind::Readiness, false);
    assert_eq!(story.decides(1).0, [Start(1)]);
}

#[test]
fn a_container_that_a_probe_ended_does_not_shorten_the_end_of_the_others() {
    let mut story = Story::new(Never, &[Sidecar, Regular, Regular]).with_probe(1, ProbeKind::Liveness, None);
    story.obeys(0);
    story.obeys(0);
    story.settles(1, 1, ProbeKind::Liveness, false);
    assert_eq!(story.decides(1).0, [terminate(1, 31)]);
    story.obeys(1);
    story.exits(2, 1, 137);
    story.exits(100, 2, 0);
    assert_eq!(story.decides(100).0, [terminate(0, 130)]);
}

#[test]
fn after_a_hook_that_took_too_long_nothing_shortens_the_least_grace_period() {
    let mut story = Story::new(Never, &[Regular]);
    story.obeys(0);
    story.happens(1, stopping(6));
    assert_eq!(story.decides(1).0, [terminate(0, 6)]);
    story.obeys(1);
    assert_eq!(story.decides(6).0, [Kill(0)]);
    story.happens(6, Event::Killing { container: "c0".to_owned(), until: at(8), firm: true });
    assert_eq!(story.decides(7), (vec![], Some(8)));
    assert_eq!(story.decides(8).0, [Kill(0)]);
}

fn with_pre_stop(mut story: Story, containers: &[usize]) -> Story {
    for &container in containers {
        story.pod.containers[container].pre_stop = Some(Call::Sleep { seconds: 1 });
    }
    story
}

fn terminate_after_hook(container: usize, until: i64) -> Action {
    Action::Terminate { container, until: at(until), hook: true }
}

#[test]
fn at_the_end_all_hooks_are_called_at_once() {
    let mut story = with_pre_stop(Story::new(Never, &[Sidecar, Sidecar, Regular]), &[0, 1, 2]);
    for _ in 0..3 {
        story.obeys(0);
    }
    story.happens(5, stopping(35));
    let calls = [Action::CallPreStop(0), Action::CallPreStop(1)];
    assert_eq!(story.decides(5).0, [&[terminate_after_hook(2, 35)][..], &calls[..]].concat());
    story.obeys(5);
    // Asked for as long as nothing is heard of them.
    assert_eq!(story.decides(6), (calls.to_vec(), Some(35)));
    story.hooked(7, 0, Hook::PreStop, true);
    assert_eq!(story.decides(7).0, [Action::CallPreStop(1)]);
    story.exits(8, 2, 0);
    // The turn of the last has come, and its hook is under way. The first waits for it without a hook.
    assert_eq!(story.decides(8).0, [terminate_after_hook(1, 35)]);
    story.obeys(8);
    story.hooked(9, 1, Hook::PreStop, false);
    story.exits(10, 1, 143);
    assert_eq!(story.decides(10).0, [terminate(0, 35)]);
}

#[test]
fn a_short_grace_period_has_time_for_hooks_and_none_has_not() {
    for (at_once, expected) in [(false, terminate_after_hook(0, 7)), (true, terminate(0, 7))] {
        let mut story = with_pre_stop(Story::new(Never, &[Regular]), &[0]);
        story.obeys(0);
        story.happens(5, Event::Stopping { cause: StopCause::Request, until: at(7), at_once });
        assert_eq!(story.decides(5).0, [expected]);
    }
    for (grace_seconds, at_once) in [(1, false), (0, true)] {
        let mut story = Story::new(Never, &[Regular]);
        story.pod.grace_seconds = grace_seconds;
        story.pod.deadline = Some(at(9));
        story.obeys(0);
        let stop = Action::Stop { cause: StopCause::Deadline, until: at(11), at_once };
        assert_eq!(story.decides(9).0, [stop]);
    }
}

#[test]
fn a_failed_probe_restarts_what_may_be_restarted() {
    for (rules, again) in [(vec![], false), (vec![ExitCodes { values: vec![42], inverted: false }], true)] {
        let mut story = Story::new(Always, &[Regular]).with_probe(0, ProbeKind::Liveness, None);
        story.pod.containers[0].restart = Some(Restart { policy: Never, rules });
        story.obeys(0);
        story.settles(1, 0, ProbeKind::Liveness, false);
        story.obeys(1);
        story.exits(2, 0, 143);
        assert_eq!(story.decides(2).0, [if again { Start(0) } else { Finish }]);
    }
}
