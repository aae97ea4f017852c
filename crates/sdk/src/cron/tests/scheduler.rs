use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;

use super::at;
use crate::{
    WallClock,
    cron::{Job, JobError, Outcome, Overlap, Run, Scheduler},
    time::after,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A scheduler whose clock shows nine o'clock.
fn at_nine() -> Scheduler {
    Scheduler::with_clock(WallClock::starting_at(at("09:00:00")))
}

fn minutely(name: &str) -> Job {
    match Job::cron(name, "* * * * *") {
        Ok(job) => job,
        Err(error) => panic!("{error}"),
    }
}

type Log = Arc<Mutex<Vec<(Timestamp, &'static str)>>>;

/// A job whose runs take `takes`, unless their context ends, and write down what becomes of them.
fn logging(job: Job, takes: Duration) -> (Job, Log) {
    let log = Log::default();
    let written = log.clone();
    let job = job.run(move |run: Run| {
        let log = written.clone();
        async move {
            log.lock().unwrap().push((run.scheduled, "began"));
            let ended = run.context.run(after(takes)).await;
            log.lock()
                .unwrap()
                .push((run.scheduled, if ended.is_ok() { "ended" } else { "was told to end" }));
            ended.map(drop)
        }
    });
    (job, log)
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().iter().map(|(time, what)| format!("{} {what}", time.strftime("%H:%M"))).collect()
}

#[tokio::test(start_paused = true)]
async fn runs_begin_at_their_times_in_their_zone() -> Result<(), JobError> {
    let scheduler = at_nine();
    let job = Job::cron("tokyo", "30 18 * * *")?.zone("Asia/Tokyo")?;
    let (job, log) = logging(job, secs(1));
    scheduler.add(job)?;
    after(secs(60)).await;
    assert_eq!(scheduler.status()["tokyo"].next, Some(at("09:30:00")));
    after(secs(86_400)).await;
    assert_eq!(lines(&log), ["09:30 began", "09:30 ended"]);
    let status = &scheduler.status()["tokyo"];
    assert_eq!((status.last, status.succeeded, status.running), (Some(at("09:30:00")), 1, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn overlap_policies_do_what_they_say() -> Result<(), JobError> {
    let cases: [(Overlap, &[&str]); 5] = [
        (Overlap::Skip, &["09:01 began", "09:01 ended", "09:03 began"]),
        (Overlap::BufferOne, &["09:01 began", "09:01 ended", "09:02 began"]),
        (Overlap::AllowAll, &["09:01 began", "09:02 began", "09:01 ended", "09:03 began"]),
        (
            Overlap::CancelOther,
            &["09:01 began", "09:01 was told to end", "09:02 began", "09:02 was told to end", "09:03 began"],
        ),
        (Overlap::TerminateOther, &["09:01 began", "09:02 began", "09:03 began"]),
    ];
    for (policy, expected) in cases {
        let scheduler = at_nine();
        let (job, log) = logging(minutely("job").overlap(policy), secs(90));
        scheduler.add(job)?;
        after(secs(190)).await;
        assert_eq!(lines(&log), expected, "{policy:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_dropped_and_the_next_takes_place() -> Result<(), JobError> {
    let scheduler = at_nine();
    let job = minutely("slow").timeout(secs(10)).run(|_| std::future::pending::<Result<(), String>>());
    scheduler.add(job)?;
    after(secs(135)).await;
    let status = &scheduler.status()["slow"];
    assert_eq!((status.failed, status.last_outcome), (2, Some(Outcome::TimedOut)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_or_panics_does_not_end_the_job() -> Result<(), JobError> {
    let scheduler = at_nine();
    scheduler.add(minutely("job").run(|run| async move {
        assert!(run.scheduled != at("09:02:00"), "not at this time");
        Err("no disk")
    }))?;
    after(secs(61)).await;
    assert_eq!(scheduler.status()["job"].last_error.as_deref(), Some("no disk"));
    after(secs(60)).await;
    let panicked = scheduler.status()["job"].last_error.clone();
    assert!(panicked.is_some_and(|error| error.contains("not at this time")));
    after(secs(60)).await;
    assert_eq!(scheduler.status()["job"].failed, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn stop_waits_for_runs_and_starts_no_other() -> Result<(), JobError> {
    let scheduler = at_nine();
    let (job, log) = logging(minutely("job").overlap(Overlap::BufferOne), secs(90));
    scheduler.add(job)?;
    after(secs(125)).await;
    let status = scheduler.stop().await;
    assert_eq!(lines(&log), ["09:01 began", "09:01 ended"]);
    let job = &status["job"];
    assert_eq!((job.succeeded, job.skipped, job.running, job.next), (1, 1, 0, None));
    assert!(matches!(scheduler.add(minutely("late")), Err(JobError::Stopped(_))));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn stop_waits_for_every_run_not_only_for_the_first_to_end() -> Result<(), JobError> {
    let scheduler = at_nine();
    let (job, log) = logging(minutely("job").overlap(Overlap::AllowAll), secs(170));
    scheduler.add(job)?;
    after(secs(190)).await;
    let status = scheduler.stop().await;
    assert_eq!(
        lines(&log),
        ["09:01 began", "09:02 began", "09:03 began", "09:01 ended", "09:02 ended", "09:03 ended"]
    );
    assert_eq!((status["job"].succeeded, status["job"].running), (3, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_patience_cancels_and_then_drops() -> Result<(), JobError> {
    let scheduler = at_nine();
    let (polite, log) = logging(minutely("polite"), secs(3600));
    scheduler.add(polite)?;
    scheduler.add(minutely("deaf").run(|_| std::future::pending::<Result<(), String>>()))?;
    after(secs(61)).await;
    let begun = tokio::time::Instant::now();
    let status = scheduler.stop_within(secs(5)).await;
    assert_eq!(begun.elapsed(), secs(10));
    assert_eq!(lines(&log), ["09:01 began", "09:01 was told to end"]);
    assert_eq!(status["polite"].last_outcome, Some(Outcome::Failed));
    assert_eq!((status["deaf"].last_outcome, status["deaf"].running), (Some(Outcome::Terminated), 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_nobody_waits_for_any_more_is_still_a_stop() -> Result<(), JobError> {
    let scheduler = at_nine();
    let (job, log) = logging(minutely("job"), secs(30));
    scheduler.add(job)?;
    after(secs(61)).await;
    assert!(tokio::time::timeout(secs(1), scheduler.stop()).await.is_err());
    after(secs(600)).await;
    assert_eq!(lines(&log), ["09:01 began", "09:01 ended"], "the run goes on, and no other begins");
    assert_eq!(scheduler.stop().await["job"].succeeded, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_asked_for() -> Result<(), JobError> {
    let scheduler = at_nine();
    let (job, log) = logging(minutely("job"), secs(1));
    scheduler.add(job)?;
    after(secs(30)).await;
    assert!(scheduler.trigger("job"));
    assert!(!scheduler.trigger("another"));
    after(secs(2)).await;
    assert_eq!(lines(&log), ["09:00 began", "09:00 ended"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_and_schedules_are_checked() -> Result<(), JobError> {
    let scheduler = at_nine();
    scheduler.add(minutely("job"))?;
    assert!(matches!(scheduler.add(minutely("job")), Err(JobError::NameTaken(_))));
    assert!(matches!(Job::cron("job", "* * *"), Err(JobError::Schedule { .. })));
    assert!(matches!(minutely("job").zone("Mars/Base"), Err(JobError::Zone { .. })));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stamp_tells_the_next_start_what_was_missed() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("last");
    std::fs::write(&file, "2026-03-01T08:00:00Z\n")?;
    let hourly = || Job::cron("job", "0 * * * *").map(|job| job.stamp(&file).catch_up(secs(3600)));
    let scheduler = Scheduler::with_clock(WallClock::starting_at(at("11:30:00")));
    let (job, log) = logging(hourly()?, secs(1));
    scheduler.add(job)?;
    after(secs(10)).await;
    assert_eq!(lines(&log), ["11:00 began", "11:00 ended"]);
    assert_eq!(scheduler.status()["job"].missed, 2);
    scheduler.stop().await;
    assert_eq!(std::fs::read_to_string(&file)?, "2026-03-01T11:00:00Z\n");

    std::fs::write(&file, "yesterday")?;
    assert!(matches!(at_nine().add(hourly()?), Err(JobError::Stamp { .. })));
    Ok(())
}
