use std::{fs, path::Path, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{ms, secs};
use crate::{
    WallClock,
    resilience::{
        Admission, BreakerConfig, BreakerCore, BreakerState, CallOutcome, CircuitBreaker, Failure,
        FixedWindow, Gcra, RateCore, RateLimiter, SharedState, Window,
    },
    time::after,
};

/// State in a directory, by a clock that goes with the paused time.
fn shared(directory: &Path) -> SharedState {
    let start = jiff::Timestamp::UNIX_EPOCH + secs(1_000_000_000);
    SharedState::in_directory(directory).clock(WallClock::starting_at(start))
}

fn config() -> BreakerConfig {
    BreakerConfig {
        window: Window::Count(4),
        permitted_calls_in_half_open: 2,
        wait_in_open: secs(60),
        ..BreakerConfig::default()
    }
}

async fn call(breaker: &CircuitBreaker, good: bool) -> Result<(), Failure<()>> {
    breaker.call(|| async { if good { Ok(()) } else { Err(()) } }).await
}

#[tokio::test(start_paused = true)]
async fn a_breaker_knows_what_those_before_it_have_learnt() {
    let directory = tempfile::tempdir().unwrap();
    let state = shared(directory.path());
    let run = || CircuitBreaker::new("stock", config()).shared(&state);
    // Each call in a run of its own, as of a cron job.
    for good in [true, false, true, false] {
        assert_eq!(call(&run(), good).await.is_ok(), good);
    }
    assert_eq!(run().state(), BreakerState::Open);
    after(secs(20)).await;
    let refused = call(&run(), true).await;
    assert!(
        matches!(refused, Err(Failure::CircuitOpen { retry_after: Some(wait) }) if wait <= secs(40) && wait > secs(39)),
        "{refused:?}"
    );
    after(secs(41)).await;
    for _ in 0..2 {
        assert_eq!(run().state(), BreakerState::HalfOpen);
        assert_eq!(call(&run(), true).await, Ok(()));
    }
    assert_eq!(run().state(), BreakerState::Closed);
    assert_eq!(CircuitBreaker::new("another", config()).shared(&state).state(), BreakerState::Closed);
    assert_eq!(state.fault(), None);
}

#[tokio::test(start_paused = true)]
async fn probes_are_counted_over_all_processes_and_those_that_died_are_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let state = shared(directory.path());
    let run = || CircuitBreaker::new("stock", config()).shared(&state);
    run().force(BreakerState::Open);
    after(secs(61)).await;
    let (first, second) = (run(), run());
    let probe = first.begin().unwrap();
    // This one dies with its process.
    std::mem::forget(second.begin().unwrap());
    assert!(run().begin().is_err(), "both probes are out");
    drop(probe);
    run().begin().unwrap().end(CallOutcome::Success);
    assert!(run().begin().is_err());
    after(secs(3600)).await;
    assert_eq!(run().state(), BreakerState::Open);
    after(secs(60)).await;
    for _ in 0..2 {
        run().begin().unwrap().end(CallOutcome::Success);
    }
    assert_eq!(run().state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn limiters_that_share_a_name_give_turns_of_one_rate() {
    let directory = tempfile::tempdir().unwrap();
    let state = shared(directory.path());
    let gcra = || RateLimiter::new(Gcra::new(2, secs(1))).timeout(ms(0)).shared("gcra", &state);
    let fixed = || RateLimiter::new(FixedWindow::new(2, secs(1))).timeout(ms(0)).shared("fixed", &state);
    for limiter in [&gcra as &dyn Fn() -> RateLimiter, &fixed] {
        let mut given = Vec::new();
        for _ in 0..8 {
            given.push(limiter().acquire().await.is_ok());
            after(ms(250)).await;
        }
        // Two at once, and two a second after that.
        assert!(given[..2].iter().all(|given| *given), "{given:?}");
        let count = given.iter().filter(|given| **given).count();
        assert!((4..=5).contains(&count), "{given:?}");
    }
    assert_eq!(state.fault(), None);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_has_not_gone_on() {
    let directory = tempfile::tempdir().unwrap();
    let late = jiff::Timestamp::UNIX_EPOCH + secs(2_000_000_000);
    let ahead = SharedState::in_directory(directory.path()).clock(WallClock::starting_at(late));
    CircuitBreaker::new("stock", config()).shared(&ahead).force(BreakerState::Open);
    let behind = CircuitBreaker::new("stock", config()).shared(&shared(directory.path()));
    assert_eq!(behind.state(), BreakerState::Open);
    after(secs(61)).await;
    assert_eq!(behind.state(), BreakerState::HalfOpen, "it waits once, not for thirty years");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_said_and_the_guard_goes_on_alone() {
    let directory = tempfile::tempdir().unwrap();
    let alone = async |state: &SharedState, name: &str, why: &str| {
        let breaker = CircuitBreaker::new(name, config()).shared(state);
        for _ in 0..4 {
            assert_eq!(call(&breaker, false).await, Err(Failure::Call(())));
        }
        assert_eq!(breaker.state(), BreakerState::Open, "it has learnt by itself");
        let fault = state.fault().unwrap_or_default();
        assert!(fault.contains("keeps its state to itself") && fault.contains(why), "{fault}");
    };
    alone(&shared(Path::new("/dev/null/x")), "stock", "Not a directory").await;
    let state = shared(directory.path());
    alone(&state, &"/".repeat(70), "more than 200 bytes").await;

    let good = CircuitBreaker::new("stock", config()).shared(&state);
    assert_eq!((good.state(), state.fault()), (BreakerState::Closed, None), "it is well again");
    let locked = fs::File::open(directory.path().join("breaker-stock")).unwrap();
    locked.lock().unwrap();
    alone(&state, "stock", "another process has locked its file").await;
}

#[test]
fn names_do_not_leave_the_directory_nor_meet_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = SharedState::in_directory(directory.path());
    for name in ["../x", "a/b", "a%2Fb", "a b", "ü", ""] {
        let _held = state.file("rate", name).hold().unwrap();
    }
    let mut files: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = ["rate-", "rate-%C3%BC", "rate-..%2Fx", "rate-a%20b", "rate-a%252Fb", "rate-a%2Fb"];
    assert_eq!(files, expected);
}

#[tokio::test(start_paused = true)]
async fn threads_that_share_a_rate_never_exceed_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = SharedState::in_directory(directory.path());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let state = state.clone();
            std::thread::spawn(move || {
                let turn = |_| {
                    let file = state.file("rate", "hourly");
                    let held = file.hold().unwrap();
                    let (now, mut rule) = (Instant::now(), Gcra::new(10, secs(3600)));
                    if let Some(known) = held.known() {
                        rule.recall(&known.text, known.age, now);
                    }
                    let turn = rule.reserve(now, ms(0)).is_ok();
                    held.keep(&rule.remember(now).unwrap());
                    turn
                };
                (0..50).map(turn).filter(|turn| *turn).count()
            })
        })
        .collect();
    let turns: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(turns, 10);
}

