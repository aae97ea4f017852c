//! What scenarios tell of a commit: events, and pods that come and go.

use std::collections::BTreeMap;

use cronlet_object::{
    Change, Kind, Object,
    api::{Event, Pod},
};
use jiff::{Timestamp, tz::TimeZone};

use crate::Commit;

/// Tells what happens, and calls pods by the order of their appearance: their names are random.
pub(super) struct Teller {
    zone: TimeZone,
    /// Real name → shown name.
    names: BTreeMap<String, String>,
    counts: BTreeMap<String, u32>,
}

impl Teller {
    pub(super) fn new(zone: TimeZone) -> Self {
        Teller { zone, names: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// The real name of a pod.
    pub(super) fn pod_name(&self, shown: &str) -> Option<String> {
        self.names.iter().find(|(_, name)| name.as_str() == shown).map(|(real, _)| real.clone())
    }

    /// A text in which pods are called by their shown names.
    pub(super) fn shown(&self, text: &str) -> String {
        let names = self.names.iter().filter(|(real, _)| text.contains(real.as_str()));
        names.fold(text.to_owned(), |text, (real, shown)| text.replace(real.as_str(), shown))
    }

    /// What a commit did, in lines.
    pub(super) fn tell(&mut self, commit: &Commit) -> Vec<String> {
        let changes = || commit.committed.iter().flat_map(|committed| committed.changes.iter());
        for change in changes() {
            if let (Kind::Pod, None, Some(pod)) = (change.object().kind(), &change.old, &change.new) {
                self.name(pod);
            }
        }
        let time = self.time(commit.at);
        let told = changes().filter_map(|change| self.change(change));
        told.map(|line| format!("{time} {line}")).collect()
    }

    fn name(&mut self, pod: &Object) {
        let base = pod.name().rsplit_once('-').map_or(pod.name(), |(base, _)| base).to_owned();
        let count = self.counts.entry(base.clone()).or_default();
        *count += 1;
        self.names.insert(pod.name().to_owned(), format!("{base}-#{count}"));
    }

    fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    fn change(&self, change: &Change) -> Option<String> {
        let object = change.object();
        match (object.kind(), &change.old, &change.new) {
            (Kind::Event, _, Some(event)) => self.event(&event.decode()),
            (Kind::Pod, Some(old), Some(new)) => {
                let (before, after) = (phase(old), phase(new));
                (before != after).then(|| format!("pod/{} {after}", self.shown(object.name())))
            }
            (Kind::Job | Kind::CronJob, Some(_), None) => {
                Some(format!("{}/{} is gone", object.kind().descriptor().singular, object.name()))
            }
            _ => None,
        }
    }

    /// What controllers say of Jobs and CronJobs. That pods are bound goes without saying.
    fn event(&self, event: &Event) -> Option<String> {
        let about = event.involved_object.kind.as_deref().unwrap_or_default().to_lowercase();
        let reason = event.reason.as_deref().unwrap_or_default();
        if reason == "Scheduled" {
            return None;
        }
        let name = event.involved_object.name.as_deref().unwrap_or_default();
        let message = event.message.as_deref().unwrap_or_default();
        Some(self.shown(&format!("{about}/{name} {reason}: {message}")))
    }
}

fn phase(pod: &Object) -> String {
    let pod: Pod = pod.decode();
    pod.status.and_then(|status| status.phase).unwrap_or_default()
}
