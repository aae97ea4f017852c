mod health;

use super::*;
use crate::{
    journal::{Event, Exit, ExitKind, Record, Usage},
    spec::{Container, ExitCodes, Handler, Sandbox, Streams, TerminationMessage},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn pod(policy: RestartPolicy, roles: &[Role]) -> Pod {
    let container = |(position, &role): (usize, &Role)| Container {
        name: format!("c{position}"),
        role,
        image: String::new(),
        restart: None,
        argv: vec!["true".into()],
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
        streams: Streams::default(),
        root: None,
        post_start: None,
        pre_stop: None,
        probes: Vec::new(),
    };
    Pod {
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
        sandbox: Sandbox::default(),
        oci_runtime: None,
        containers: roles.iter().enumerate().map(container).collect(),
    }
}

/// A pod to which things happen, second by second.
struct Story {
    pod: Pod,
    state: State,
    seq: u64,
}

impl Story {
    fn new(policy: RestartPolicy, roles: &[Role]) -> Self {
        let pod = pod(policy, roles);
        let state = State::new(&pod);
        Story { pod, state, seq: 0 }
    }

    fn happens(&mut self, second: i64, event: Event) {
        self.seq += 1;
        self.state.apply(&Record { seq: self.seq, time: at(second), event });
    }

    fn starts(&mut self, second: i64, container: usize) {
        let attempt = self.state.containers[container].next_attempt();
        let container = format!("c{container}");
        self.happens(second, Event::Started { container, attempt, pid: 1, ticks: 1 });
    }

    fn exits(&mut self, second: i64, container: usize, code: i32) {
        let attempt = self.state.containers[container].current.as_ref().unwrap().number;
        let exit = Exit {
            code,
            signal: None,
            kind: ExitKind::Ended,
            message: String::new(),
            usage: Usage::default(),
        };
        self.happens(second, Event::Exited { container: format!("c{container}"), attempt, exit });
    }

    fn decides(&self, second: i64) -> (Vec<Action>, Option<i64>) {
        let decision = decide(&self.pod, &self.state, at(second));
        (decision.actions, decision.wake_at.map(|wake| wake.as_second() - 1_000_000))
    }

    /// Lets everything that is decided about happen at once.
    fn obeys(&mut self, second: i64) {
        for action in self.decides(second).0 {
            match action {
                Start(container) => self.starts(second, container),
                Action::Terminate { container, until, .. } => {
                    self.happens(
                        second,
                        Event::Killing { container: format!("c{container}"), until, firm: false },
                    );
                }
                Kill(container) => self.exits(second, container, 137),
                Action::CallPreStop(_) => {}
                Action::Stop { cause, until, at_once } => {
                    self.happens(second, Event::Stopping { cause, until, at_once });
                }
                Finish => self.happens(second, Event::Finished),
            }
        }
    }
}

fn stopping(until: i64) -> Event {
    Event::Stopping { cause: StopCause::Request, until: at(until), at_once: false }
}

fn terminate(container: usize, until: i64) -> Action {
    Action::Terminate { container, until: at(until), hook: false }
}

use Action::{Finish, Kill, Start};
use RestartPolicy::{Always, Never, OnFailure};
use Role::{Init, Regular, Sidecar};

#[test]
fn regular_containers_start_together_and_the_pod_finishes_with_the_last() {
    let mut story = Story::new(Never, &[Regular, Regular]);
    assert_eq!(story.decides(0), (vec![Start(0), Start(1)], None));
    story.obeys(0);
    assert_eq!(story.decides(1), (vec![], None));
    story.exits(2, 0, 1);
    assert_eq!(story.decides(3), (vec![], None));
    story.exits(4, 1, 0);
    assert_eq!(story.decides(4), (vec![Finish], None));
    story.obeys(4);
    assert_eq!(story.decides(5), (vec![], None));
}

#[test]
fn whether_a_container_is_restarted_depends_on_policy_and_exit_code() {
    for (policy, code, again) in [
        (Never, 0, false),
        (Never, 1, false),
        (OnFailure, 0, false),
        (OnFailure, 1, true),
        (Always, 0, true),
        (Always, 1, true),
    ] {
        let mut story = Story::new(policy, &[Regular]);
        story.obeys(0);
        story.exits(1, 0, code);
        let expected = if again { Start(0) } else { Finish };
        assert_eq!(story.decides(1), (vec![expected], None), "{policy:?} {code}");
        assert_eq!(restart_at(&story.pod, &story.state, 0).is_some(), again);
    }
}

#[test]
fn a_container_may_say_itself_when_it_is_restarted() {
    let codes = |values: &[i32], inverted| ExitCodes { values: values.to_vec(), inverted };
    for (of_pod, own, rules, code, again) in [
        (Never, Always, vec![], 0, true),
        (Never, OnFailure, vec![], 0, false),
        (Never, OnFailure, vec![], 1, true),
        (Always, Never, vec![], 1, false),
        (Always, OnFailure, vec![], 0, false),
        (Never, Never, vec![codes(&[42, 43], false)], 43, true),
        (Never, Never, vec![codes(&[42, 43], false)], 44, false),
        (Never, Never, vec![codes(&[42], true)], 1, true),
        (Always, Never, vec![codes(&[42], true)], 42, false),
        (Never, Never, vec![codes(&[1], false), codes(&[0], false)], 0, true),
        // What no rule is about is for the container's own policy.
        (Never, OnFailure, vec![codes(&[0], false)], 1, true),
    ] {
        let restart = Some(Restart { policy: own, rules });
        let mut story = Story::new(of_pod, &[Regular]);
        story.pod.containers[0].restart = restart.clone();
        story.obeys(0);
        story.exits(1, 0, code);
        let expected = if again { Start(0) } else { Finish };
        assert_eq!(story.decides(1), (vec![expected], None), "{restart:?} {code}");
        assert_eq!(restart_at(&story.pod, &story.state, 0).is_some(), again);
        // Others go by what the pod says.
        let mut beside = Story::new(Never, &[Regular, Regular]);
        beside.pod.containers[0].restart = restart;
        beside.obeys(0);
        beside.exits(1, 1, 1);
        assert_eq!(beside.decides(1), (vec![], None));
    }
}

#[test]
fn an_init_container_may_say_itself_when_it_is_restarted() {
    let rules = vec![ExitCodes { values: vec![0, 42], inverted: false }];
    for (code, next) in [(42, Start(0)), (1, Finish), (0, Start(1))] {
        let mut story = Story::new(Always, &[Init, Regular]);
        story.pod.containers[0].restart = Some(Restart { policy: Never, rules: rules.clone() });
        story.obeys(0);
        story.exits(1, 0, code);
        assert_eq!(story.decides(1), (vec![next], None), "{code}");
    }
}

#[test]
fn restarts_wait_longer_and_longer_until_all_is_forgotten() {
    let mut story = Story::new(OnFailure, &[Regular]);
    story.obeys(0);
    let mut now = 1;
    for delay in [0, 10, 20, 40, 80, 160, 300, 300] {
        story.exits(now, 0, 1);
        if delay > 0 {
            assert_eq!(story.decides(now), (vec![], Some(now + delay)));
            assert_eq!(story.decides(now + delay - 1), (vec![], Some(now + delay)));
        }
        now += delay;
        assert_eq!(story.decides(now), (vec![Start(0)], None), "after {delay} s");
        story.obeys(now);
        now += 1;
    }
    // It ran for exactly ten minutes: remembered. One second more: forgotten.
    let mut remembered = now - 1 + 600;
    story.exits(remembered, 0, 1);
    assert_eq!(story.decides(remembered), (vec![], Some(remembered + 300)));
    remembered += 300;
    story.obeys(remembered);
    story.exits(remembered + 601, 0, 1);
    assert_eq!(story.decides(remembered + 601), (vec![Start(0)], None));
}

#[test]
fn init_containers_run_one_by_one() {
    let mut story = Story::new(OnFailure, &[Init, Init, Regular]);
    assert_eq!(story.decides(0).0, [Start(0)]);
    story.obeys(0);
    assert_eq!(story.decides(1).0, []);
    story.exits(1, 0, 3);
    assert_eq!(story.decides(1).0, [Start(0)]);
    story.obeys(1);
    story.exits(2, 0, 0);
    assert_eq!(story.decides(2).0, [Start(1)]);
    story.obeys(2);
    story.exits(3, 1, 0);
    assert_eq!(story.decides(3).0, [Start(2)]);
    story.obeys(3);
    // Once a regular container has run, no init container runs again.
    story.exits(4, 2, 1);
    assert_eq!(story.decides(4).0, [Start(2)]);
}

#[test]
fn an_init_container_that_succeeded_is_done_whatever_the_policy() {
    let mut story = Story::new(Always, &[Init, Regular]);
    story.obeys(0);
    story.exits(1, 0, 0);
    assert_eq!(story.decides(1).0, [Start(1)]);
}

#[test]
fn an_init_container_that_may_not_run_again_ends_the_pod() {
    let mut story = Story::new(Never, &[Sidecar, Init, Regular]);
    story.obeys(0);
    story.obeys(0);
    story.exits(1, 1, 1);
    assert_eq!(story.decides(1).0, [terminate(0, 31)]);
    story.obeys(1);
    assert_eq!(story.decides(2), (vec![], Some(31)));
    story.exits(2, 0, 0);
    assert_eq!(story.decides(2).0, [Finish]);
}

#[test]
fn sidecars_start_in_order_are_always_restarted_and_end_last() {
    let mut story = Story::new(Never, &[Sidecar, Init, Sidecar, Regular]);
    assert_eq!(story.decides(0).0, [Start(0)]);
    story.obeys(0);
    assert_eq!(story.decides(0).0, [Start(1)]);
    story.obeys(0);
    story.exits(1, 1, 0);
    assert_eq!(story.decides(1).0, [Start(2)]);
    story.obeys(1);
    assert_eq!(story.decides(1).0, [Start(3)]);
    story.obeys(1);
    story.exits(2, 0, 0);
    assert_eq!(story.decides(2).0, [Start(0)]);
    story.obeys(2);
    story.exits(10, 3, 0);
    assert_eq!(restart_at(&story.pod, &story.state, 0), None);
    assert_eq!(story.decides(10).0, [terminate(2, 40)]);
    story.obeys(10);
    story.exits(11, 2, 143);
    // All within the grace period that began with the first.
    assert_eq!(story.decides(11).0, [terminate(0, 40)]);
    story.obeys(11);
    assert_eq!(story.decides(40).0, [Kill(0)]);
    story.obeys(40);
    assert_eq!(story.decides(40).0, [Finish]);
}

#[test]
fn a_crashing_sidecar_holds_up_what_follows_it_only_at_first() {
    let mut story = Story::new(Never, &[Sidecar, Regular]);
    story.obeys(0);
    story.exits(1, 0, 1);
    story.obeys(1);
    story.exits(1, 0, 1);
    assert_eq!(story.decides(1), (vec![], Some(11)));
    story.obeys(11);
    story.obeys(11);
    assert!(story.state.containers[1].is_running());
    story.exits(12, 0, 1);
    assert_eq!(story.decides(12), (vec![], Some(32)));
}

#[test]
fn a_sidecar_that_had_come_up_does_not_hold_up_what_follows_when_it_crashes() {
    let mut story = Story::new(Never, &[Sidecar, Init, Init, Regular]);
    story.obeys(0);
    story.obeys(0);
    story.exits(1, 0, 1);
    // At once, the first time.
    assert_eq!(story.decides(1), (vec![Start(0)], None));
    story.starts(1, 0);
    story.exits(2, 0, 1);
    assert_eq!(story.decides(2), (vec![], Some(12)));
    story.exits(3, 1, 0);
    assert_eq!(story.decides(3), (vec![Start(2)], Some(12)));
    story.obeys(3);
    assert_eq!(story.decides(12), (vec![Start(0)], None));
}

#[test]
fn a_stop_asks_then_forces() {
    let mut story = Story::new(Always, &[Regular, Regular]);
    story.obeys(0);
    story.happens(5, stopping(35));
    assert_eq!(story.decides(5).0, [terminate(0, 35), terminate(1, 35)]);
    story.obeys(5);
    story.exits(6, 0, 143);
    assert_eq!(story.decides(7), (vec![], Some(35)));
    // It may be made shorter, but not longer.
    story.happens(7, stopping(50));
    assert_eq!(story.decides(7), (vec![], Some(35)));
    story.happens(8, stopping(10));
    assert_eq!(story.decides(8), (vec![], Some(10)));
    // Asked for as long as the end is not known.
    assert_eq!(story.decides(10), (vec![Kill(1)], None));
    assert_eq!(story.decides(11), (vec![Kill(1)], None));
    story.exits(12, 1, 137);
    assert_eq!(story.decides(12).0, [Finish]);
}

#[test]
fn a_sidecar_has_at_least_the_shortest_grace_period() {
    let mut story = Story::new(Never, &[Sidecar, Regular]);
    story.obeys(0);
    story.obeys(0);
    story.happens(5, stopping(7));
    story.obeys(5);
    story.obeys(7);
    assert_eq!(story.decides(7).0, [terminate(0, 9)]);
    story.obeys(7);
    assert_eq!(story.decides(8), (vec![], Some(9)));
    assert_eq!(story.decides(9).0, [Kill(0)]);
}

#[test]
fn a_stop_before_the_first_start_starts_nothing() {
    let mut story = Story::new(Always, &[Init, Regular]);
    story.happens(0, stopping(30));
    assert_eq!(story.decides(0), (vec![Finish], None));
}

#[test]
fn a_deadline_is_a_stop() {
    let mut story = Story::new(OnFailure, &[Regular]);
    story.pod.deadline = Some(at(100));
    assert_eq!(story.decides(0), (vec![Start(0)], Some(100)));
    story.obeys(0);
    assert_eq!(story.decides(99), (vec![], Some(100)));
    let until = at(130);
    assert_eq!(story.decides(100).0, [Action::Stop { cause: StopCause::Deadline, until, at_once: false }]);
    story.obeys(100);
    assert_eq!(story.decides(100).0, [terminate(0, 130)]);
}

#[test]
fn a_deadline_may_come_nearer_while_a_pod_runs() {
    let mut story = Story::new(OnFailure, &[Regular]);
    story.obeys(0);
    assert_eq!(story.decides(1), (vec![], None));
    story.state.deadline = Some(at(100));
    assert_eq!(story.decides(2), (vec![], Some(100)));
    story.pod.deadline = Some(at(50));
    assert_eq!(story.decides(3), (vec![], Some(50)));
    story.state.deadline = Some(at(3));
    let stop = Action::Stop { cause: StopCause::Deadline, until: at(33), at_once: false };
    assert_eq!(story.decides(3).0, [stop]);
}

#[test]
fn a_container_whose_image_is_changed_is_restarted_whatever_its_policy() {
    for (policy, code) in [(Never, 0), (OnFailure, 0), (Always, 1)] {
        let mut story = Story::new(policy, &[Init, Regular]);
        let changes = |story: &mut Story, second, container: usize| {
            let container = story.pod.containers[container].clone();
            story.happens(second, Event::Respecified(Box::new(container)));
        };
        story.obeys(0);
        // An init container runs to its end.
        changes(&mut story, 1, 0);
        assert_eq!(story.decides(1), (vec![], None));
        story.exits(2, 0, 0);
        story.obeys(2);
        assert_eq!(story.decides(3), (vec![], None));
        changes(&mut story, 3, 1);
        assert_eq!(story.decides(3).0, [terminate(1, 33)]);
        story.obeys(3);
        story.exits(4, 1, code);
        assert_eq!(story.decides(4).0, [Start(1)], "{policy:?}");
        story.obeys(4);
        assert_eq!(story.decides(5), (vec![], None));
        // Its delays begin anew.
        story.exits(6, 1, 1);
        assert_eq!(story.state.containers[1].restart_delay(), SignedDuration::from_secs(10));
        assert_eq!(restart_at(&story.pod, &story.state, 1).is_some(), policy != Never);
    }
    // One that has ended stays so.
    let mut story = Story::new(Never, &[Regular, Regular]);
    story.obeys(0);
    story.exits(1, 0, 0);
    let container = story.pod.containers[0].clone();
    story.happens(2, Event::Respecified(Box::new(container)));
    assert_eq!(story.decides(2), (vec![], None));
}

#[test]
fn what_was_refused_is_tried_again_later() {
    let mut story = Story::new(Never, &[Regular, Regular]);
    story.starts(0, 0);
    let refusal = |retry_at| Event::Refused {
        container: "c1".into(),
        volume: "v".into(),
        message: "no".into(),
        retry_at: at(retry_at),
    };
    story.happens(0, refusal(5));
    assert_eq!(story.decides(1), (vec![], Some(5)));
    // The pod is not over while one of its containers has not run.
    story.exits(2, 0, 0);
    assert_eq!(story.decides(2), (vec![], Some(5)));
    assert_eq!(story.decides(5).0, [Start(1)]);
    story.happens(5, refusal(7));
    assert_eq!(story.state.containers[1].refusal.as_ref().unwrap().count, 2);
    story.starts(7, 1);
    assert_eq!(story.state.containers[1].refusal, None);
}

#[test]
fn delays_and_grace_periods_have_bounds() {
    let millis = |count| mount_delay(count).as_millis();
    assert_eq!([millis(0), millis(1), millis(2), millis(3)], [500, 500, 1000, 2000]);
    assert_eq!([millis(9), millis(100), millis(u32::MAX)], [122_000; 3]);
    assert_eq!(grace_end(at(0), 0), at(2));
    assert_eq!(grace_end(at(0), -5), at(2));
    assert_eq!(grace_end(at(0), 30), at(30));
    assert_eq!(grace_end(at(0), i64::MAX), Timestamp::MAX);
}
