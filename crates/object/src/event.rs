//! Events: what happened to an object, told to people. A repetition is counted instead of told again.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EventSource, ObjectReference};
use serde::Deserialize;

use crate::{
    Draft, Ids, Key, Kind, Object, Snapshot, Write,
    api::{Event, ObjectMeta, Time},
    limits,
};

/// Whether an event is part of normal life or a sign of trouble: `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// `Normal`
    Normal,
    /// `Warning`
    Warning,
}

impl EventType {
    /// The type as it stands in the Event.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Normal or Warning.
    pub event_type: EventType,
    /// A word for machines, such as `SuccessfulCreate`.
    pub reason: &'a str,
    /// A sentence for people. Cut at [`limits::EVENT_MESSAGE_BYTES_MAX`].
    pub message: &'a str,
}

impl<'a> Note<'a> {
    /// A note of type `Normal`.
    pub fn normal(reason: &'a str, message: &'a str) -> Self {
        Note { event_type: EventType::Normal, reason, message }
    }

    /// A note of type `Warning`.
    pub fn warning(reason: &'a str, message: &'a str) -> Self {
        Note { event_type: EventType::Warning, reason, message }
    }
}

/// The reference by which an event names `object`, at the revision that was read.
pub fn reference(object: &Object) -> ObjectReference {
    let descriptor = object.kind().descriptor();
    ObjectReference {
        api_version: Some(descriptor.api_version()),
        kind: Some(descriptor.kind.to_owned()),
        namespace: (!object.namespace().is_empty()).then(|| object.namespace().to_owned()),
        name: Some(object.name().to_owned()),
        uid: Some(object.meta().uid.as_ref().to_owned()),
        resource_version: Some(object.revision().to_string()),
        field_path: None,
    }
}

/// One component's way to tell of events.
///
/// The name of an Event ends in a digest of who says what about which object, so that whether something was told before
/// is seen from the snapshot alone: the same note again raises `count` and `lastTimestamp`, as client-go's recorder
/// does from its memory. Before the digest stands the time when it was first told: clients show events whose times are
/// the same in whole seconds in the order of their names.
///
/// A component must not have two transactions under way that tell of the same object: each would not see what the other
/// tells, and both would tell it.
#[derive(Clone, Copy, Debug)]
pub struct Recorder<'a> {
    /// What is stored, earlier events included.
    pub snapshot: &'a Snapshot,
    /// The time of what happened.
    pub now: Timestamp,
    /// The component that speaks: `source.component`, such as `cronjob-controller`.
    pub component: &'a str,
    /// The node it speaks from: `source.host`, for components that belong to a node.
    pub host: Option<&'a str>,
}

