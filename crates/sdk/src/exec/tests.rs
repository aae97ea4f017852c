use std::time::Duration;

use super::{Exec, ExecEnded, NOT_EXECUTABLE_CODE, NOT_FOUND_CODE, REFUSED_CODE, TIMED_OUT_CODE};
use crate::{
    resilience::{Backoff, BreakerConfig, BreakerState, CircuitBreaker, RetryLimits, SharedState, Window},
    time::{Context, after},
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn shell(script: &str) -> Exec {
    Exec::new("sh", ["-c", script]).backoff(Backoff::constant(ms(1)))
}

async fn ended(exec: Exec) -> (u8, u32) {
    let ExecEnded { code, attempts, .. } = exec.run(&Context::background()).await;
    (code, attempts)
}

#[tokio::test]
async fn a_command_is_tried_until_it_succeeds_or_the_attempts_are_used_up() {
    assert_eq!(ended(shell("exit 0")).await, (0, 1));
    assert_eq!(ended(shell("test $CRONLET_ATTEMPT = 2")).await, (0, 2));
    assert_eq!(ended(shell("exit 7")).await, (7, 3));
    let five = RetryLimits { max_attempts: 5, ..RetryLimits::default() };
    assert_eq!(ended(shell("exit 7").limits(five)).await, (7, 5));
}

#[tokio::test]
async fn what_is_in_vain_is_not_tried_again() {
    assert_eq!(ended(shell("exit 65").permanent_codes([65])).await, (65, 1));
    assert_eq!(ended(Exec::new("/no/such/command", [""; 0])).await, (NOT_FOUND_CODE, 1));
    assert_eq!(ended(Exec::new("/", [""; 0])).await, (NOT_EXECUTABLE_CODE, 1));
}

#[tokio::test]
async fn a_signal_is_told_as_a_shell_does() {
    let once = RetryLimits { max_attempts: 1, ..RetryLimits::default() };
    assert_eq!(ended(shell("kill -KILL $$").limits(once)).await, (137, 1));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_ended_with_all_it_started() -> std::io::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("child");
    let once = RetryLimits { max_attempts: 1, ..RetryLimits::default() };
    let script = format!("trap '' TERM; sleep 1000 & trap - TERM; echo $! > {}; wait", file.display());
    assert_eq!(ended(shell(&script).timeout(ms(300)).limits(once)).await, (TIMED_OUT_CODE, 1));
    assert!(is_gone(&file).await?);
    Ok(())
}

#[tokio::test]
async fn one_that_ignores_the_request_is_killed_after_the_grace() {
    let once = RetryLimits { max_attempts: 1, ..RetryLimits::default() };
    let deaf =
        shell("trap '' TERM; while :; do sleep 1000; done").timeout(ms(200)).grace(ms(100)).limits(once);
    assert_eq!(ended(deaf).await, (TIMED_OUT_CODE, 1));
}

#[tokio::test]
async fn the_end_of_the_context_ends_the_command_and_the_attempts() {
    let context = Context::background();
    let exec = shell("trap 'exit 3' TERM; while :; do sleep 0.01; done");
    let (ended, ()) = tokio::join!(exec.run(&context), async {
        after(ms(300)).await;
        context.cancel();
    });
    assert_eq!((ended.code, ended.attempts), (3, 1));
}

/// A breaker that opens after two failures, as of a run that ends with it.
fn breaker(state: &SharedState) -> CircuitBreaker {
    let config = BreakerConfig {
        window: Window::Count(2),
        permitted_calls_in_half_open: 1,
        wait_in_open: ms(3_600_000),
        ..BreakerConfig::default()
    };
    CircuitBreaker::new("stock", config).shared(state)
}

#[tokio::test]
async fn a_breaker_is_heard_before_each_attempt_and_remembers_the_runs_before() {
    let directory = tempfile::tempdir().unwrap();
    let state = SharedState::in_directory(directory.path());
    let once = RetryLimits { max_attempts: 1, ..RetryLimits::default() };
    let run = || shell("exit 7").breaker(breaker(&state));
    assert_eq!(ended(run().limits(once)).await, (7, 1));
    let five = RetryLimits { max_attempts: 5, ..RetryLimits::default() };
    let second = run().limits(five).run(&Context::background()).await;
    assert_eq!(
        (second.code, second.attempts, second.refused),
        (7, 1, true),
        "its failure opened the breaker"
    );
    let third = shell("exit 0").breaker(breaker(&state)).run(&Context::background()).await;
    assert_eq!((third.code, third.attempts, third.refused), (REFUSED_CODE, 0, true));
}

#[tokio::test]
async fn what_says_nothing_about_the_command_is_not_held_against_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = SharedState::in_directory(directory.path());
    for _ in 0..3 {
        let missing = Exec::new("/no/such/command", [""; 0]).breaker(breaker(&state));
        assert_eq!(ended(missing).await, (NOT_FOUND_CODE, 1));
        let context = Context::background();
        let exec = shell("exec sleep 600").breaker(breaker(&state));
        let (stopped, ()) = tokio::join!(exec.run(&context), async {
            after(ms(50)).await;
            context.cancel();
        });
        assert_eq!((stopped.code, stopped.refused), (143, false));
    }
    assert_eq!(breaker(&state).state(), BreakerState::Closed);
}

#[tokio::test]
async fn each_attempt_that_is_followed_by_another_is_told() {
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = told.clone();
    let exec = shell("exit $CRONLET_ATTEMPT").on_retry(move |retry| heard.lock().unwrap().push(*retry));
    assert_eq!(ended(exec).await, (3, 3));
    let told: Vec<_> =
        told.lock().unwrap().iter().map(|retry| (retry.attempt, retry.code, retry.wait)).collect();
    assert_eq!(told, [(1, 1, ms(1)), (2, 2, ms(1))]);
}

#[tokio::test]
async fn dropping_the_future_kills_the_command() -> std::io::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("pid");
    let exec = shell(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let context = Context::background();
    {
        let mut run = std::pin::pin!(exec.run(&context));
        for _ in 0..1000 {
            tokio::select! {
                _ = &mut run => break,
                _ = after(ms(10)) => {}
            }
            if std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
                break;
            }
        }
    }
    assert!(is_gone(&file).await?);
    Ok(())
}

/// Whether the process whose number is in a file has ended or ends soon: signals are on their way for a moment.
async fn is_gone(file: &std::path::Path) -> std::io::Result<bool> {
    let stat = format!("/proc/{}/stat", std::fs::read_to_string(file)?.trim());
    for _ in 0..1000 {
        let Ok(text) = std::fs::read_to_string(&stat) else { return Ok(true) };
        let state = text.rsplit(')').next().unwrap_or_default().trim().chars().next();
        if matches!(state, Some('Z' | 'X')) {
            return Ok(true);
        }
        after(ms(10)).await;
    }
    Ok(false)
}
