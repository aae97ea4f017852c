use std::time::Duration;

use crate::{
    task::{
        Environment, ExitCodes, TaskError, TraceParent,
        program::{Ending, supervise},
    },
    time::{Context, after},
};

fn environment(variables: &[(&str, &str)]) -> Result<Environment, Vec<String>> {
    let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Environment::read(value).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_environment_of_a_task_of_an_indexed_job_is_read() -> Result<(), Vec<String>> {
    let read = environment(&[
        ("CRONLET_SCHEDULED_TIME", "2026-03-01T10:00:00+01:00"),
        ("JOB_NAME", "report-29540700"),
        ("CRONLET_ATTEMPT", "3"),
        ("JOB_COMPLETION_INDEX", "0"),
    ])?;
    assert_eq!(read.scheduled_time.map(|t| t.to_string()).as_deref(), Some("2026-03-01T09:00:00Z"));
    assert_eq!((read.attempt, read.completion_index), (3, Some(0)));
    Ok(())
}

#[test]
fn the_name_of_a_cron_job_s_job_tells_the_scheduled_time() -> Result<(), Vec<String>> {
    for (name, expected) in [
        ("nightly-data-cleanup-29538720", Some("2026-03-01T00:00:00Z")),
        ("migrate-7", None),
        ("migrate-x7k2p", None),
        ("29538720", None),
    ] {
        let read = environment(&[("JOB_NAME", name)])?;
        assert_eq!(read.scheduled_time.map(|t| t.to_string()).as_deref(), expected, "{name}");
    }
    Ok(())
}

#[test]
fn all_faults_of_the_environment_are_told_at_once() {
    let faults = environment(&[
        ("CRONLET_SCHEDULED_TIME", "soon"),
        ("CRONLET_ATTEMPT", "0"),
        ("JOB_COMPLETION_INDEX", "-1"),
    ]);
    let faults = faults.err().unwrap_or_default();
    assert_eq!(faults.len(), 3);
    assert_eq!(
        faults[1],
        "environment variable CRONLET_ATTEMPT: `0` is not a number from 1; correct it or leave it out"
    );
    assert!(environment(&[("CRONLET_ATTEMPT", ""), ("TRACEPARENT", "nonsense")]).is_ok());
}

#[test]
fn a_trace_parent_is_read_as_w3c_says() {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let parsed: Result<TraceParent, _> = text.parse();
    assert_eq!(parsed.map(|parent| (parent.to_string(), parent.sampled)), Ok((text.to_owned(), true)));
    for (text, good) in [
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like", true),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false),
        ("", false),
    ] {
        assert_eq!(text.parse::<TraceParent>().is_ok(), good, "{text}");
    }
}

/// The exit code of `work` when signals come at these seconds, and how long it took.
async fn exit_of<Fut>(work: impl FnOnce(Context) -> Fut, signals: &[u64]) -> (u8, Option<String>, u64)
where
    Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
{
    let (start, context) = (tokio::time::Instant::now(), Context::background());
    let mut signals = signals.iter();
    let stop = async || match signals.next() {
        Some(at) => {
            tokio::time::timeout_at(start + secs(*at), std::future::pending::<()>()).await.ok();
            "SIGTERM"
        }
        None => std::future::pending().await,
    };
    let ending = supervise(work(context.clone()), &context, secs(25), stop).await;
    let (code, message) = ending.verdict(&ExitCodes::default());
    (code, message, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn exit_codes_tell_what_may_be_tried_again() {
    let done = exit_of(|_| async { Ok(()) }, &[]).await;
    assert_eq!(done, (0, None, 0));
    let busy = exit_of(|_| async { Err(TaskError::retriable("busy")) }, &[]).await;
    assert_eq!(busy, (75, Some("busy".to_owned()), 0));
    let wrong = exit_of(|_| async { Err(TaskError::permanent("no such table")) }, &[]).await;
    assert_eq!(wrong, (65, Some("no such table".to_owned()), 0));
    let lost = exit_of(|_| async { Err(std::io::Error::other("connection reset"))? }, &[]).await;
    assert_eq!(lost, (75, Some("connection reset".to_owned()), 0));
    let (code, message, _) = exit_of(|_| async { panic!("index out of bounds") }, &[]).await;
    assert_eq!(code, 101);
    assert!(message.is_some_and(|message| message.contains("index out of bounds")));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_told_to_end_has_a_grace_to_do_so() {
    let polite = |context: Context| async move { Ok(context.run(after(secs(3600))).await.map(drop)?) };
    assert_eq!(exit_of(polite, &[10]).await, (143, Some("cancelled: SIGTERM".to_owned()), 10));

    let quick = |context: Context| async move {
        context.done().await;
        after(secs(5)).await;
        Ok(())
    };
    assert_eq!(exit_of(quick, &[10]).await, (0, None, 15), "it got done");

    let deaf = |_| std::future::pending();
    let late = Some("did not end in time after SIGTERM".to_owned());
    assert_eq!(exit_of(deaf, &[10]).await, (143, late.clone(), 35));
    assert_eq!(exit_of(deaf, &[10, 12]).await, (143, late, 12), "a second signal does not wait");
}

#[test]
fn an_error_is_told_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the order cannot be read")]
    struct Outer(#[source] std::io::Error);

    let error = TaskError::from(Outer(std::io::Error::other("disk on fire")));
    assert_eq!(error.to_string(), "the order cannot be read: disk on fire");
    assert_eq!(Ending::Failed(error).verdict(&ExitCodes::default()).0, 75);
}

#[cfg(feature = "metrics")]
#[test]
fn a_run_is_counted_by_its_outcome_and_pushed_when_it_has_ended() -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};

    use crate::{metrics::Registry, task::Program};

    let gateway = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = gateway.local_addr()?.to_string();
    let pushed = std::thread::spawn(move || {
        let (mut stream, _) = gateway.accept()?;
        let mut seen = String::new();
        // All of it has come when its last line has.
        while !seen.contains("task_runs_total{outcome=\"failed\"} 1\n") {
            let mut part = [0; 4096];
            let length = stream.read(&mut part)?;
            seen.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        Ok::<_, std::io::Error>(seen)
    });
    let registry = Registry::new();
    let program = Program::default().metrics(&registry).push(address, "report");
    program.clone().run(|_| async { Err(TaskError::permanent("no such table")) });
    let seen = pushed.join().map_err(|_| std::io::Error::other("the gateway panicked"))??;
    assert!(seen.starts_with("PUT /metrics/job/report HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("task_attempts_total 1\n") && seen.contains("task_run_duration_seconds_count 1\n"));

    // Nobody listens any more: that is told, and does not change what the run came to.
    program.run(|_| async { Ok(()) });
    assert!(registry.text().contains("task_runs_total{outcome=\"succeeded\"} 1\n"), "{}", registry.text());
    Ok(())
}
