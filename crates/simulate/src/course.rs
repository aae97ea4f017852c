//! One run with everything that happens in it, as data: drawn from a seed, run, and shortened when it fails.

mod draw;
mod run;
mod shrink;

pub(crate) use run::triggered;

use std::{fmt, ops::AddAssign};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{Decide, Fate, Violation};

/// A run that is yet to happen.
#[derive(Clone, Debug)]
pub struct Course {
    /// Where everything that is not said here comes from: names, orders, the behaviour of containers.
    pub seed: u64,
    /// When it starts, by the wall clock.
    pub start: Timestamp,
    /// The zone of schedules that name none.
    pub time_zone: String,
    /// How long it goes on.
    pub lasts: SignedDuration,
    /// Longest time that a write to the disk takes.
    pub latency_max: SignedDuration,
    /// What clients and fate do, and when.
    pub events: Vec<(SignedDuration, Event)>,
}

/// Something that happens from outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client does something.
    Act(Act),
    /// Something breaks.
    Fault(Fault),
}

/// What a client does. Objects are named by kind and by their place among those that exist then.
#[derive(Clone, Debug)]
pub enum Act {
    /// Creates a CronJob or Job.
    Create(Value),
    /// Creates a Job from a CronJob, as `kubectl create job --from` does.
    Trigger(usize),
    /// Patches the spec of a CronJob.
    PatchCronJob(usize, Value),
    /// Patches the spec of a Job.
    PatchJob(usize, Value),
    /// Takes `lastScheduleTime` away, as somebody who restores an older status does.
    ForgetLastSchedule(usize),
    /// Deletes a CronJob with a propagation policy.
    DeleteCronJob(usize, &'static str),
    /// Deletes a Job with a propagation policy.
    DeleteJob(usize, &'static str),
    /// Deletes a pod, perhaps with a grace period of its own.
    DeletePod(usize, Option<i64>),
}

/// What breaks.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server dies a few steps later, and is back after a time.
    Crash {
        /// Steps until then.
        steps: u32,
        /// How long it is down.
        down: SignedDuration,
        /// What becomes of what was being written.
        fate: Fate,
    },
    /// The machine restarts a few steps later.
    Restart {
        /// Steps until then.
        steps: u32,
        /// How long it is down.
        down: SignedDuration,
        /// What becomes of what was being written.
        fate: Fate,
    },
    /// The wall clock is set, or the machine slept.
    Clock(SignedDuration),
    /// The disk is full for a time.
    DiskFull(SignedDuration),
    /// The disk becomes faster or slower.
    Latency(SignedDuration),
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Steps that were checked.
    pub steps: u64,
    /// Jobs that were created.
    pub jobs: u64,
    /// Pods that were created.
    pub pods: u64,
    /// Times at which the server died.
    pub crashes: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Outcome) {
        self.steps += other.steps;
        self.jobs += other.jobs;
        self.pods += other.pods;
        self.crashes += other.crashes;
    }
}

/// A run that broke something.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The course, shortened if it was.
    pub course: Course,
    /// What was broken.
    pub violation: Violation,
    /// The last steps before.
    pub trace: Vec<String>,
}

impl Course {
    /// Runs it, asking the controllers through `decide`; a failure comes with the shortest course that was found to
    /// fail in the same way.
    ///
    /// # Errors
    /// What was broken.
    pub fn prove(&self, decide: Decide) -> Result<Outcome, Box<Failure>> {
        self.run(decide, false).map_err(|violation| Box::new(shrink::shorten(self, violation, decide)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Course { seed, start, time_zone, lasts, latency_max, events } = &self.course;
        writeln!(f, "{}", self.violation)?;
        writeln!(
            f,
            "seed {seed}: from {start}, zone {time_zone}, for {lasts:#}, disk up to {latency_max:#}"
        )?;
        for (at, event) in events {
            writeln!(f, "  after {at:#}: {event}")?;
        }
        writeln!(f, "the last steps:")?;
        self.trace.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        // Again, for who sees the end of a log alone.
        write!(f, "in short: {}; seed {seed}", self.violation)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Act(Act::Create(object)) => write!(f, "create {object}"),
            Event::Act(Act::PatchCronJob(nth, spec)) => write!(f, "patch CronJob {nth}: {spec}"),
            Event::Act(Act::PatchJob(nth, spec)) => write!(f, "patch Job {nth}: {spec}"),
            Event::Act(act) => write!(f, "{act:?}"),
            Event::Fault(fault) => write!(f, "{fault:?}"),
        }
    }
}
