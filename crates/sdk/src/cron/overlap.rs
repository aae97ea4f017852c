//! What happens when a run is due while another of the same job is under way.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::limits::BUFFERED_RUNS_MAX;

/// The six policies of Temporal's schedules, under their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// The new run does not take place (Kubernetes: `Forbid`).
    #[default]
    Skip,
    /// The new run starts when the other has ended; one at most waits.
    BufferOne,
    /// The new run starts when those before it have ended; up to
    /// [`BUFFERED_RUNS_MAX`] wait.
    BufferAll,
    /// The other run is told to end through its context, and the new one starts when it has.
    CancelOther,
    /// The other run is dropped where it stands, and the new one starts (Kubernetes: `Replace`).
    TerminateOther,
    /// Both run (Kubernetes: `Allow`).
    AllowAll,
}

/// What is to be done about a run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start it.
    Start,
    /// Forget it.
    Skip,
    /// Nothing yet: it starts when the runs before it have ended.
    Buffer,
    /// Cancel the runs under way; it starts when they have ended.
    CancelOthers,
    /// Drop the runs under way and start it.
    TerminateOthers,
}

/// The runs of one job under a policy. Pure: says what to do, does nothing.
///
/// ```
/// use cronlet_sdk::cron::{Decision, Overlap, Overlaps};
///
/// let at = |time: &str| format!("2026-03-01T{time}Z").parse().unwrap();
/// let mut runs = Overlaps::new(Overlap::BufferOne);
/// assert_eq!(runs.due(at("09:00:00")), Decision::Start);
/// assert_eq!(runs.due(at("09:01:00")), Decision::Buffer);
/// assert_eq!(runs.due(at("09:02:00")), Decision::Skip);
/// assert_eq!((runs.running(), runs.waiting()), (1, 1));
/// assert_eq!(runs.ended(), Some(at("09:01:00")));
/// assert_eq!(runs.forget_waiting(), 0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Overlaps {
    policy: Overlap,
    running: usize,
    waiting: VecDeque<Timestamp>,
}

impl Overlaps {
    /// No runs yet.
    pub fn new(policy: Overlap) -> Overlaps {
        Overlaps { policy, ..Overlaps::default() }
    }

    /// How many runs are under way.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many runs wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What becomes of the run of `scheduled`, which is due.
    pub fn due(&mut self, scheduled: Timestamp) -> Decision {
        if self.running == 0 || self.policy == Overlap::AllowAll {
            self.running += 1;
            return Decision::Start;
        }
        match self.policy {
            Overlap::BufferOne if self.waiting.is_empty() => self.buffer(scheduled, Decision::Buffer),
            Overlap::BufferAll if self.waiting.len() < BUFFERED_RUNS_MAX => {
                self.buffer(scheduled, Decision::Buffer)
            }
            Overlap::CancelOther => {
                // A later run takes the place of one that still waits for the cancelled one to end.
                self.waiting.clear();
                self.buffer(scheduled, Decision::CancelOthers)
            }
            Overlap::TerminateOther => {
                self.running = 1;
                Decision::TerminateOthers
            }
            Overlap::Skip | Overlap::BufferOne | Overlap::BufferAll | Overlap::AllowAll => Decision::Skip,
        }
    }

    /// A run has ended by itself. The run that starts now, if one was waiting.
    pub fn ended(&mut self) -> Option<Timestamp> {
        self.running = self.running.saturating_sub(1);
        if self.running > 0 {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.running = 1;
        Some(next)
    }

    /// Nothing that waits will start. How many those were.
    pub fn forget_waiting(&mut self) -> usize {
        let forgotten = self.waiting.len();
        self.waiting.clear();
        forgotten
    }

    fn buffer(&mut self, scheduled: Timestamp, decision: Decision) -> Decision {
        self.waiting.push_back(scheduled);
        decision
    }
}
