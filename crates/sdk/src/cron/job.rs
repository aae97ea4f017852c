//! What is to be run, and when.

use std::{
    error::Error,
    fmt,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use cronlet_schedule::{ParseError, Schedule, ZoneError, load_time_zone};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::Overlap;
use crate::{limits::INTERVAL_MS_MIN, time::Context};

/// How long ago a time may have passed for its run still to start, unless told otherwise.
const CATCH_UP_DEFAULT: Duration = Duration::from_secs(60);
/// How long it takes to count missed times at most: beyond this many, the rest is skipped uncounted.
const MISSED_COUNTED_MAX: u64 = 100_000;

/// When runs are due.
///
/// ```
/// use std::time::Duration;
/// use cronlet_sdk::cron::Trigger;
///
/// let nine: jiff::Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
/// let next = Trigger::Every(Duration::from_secs(90)).next_after(nine).unwrap();
/// assert_eq!(next.to_string(), "2026-03-01T09:01:30Z");
/// ```
#[derive(Debug, Clone)]
pub enum Trigger {
    /// At the times of a schedule, in a zone. Boxed as it is much larger than the other.
    Cron(Box<(Schedule, TimeZone)>),
    /// At a steady interval, counted from the last run or the start of the scheduler.
    Every(Duration),
}

impl Trigger {
    /// The first time after `instant`; `None` if there is none within five years.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        match self {
            Trigger::Cron(cron) => cron.0.next_after(instant, &cron.1),
            Trigger::Every(interval) => {
                let interval = (*interval).max(Duration::from_millis(INTERVAL_MS_MIN));
                instant.checked_add(SignedDuration::try_from(interval).ok()?).ok()
            }
        }
    }

    /// The longest time in which no more than `runs` fall due, where runs can be closer than a minute.
    pub(super) fn span(&self, runs: usize) -> Duration {
        let interval = match self {
            Trigger::Every(interval) => *interval,
            Trigger::Cron(cron) => match cron.0.interval_seconds() {
                Some(seconds) => Duration::from_secs(seconds.unsigned_abs()),
                None => return Duration::MAX,
            },
        };
        let interval = interval.max(Duration::from_millis(INTERVAL_MS_MIN));
        interval.saturating_mul(u32::try_from(runs).unwrap_or(u32::MAX))
    }

    /// How many times lie after `after` and before `until`, and the last of them; `None` if there are none.
    pub(super) fn skip(&self, after: Timestamp, until: Timestamp) -> Option<(u64, Timestamp)> {
        if let Trigger::Every(interval) = self {
            let interval = interval.as_nanos().max(u128::from(INTERVAL_MS_MIN) * 1_000_000);
            let between = u128::try_from(until.duration_since(after).as_nanos()).ok()?;
            let count = between.saturating_sub(1) / interval;
            let passed = Duration::from_nanos(u64::try_from(count * interval).ok()?);
            return (count > 0)
                .then(|| Some((u64::try_from(count).ok()?, after.checked_add(passed).ok()?)))?;
        }
        let (mut count, mut last) = (0, after);
        while let Some(next) = self.next_after(last).filter(|next| *next < until) {
            (count, last) = (count + 1, next);
            if count == MISSED_COUNTED_MAX {
                return Some((count, until));
            }
        }
        (count > 0).then_some((count, last))
    }
}

