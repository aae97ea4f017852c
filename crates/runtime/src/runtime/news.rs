//! What is new about a pod: its status and the events that lead to it, told once.

use std::sync::Arc;

use cronlet_object::{
    Object,
    api::{self, PodStatus},
};

use super::{Report, pod::is_terminal};
use crate::{
    events::{self, ReportedEvent, Told},
    pulls::Pulls,
    resolve,
    spec::{self, Handler},
    state::State,
    status::{self, Observed},
    users,
};

/// What a look at a pod found besides its state.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    /// The pulls of its images.
    pub(super) pulls: &'a Pulls,
    /// Whether it was not started and will not be.
    pub(super) never_started: bool,
    /// Whether it waits for something, or nobody runs it.
    pub(super) is_stalled: bool,
    /// Whether the look was asked for because something has changed that it may wait for.
    pub(super) is_synced: bool,
}

/// What was last told about a pod.
#[derive(Default)]
pub(super) struct News {
    told: Option<Telling>,
    /// What is to be told besides, with the next report.
    besides: Vec<ReportedEvent>,
}

struct Telling {
    /// The revision of the object that it was about.
    revision: u64,
    status: PodStatus,
    /// Absent if the pod was not started yet, or it is not known what was told about its state.
    state: Option<State>,
    pulls: Pulls,
    stopped: bool,
}

impl News {
    /// Begins to tell about a pod that is started now: nothing about its state was told before.
    pub(super) fn begin(&mut self, pod: &api::Pod, told: &spec::Pod, state: &State) {
        if let (Handler::Oci, Some(spec)) = (told.handler, &pod.spec) {
            let is_root = users::is_machine_root();
            self.besides.extend(events::ignored(&resolve::ignored::fields(spec, &told.sandbox, is_root)));
        }
        let status = || pod.status.clone().unwrap_or_default();
        let told = self.told.get_or_insert_with(|| Telling {
            revision: 0,
            status: status(),
            state: None,
            pulls: Pulls::default(),
            stopped: false,
        });
        told.state = Some(state.clone());
    }

    /// Tells of a fault with the next report.
    pub(super) fn tell_fault(&mut self, reason: &'static str, message: String) {
        self.besides.push(events::fault(reason, message));
    }

    /// What has to be told, if anything. Whoever keeps the time relies on being told again at each sync of a pod that
    /// is stalled.
    pub(super) fn take(
        &mut self,
        object: &Arc<Object>,
        observed: Observed<'_>,
        look: Look<'_>,
    ) -> Option<Report> {
        let Look { pulls, never_started, is_stalled, is_synced } = look;
        let stored = observed.pod.status.clone().unwrap_or_default();
        let is_over = observed.run.is_none() && is_terminal(observed.pod);
        let status = if is_over { stored.clone() } else { status::pod_status(observed) };
        let state = observed.run.map(|(_, state)| state);
        let stopped = never_started || state.is_some_and(|state| state.finished.is_some());
        let blocked = is_stalled && !stopped;
        let told = self.told.as_ref();
        let before = Told {
            status: Some(told.map_or(&stored, |told| &told.status)),
            state: told.and_then(|told| told.state.as_ref()),
            pulls: told.map(|told| &told.pulls),
        };
        let now = Told { status: Some(&status), state, pulls: Some(pulls) };
        let mut events = std::mem::take(&mut self.besides);
        events.extend(events::between(observed.pod, before, now));
        let is_told = told.is_some_and(|told| {
            told.revision == object.revision() && told.status == status && told.stopped == stopped
        });
        let is_known = status == stored && !(stopped && object.meta().deleted.is_some());
        let revision = object.revision();
        let (state, pulls) = (state.cloned(), pulls.clone());
        self.told = Some(Telling { revision, status: status.clone(), state, pulls, stopped });
        if events.is_empty() && (is_told || is_known) && !(blocked && is_synced) {
            return None;
        }
        let (pod, uid) = (object.key().clone(), object.meta().uid.clone());
        Some(Report { pod, uid, status, events, stopped, blocked })
    }
}
