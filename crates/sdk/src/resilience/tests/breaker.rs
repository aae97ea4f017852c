use proptest::prelude::*;
use tokio::time::Instant;

use super::{ms, secs};
use crate::resilience::{
    Admission, BreakerConfig, BreakerCore, BreakerState, CallOutcome, CircuitBreaker, Failure, Ticket, Window,
};

fn config(calls: usize) -> BreakerConfig {
    BreakerConfig {
        window: Window::Count(calls),
        permitted_calls_in_half_open: 2,
        ..BreakerConfig::default()
    }
}

fn admitted(core: &mut BreakerCore, now: Instant) -> Option<Ticket> {
    match core.admit(now) {
        Admission::Admitted(ticket) => Some(ticket),
        Admission::Refused { .. } => None,
    }
}

/// One call that ends at once; whether it was admitted.
fn call(core: &mut BreakerCore, now: Instant, outcome: CallOutcome) -> bool {
    let ticket = admitted(core, now);
    let went = ticket.is_some();
    if let Some(ticket) = ticket {
        core.record(ticket, outcome, ms(0), now);
    }
    went
}

#[test]
fn it_opens_at_the_threshold_and_not_before_the_minimum_of_calls() {
    let now = Instant::now();
    let mut core = BreakerCore::new(BreakerConfig { minimum_calls: 4, ..config(10) }, now);
    for outcome in [CallOutcome::Failure, CallOutcome::Failure, CallOutcome::Success] {
        call(&mut core, now, outcome);
        assert_eq!(core.state(), BreakerState::Closed);
    }
    call(&mut core, now, CallOutcome::Success);
    assert_eq!(core.state(), BreakerState::Open, "2 of 4 is 50 %");
}

#[test]
fn a_count_window_forgets_all_but_the_last_calls() {
    let now = Instant::now();
    let mut core = BreakerCore::new(config(4), now);
    for outcome in [CallOutcome::Failure, CallOutcome::Success, CallOutcome::Success, CallOutcome::Success] {
        call(&mut core, now, outcome);
    }
    call(&mut core, now, CallOutcome::Failure);
    assert_eq!(core.state(), BreakerState::Closed, "the first failure has left the window");
    call(&mut core, now, CallOutcome::Failure);
    assert_eq!(core.state(), BreakerState::Open);
}

#[test]
fn a_time_window_forgets_what_is_older_than_it() {
    let now = Instant::now();
    let rules =
        BreakerConfig { window: Window::Time(secs(10)), minimum_calls: 2, ..BreakerConfig::default() };
    let mut core = BreakerCore::new(rules, now);
    call(&mut core, now, CallOutcome::Failure);
    call(&mut core, now + secs(10), CallOutcome::Success);
    call(&mut core, now + secs(10), CallOutcome::Success);
    assert_eq!(core.state(), BreakerState::Closed);
    call(&mut core, now + secs(11), CallOutcome::Failure);
    call(&mut core, now + secs(12), CallOutcome::Failure);
    assert_eq!(core.state(), BreakerState::Open);
}

#[test]
fn slow_calls_open_it_as_failures_do() {
    let now = Instant::now();
    let mut core = BreakerCore::new(config(2), now);
    for _ in 0..2 {
        if let Some(ticket) = admitted(&mut core, now) {
            core.record(ticket, CallOutcome::Success, secs(61), now);
        }
    }
    assert_eq!(core.state(), BreakerState::Open);
}

#[test]
fn it_refuses_while_open_and_says_for_how_long() {
    let now = Instant::now();
    let mut core = BreakerCore::new(config(1), now);
    call(&mut core, now, CallOutcome::Failure);
    let refused = core.admit(now + secs(20));
    assert!(matches!(refused, Admission::Refused { retry_after: Some(wait) } if wait == secs(40)));
    assert!(call(&mut core, now + secs(60), CallOutcome::Success));
    assert_eq!(core.state(), BreakerState::HalfOpen);
}

#[test]
fn the_probes_decide_between_closed_and_open() {
    let start = Instant::now();
    for (outcomes, state) in [
        ([CallOutcome::Success, CallOutcome::Success], BreakerState::Closed),
        ([CallOutcome::Success, CallOutcome::Failure], BreakerState::Open),
    ] {
        let mut core = BreakerCore::new(config(1), start);
        call(&mut core, start, CallOutcome::Failure);
        for outcome in outcomes {
            assert!(call(&mut core, start + secs(60), outcome));
        }
        assert_eq!(core.state(), state);
    }
}