/// What happens to a breaker or a rate, and how long after what happened before.
fn steps() -> impl Strategy<Value = Vec<(u8, u64)>> {
    proptest::collection::vec((0..4_u8, 0..40_u64), 1..60)
}

/// A breaker follows steps, and says what it did at each. `pass` has the time that has passed, and may hand the breaker
/// over to another.
fn follow(
    config: BreakerConfig,
    steps: &[(u8, u64)],
    pass: impl Fn(BreakerCore, Instant, Duration) -> (BreakerCore, Instant),
) -> Vec<(bool, BreakerState)> {
    let mut now = Instant::now() + secs(100_000);
    let mut core = BreakerCore::new(config, now);
    let mut out = Vec::new();
    steps
        .iter()
        .map(|(what, wait)| {
            (core, now) = pass(std::mem::replace(&mut core, BreakerCore::new(config, now)), now, secs(*wait));
            let admitted = match core.admit(now) {
                Admission::Admitted(ticket) => {
                    out.push(ticket);
                    true
                }
                Admission::Refused { .. } => false,
            };
            match (what, out.pop()) {
                (0, Some(ticket)) => core.record(ticket, CallOutcome::Success, ms(1), now),
                (1, Some(ticket)) => core.record(ticket, CallOutcome::Failure, ms(1), now),
                (2, Some(ticket)) => core.release(ticket),
                // Still under way.
                (_, Some(ticket)) => out.insert(0, ticket),
                (_, None) => {}
            }
            (admitted, core.state())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_breaker_that_is_handed_over_at_each_step_does_as_one_that_is_not(steps in steps(), time in any::<bool>()) {
        let window = if time { Window::Time(secs(100)) } else { Window::Count(6) };
        let config = BreakerConfig { window, minimum_calls: 4, ..config() };
        let one = follow(config, &steps, |core, now, wait| (core, now + wait));
        let many = follow(config, &steps, |core, now, wait| {
            let text = core.remember(now);
            let later = now + wait;
            let mut next = BreakerCore::new(config, later);
            next.recall(&text, wait, later).unwrap();
            (next, later)
        });
        prop_assert_eq!(one, many);
    }

    #[test]
    fn a_rate_that_is_handed_over_at_each_step_gives_the_same_turns(steps in steps()) {
        let rules = || [Box::new(Gcra::new(3, secs(30)).burst(2)) as Box<dyn RateCore>, Box::new(FixedWindow::new(3, secs(30)))];
        for (mut one, fresh) in rules().into_iter().zip([0, 1]) {
            let mut many = rules().into_iter().nth(fresh).unwrap();
            let mut now = Instant::now() + secs(100_000);
            for (what, wait) in &steps {
                let text = many.remember(now);
                many = rules().into_iter().nth(fresh).unwrap();
                now += secs(*wait);
                if let Some(text) = text {
                    many.recall(&text, secs(*wait), now);
                }
                let patience = secs(u64::from(*what) * 10);
                prop_assert_eq!(one.reserve(now, patience), many.reserve(now, patience));
            }
        }
    }

    #[test]
    fn whatever_is_in_a_file_is_taken_or_left(text in ".*", numbers in proptest::collection::vec(any::<u64>(), 0..6)) {
        let now = Instant::now();
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let texts = [
            text,
            numbers.join(" "),
            format!("open {}\nabcd", numbers.join(" ")),
            format!("closed 1 2 3\n{}", numbers.join(" ")),
            format!("closed 1 2 3\n{}", numbers.join("\n")),
        ];
        for text in texts {
            for window in [Window::Count(4), Window::Time(secs(10))] {
                let mut core = BreakerCore::new(BreakerConfig { window, ..config() }, now);
                let _taken = core.recall(&text, secs(1), now);
                for outcome in [CallOutcome::Success, CallOutcome::Failure] {
                    if let Admission::Admitted(ticket) = core.admit(now) {
                        core.record(ticket, outcome, ms(1), now);
                    }
                }
            }
            let rules: [Box<dyn RateCore>; 2] =
                [Box::new(Gcra::new(3, secs(1))), Box::new(FixedWindow::new(3, secs(1)))];
            for mut rule in rules {
                rule.recall(&text, secs(1), now);
                let _turn = rule.reserve(now, Duration::MAX);
                let _turn = rule.reserve(now + secs(5), ms(0));
                prop_assert!(rule.remember(now).is_some());
            }
        }
    }

    #[test]
    fn a_file_of_anything_is_read_as_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("breaker-x"), bytes).unwrap();
        let state = SharedState::in_directory(directory.path());
        let file = state.file("breaker", "x");
        prop_assert!(file.hold().unwrap().known().is_none());
        file.hold().unwrap().keep("anything");
        let kept = file.hold().unwrap().known().map(|known| known.text.clone());
        prop_assert_eq!(kept.as_deref(), Some("anything"));
    }
}
