//! What the Job controller tells of its doings.

use std::collections::HashMap;

use cronlet_object::{
    Ids, Object, Write,
    event::{self, EventType, Note, Recorder},
};

use super::limits;
use crate::View;

/// The component that speaks, by upstream's name.
const COMPONENT: &str = "job-controller";

/// An event to be told of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    event_type: EventType,
    reason: String,
    message: String,
}

impl Notice {
    /// A notice of normal life.
    pub(super) fn normal(reason: &str, message: impl Into<String>) -> Self {
        Notice { event_type: EventType::Normal, reason: reason.to_owned(), message: message.into() }
    }

    /// A notice of trouble.
    pub(super) fn warning(reason: &str, message: impl Into<String>) -> Self {
        Notice { event_type: EventType::Warning, reason: reason.to_owned(), message: message.into() }
    }
}

/// Adds the writes that tell of `notices` about `job`, of each reason as many as the limit allows.
pub(super) fn tell(
    view: &View<'_>,
    job: &Object,
    notices: &[Notice],
    writes: &mut Vec<Write>,
    ids: &mut Ids,
) {
    let recorder = Recorder { snapshot: view.snapshot, now: view.now, component: COMPONENT, host: None };
    let about = event::reference(job);
    let mut told: HashMap<&str, usize> = HashMap::new();
    for notice in notices {
        let times = told.entry(&notice.reason).or_default();
        *times += 1;
        if *times > limits::EVENTS_PER_REASON_MAX {
            continue;
        }
        let note = Note { event_type: notice.event_type, reason: &notice.reason, message: &notice.message };
        recorder.record(writes, &about, &note, ids);
    }
}