#[test]
fn half_open_does_not_wait_for_lost_probes_for_ever_if_told_so() {
    let now = Instant::now();
    let mut core = BreakerCore::new(BreakerConfig { max_wait_in_half_open: secs(5), ..config(1) }, now);
    call(&mut core, now, CallOutcome::Failure);
    let _lost = admitted(&mut core, now + secs(60));
    core.advance(now + secs(65));
    assert_eq!(core.state(), BreakerState::Open);
}

#[test]
fn a_call_of_an_earlier_state_says_nothing_about_this_one() {
    let now = Instant::now();
    let mut core = BreakerCore::new(BreakerConfig { permitted_calls_in_half_open: 1, ..config(1) }, now);
    let old = admitted(&mut core, now);
    call(&mut core, now, CallOutcome::Failure);
    let probe = admitted(&mut core, now + secs(60));
    assert!(probe.is_some());
    if let Some(old) = old {
        core.record(old, CallOutcome::Failure, ms(0), now + secs(60));
    }
    assert_eq!(core.state(), BreakerState::HalfOpen);
}

#[test]
fn forced_states_stay_whatever_happens() {
    let now = Instant::now();
    for (state, admits) in
        [(BreakerState::Disabled, true), (BreakerState::ForcedOpen, false), (BreakerState::MetricsOnly, true)]
    {
        let mut core = BreakerCore::new(config(1), now);
        core.force(state, now);
        for second in 0..200 {
            assert_eq!(call(&mut core, now + secs(second), CallOutcome::Failure), admits);
            assert_eq!(core.state(), state);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_listens_is_told_of_each_change() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let breaker = CircuitBreaker::with_listener("test", config(1), move |_, to| log.lock().unwrap().push(to));
    let _: Result<(), Failure<()>> = breaker.call(|| async { Err(()) }).await;
    crate::time::after(secs(60)).await;
    for _ in 0..2 {
        let _: Result<(), Failure<()>> = breaker.call(|| async { Ok(()) }).await;
    }
    let expected = [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_gives_its_place_back() {
    let breaker = CircuitBreaker::new("test", config(1));
    breaker.force(BreakerState::HalfOpen);
    for _ in 0..10 {
        let slow = breaker.call(std::future::pending::<Result<(), ()>>);
        assert!(tokio::time::timeout(ms(1), slow).await.is_err());
    }
    for _ in 0..2 {
        let answered: Result<(), Failure<()>> = breaker.call(|| async { Ok(()) }).await;
        assert_eq!(answered, Ok(()));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit,
    Record { which: usize, failed: bool },
    Release { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..90_u64).prop_map(Step::Wait),
        Just(Step::Admit),
        Just(Step::Admit),
        (any::<usize>(), any::<bool>()).prop_map(|(which, failed)| Step::Record { which, failed }),
        any::<usize>().prop_map(|which| Step::Release { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Probes are counted by hand: let through since the breaker became half-open, less those given back.
    #[test]
    fn it_never_admits_more_than_its_probes_in_half_open(
        steps in prop::collection::vec(step(), 1..120), permitted in 1..5_usize,
    ) {
        let mut now = Instant::now();
        let rules = BreakerConfig { permitted_calls_in_half_open: permitted, ..config(3) };
        let mut core = BreakerCore::new(rules, now);
        core.force(BreakerState::Open, now);
        let mut era = 0_u32;
        let (mut held, mut probes): (Vec<(Ticket, u32)>, usize) = (Vec::new(), 0);
        for step in steps {
            let before = core.state();
            match step {
                Step::Wait(by) => {
                    now += secs(by);
                    core.advance(now);
                }
                Step::Admit => {
                    let ticket = admitted(&mut core, now);
                    if core.state() != before {
                        (era, probes) = (era + 1, 0);
                    }
                    if let Some(ticket) = ticket {
                        held.push((ticket, era));
                        probes += usize::from(core.state() == BreakerState::HalfOpen);
                    }
                    prop_assert!(core.state() != BreakerState::HalfOpen || probes <= permitted);
                    continue;
                }
                Step::Record { which, failed } if !held.is_empty() => {
                    let (ticket, _) = held.swap_remove(which % held.len());
                    let outcome = if failed { CallOutcome::Failure } else { CallOutcome::Success };
                    core.record(ticket, outcome, ms(0), now);
                }
                Step::Release { which } if !held.is_empty() => {
                    let (ticket, of) = held.swap_remove(which % held.len());
                    if of == era {
                        probes = probes.saturating_sub(1);
                    }
                    core.release(ticket);
                }
                Step::Record { .. } | Step::Release { .. } => {}
            }
            if core.state() != before {
                (era, probes) = (era + 1, 0);
            }
        }
    }
}