/// Why a job cannot be scheduled.
///
/// ```
/// use cronlet_sdk::cron::{Job, JobError};
///
/// let error = Job::cron("report", "every day at nine").unwrap_err();
/// assert!(matches!(error, JobError::Schedule { .. }));
/// assert!(error.to_string().starts_with("job `report`: "));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The schedule cannot be read.
    #[error("job `{name}`: {source}")]
    Schedule {
        /// The job.
        name: String,
        /// In the words of robfig/cron.
        source: ParseError,
    },
    /// The time zone is unknown.
    #[error("job `{name}`: {source}")]
    Zone {
        /// The job.
        name: String,
        /// In the words of Kubernetes.
        source: ZoneError,
    },
    /// There is a job of this name.
    #[error("job `{0}` is scheduled already; choose another name")]
    NameTaken(String),
    /// The scheduler was stopped.
    #[error("job `{0}` cannot be added: the scheduler was stopped")]
    Stopped(String),
    /// The stamp of the last run is there and cannot be used.
    #[error("job `{name}`: the stamp of the last run {}: {problem}; correct the file or remove it", path.display())]
    Stamp {
        /// The job.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// What one run is told.
///
/// ```
/// use cronlet_sdk::cron::{Job, Run};
/// # use std::time::Duration;
///
/// let job = Job::every("heartbeat", Duration::from_secs(30)).run(|run: Run| async move {
///     println!("{} was due at {}", run.name, run.scheduled);
///     // Ends early if the run should.
///     run.context.run(cronlet_sdk::time::after(Duration::from_secs(1))).await.map(drop)
/// });
/// # drop(job);
/// ```
#[derive(Debug, Clone)]
pub struct Run {
    /// The name of the job.
    pub name: String,
    /// The time the run was due by its schedule; jitter and delays do not change it.
    pub scheduled: Timestamp,
    /// Ends when the run should: when its time is up, when another run takes its place, when the scheduler stops.
    pub context: Context,
}

type Failing = Box<dyn Error + Send + Sync>;
pub(super) type Work = dyn Fn(Run) -> Pin<Box<dyn Future<Output = Result<(), Failing>> + Send>> + Send + Sync;

/// A job for a [`Scheduler`](super::Scheduler).
///
/// ```
/// # fn main() -> Result<(), cronlet_sdk::cron::JobError> {
/// use std::time::Duration;
/// use cronlet_sdk::cron::{Job, Overlap};
///
/// let job = Job::cron("report", "0 9 * * 1-5")?
///     .zone("Europe/Berlin")?
///     .overlap(Overlap::BufferOne)
///     .catch_up(Duration::from_secs(6 * 3600))
///     .jitter(Duration::from_secs(60))
///     .timeout(Duration::from_secs(1800))
///     .stamp("/var/lib/report/last-run")
///     .run(|_| async { Ok::<_, std::io::Error>(()) });
/// # drop(job);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Job {
    pub(super) name: String,
    pub(super) trigger: Trigger,
    pub(super) overlap: Overlap,
    pub(super) catch_up: Duration,
    pub(super) jitter: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) stamp: Option<PathBuf>,
    pub(super) work: Option<Arc<Work>>,
}

impl Job {
    /// A job at the times of a cron schedule in UTC, or in the zone of its `TZ=` prefix.
    ///
    /// # Errors
    /// If the schedule cannot be read.
    pub fn cron(name: impl Into<String>, schedule: &str) -> Result<Job, JobError> {
        let name = name.into();
        match Schedule::parse(schedule) {
            Ok(schedule) => Ok(Job::new(name, Trigger::Cron(Box::new((schedule, TimeZone::UTC))))),
            Err(source) => Err(JobError::Schedule { name, source }),
        }
    }

    /// A job at a steady interval (at least [`INTERVAL_MS_MIN`]); for the first time one interval from the start.
    pub fn every(name: impl Into<String>, interval: Duration) -> Job {
        Job::new(name.into(), Trigger::Every(interval))
    }

    fn new(name: String, trigger: Trigger) -> Job {
        Job {
            name,
            trigger,
            overlap: Overlap::default(),
            catch_up: CATCH_UP_DEFAULT,
            jitter: Duration::ZERO,
            timeout: None,
            stamp: None,
            work: None,
        }
    }

    /// Reads the schedule in this zone of the tz database, such as `Europe/Berlin`. Without effect on an interval.
    ///
    /// # Errors
    /// If the zone is unknown.
    pub fn zone(mut self, name: &str) -> Result<Job, JobError> {
        let zone =
            load_time_zone(name).map_err(|source| JobError::Zone { name: self.name.clone(), source })?;
        if let Trigger::Cron(cron) = &mut self.trigger {
            cron.1 = zone;
        }
        Ok(self)
    }

    /// What happens when a run is due while another is under way; [`Overlap::Skip`] unless told otherwise.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> Job {
        self.overlap = overlap;
        self
    }

    /// Runs whose time passed longer ago than this are missed: the machine slept, or the program was not there (see
    /// [`stamp`](Job::stamp)). A minute unless told otherwise.
    #[must_use]
    pub fn catch_up(mut self, window: Duration) -> Job {
        self.catch_up = window;
        self
    }

    /// Starts each run up to this much later, always by the same for the same name and time.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Job {
        self.jitter = jitter;
        self
    }

    /// Drops a run that takes longer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Job {
        self.timeout = Some(timeout);
        self
    }

    /// Keeps the last time that was dealt with in this file, so that a new start of the program knows what it missed.
    /// It is written before the run starts: after a crash a run may be lost, but none takes place twice. If it cannot
    /// be written, the run starts all the same, and the status tells of it.
    #[must_use]
    pub fn stamp(mut self, file: impl AsRef<Path>) -> Job {
        self.stamp = Some(file.as_ref().to_owned());
        self
    }

    /// What to do. A job without this does nothing, at its times.
    #[must_use]
    pub fn run<F, Fut, E>(mut self, work: F) -> Job
    where
        F: Fn(Run) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.work = Some(Arc::new(move |run| {
            let running = work(run);
            Box::pin(async move { running.await.map_err(Into::into) })
        }));
        self
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("trigger", &self.trigger)
            .finish_non_exhaustive()
    }
}