impl Recorder<'_> {
    /// Adds the write that tells of `note` to `writes`, which are to become one transaction.
    ///
    /// Adds nothing if `writes` tell of it already, and nothing where no event can be kept: its namespace is missing
    /// or terminating, and creating anything there would have the whole transaction refused.
    pub fn record(&self, writes: &mut Vec<Write>, about: &ObjectReference, note: &Note, ids: &mut Ids) {
        let identity = self.identity(about, note);
        if writes.iter().any(|write| identity.is_of(write.key())) {
            return;
        }
        if let Some(told) = identity.find(self.snapshot) {
            let mut event = told.decode::<Event>();
            event.count = Some(event.count.unwrap_or_default().saturating_add(1));
            event.last_timestamp = Some(Time(self.now));
            writes.push(Write::Update { draft: Draft::of(&event), expect: told.revision() });
        } else if self.snapshot.namespace_is_open(identity.namespace) {
            let key = identity.key(self.now, writes.len());
            writes.push(Write::Create(Draft::of(&self.event(&key, about, note, ids))));
        }
    }

    /// When the same was last told of the same object, if that is still remembered. Precise to the second.
    pub fn last_told(&self, about: &ObjectReference, note: &Note) -> Option<Timestamp> {
        self.identity(about, note).find(self.snapshot).and_then(|event| last_seen(event))
    }

    fn event(&self, key: &Key, about: &ObjectReference, note: &Note, ids: &mut Ids) -> Event {
        let now = Some(Time(self.now));
        let host = self.host.map(str::to_owned);
        Event {
            metadata: ObjectMeta {
                namespace: Some(key.namespace.as_ref().to_owned()),
                name: Some(key.name.as_ref().to_owned()),
                uid: Some(ids.uid()),
                creation_timestamp: now.clone(),
                ..ObjectMeta::default()
            },
            involved_object: about.clone(),
            type_: Some(note.event_type.as_str().to_owned()),
            reason: Some(note.reason.to_owned()),
            message: Some(told(note.message).to_owned()),
            first_timestamp: now.clone(),
            last_timestamp: now,
            count: Some(1),
            reporting_component: Some(self.component.to_owned()),
            reporting_instance: Some(host.clone().unwrap_or_default()),
            source: Some(EventSource { component: Some(self.component.to_owned()), host }),
            ..Event::default()
        }
    }

    fn identity<'b>(&self, about: &'b ObjectReference, note: &Note) -> Identity<'b> {
        let digest = digest([
            about.uid.as_deref().unwrap_or_default(),
            about.field_path.as_deref().unwrap_or_default(),
            note.event_type.as_str(),
            note.reason,
            told(note.message),
            self.component,
            self.host.unwrap_or_default(),
        ]);
        let name = about.name.as_deref().unwrap_or_default();
        let base = &name[..name.floor_char_boundary(limits::EVENT_NAME_BASE_BYTES_MAX)];
        let namespace = about.namespace.as_deref().unwrap_or("default");
        Identity { namespace, prefix: format!("{base}."), digest: format!("{digest:016x}") }
    }
}

/// What the name of the one Event that tells of something says, but for the time: `<object>.<time><digest>`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity<'a> {
    namespace: &'a str,
    /// The object's name and a dot.
    prefix: String,
    /// 16 hexadecimal digits.
    digest: String,
}

impl Identity<'_> {
    /// Names an Event that is first told now, after `earlier` writes of the same transaction. The time has 16 hexadecimal
    /// digits, so that names sort as times do.
    fn key(&self, now: Timestamp, earlier: usize) -> Key {
        let time = u64::try_from(now.as_nanosecond()).unwrap_or_default().saturating_add(earlier as u64);
        Key::new(Kind::Event, self.namespace, format!("{}{time:016x}{}", self.prefix, self.digest))
    }

    /// Whether an Event of this name tells of it. The digest stands for the object, so its name need not be compared
    /// beyond where a search begins and ends.
    fn is_of(&self, key: &Key) -> bool {
        key.kind == Kind::Event
            && key.namespace.as_ref() == self.namespace
            && key.name.starts_with(&self.prefix)
            && key.name.ends_with(&self.digest)
    }

    /// The Event that tells of it. An object has few events: as many as can be told of it until they expire.
    fn find<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Arc<Object>> {
        snapshot
            .list_from(Key::new(Kind::Event, self.namespace, self.prefix.as_str()))
            .take_while(|event| event.namespace() == self.namespace && event.name().starts_with(&self.prefix))
            .find(|event| self.is_of(event.key()))
    }
}

/// When a stored Event last happened, whoever wrote it: in a series, at once, or by the older timestamps.
pub fn last_seen(event: &Object) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Times {
        last_timestamp: Option<Timestamp>,
        event_time: Option<Timestamp>,
        series: Option<Series>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Series {
        last_observed_time: Option<Timestamp>,
    }
    let times: Times = serde_json::from_str(event.json()).ok()?;
    let observed = times.series.and_then(|series| series.last_observed_time);
    observed.or(times.last_timestamp).or(times.event_time).or(event.meta().created)
}

/// The part of a message that is kept.
fn told(message: &str) -> &str {
    &message[..message.floor_char_boundary(limits::EVENT_MESSAGE_BYTES_MAX)]
}

/// The 64-bit FNV-1a digest of texts, each ended by a byte that no text has. It is part of stored names, so it must
/// never change.
fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests;
