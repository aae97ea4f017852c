//! Events are told once and then counted.

use super::*;
use crate::api::{CronJob, Namespace};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn namespace(name: &str, deleted: Option<&str>, revision: u64) -> Arc<Object> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.into());
    namespace.metadata.deletion_timestamp = deleted.map(|time| Time(at(time)));
    Arc::new(Draft::of(&namespace).seal(revision))
}

fn cron_job(name: &str) -> Object {
    let mut object = CronJob::default();
    object.metadata.namespace = Some("batch".into());
    object.metadata.name = Some(name.into());
    object.metadata.uid = Some("u-1".into());
    Draft::of(&object).seal(17)
}

fn commit(snapshot: &mut Snapshot, writes: Vec<Write>) {
    for write in writes {
        let revision = snapshot.revision() + 1;
        let (Write::Create(draft) | Write::Update { draft, .. }) = write else {
            panic!("events are not deleted")
        };
        snapshot.insert(Arc::new(draft.seal(revision)));
    }
}

fn recorder<'a>(snapshot: &'a Snapshot, now: &str) -> Recorder<'a> {
    Recorder { snapshot, now: at(now), component: "cronjob-controller", host: None }
}

fn the_event(snapshot: &Snapshot) -> Event {
    let events: Vec<_> = snapshot.list(Kind::Event).collect();
    assert_eq!(events.len(), 1);
    events[0].decode()
}

#[test]
fn a_new_event_has_everything_kubectl_shows() {
    let mut snapshot = Snapshot::default();
    snapshot.insert(namespace("batch", None, 1));
    let about = reference(&cron_job("nightly"));
    let mut writes = Vec::new();
    recorder(&snapshot, "2026-03-01T10:00:00.25Z").record(
        &mut writes,
        &about,
        &Note::normal("SuccessfulCreate", "Created job nightly-1"),
        &mut Ids::seeded(1),
    );
    commit(&mut snapshot, writes);
    let event = the_event(&snapshot);
    assert_eq!(event.involved_object.api_version.as_deref(), Some("batch/v1"));
    assert_eq!(event.involved_object.kind.as_deref(), Some("CronJob"));
    assert_eq!(event.involved_object.uid.as_deref(), Some("u-1"));
    assert_eq!(event.involved_object.resource_version.as_deref(), Some("17"));
    assert_eq!(event.metadata.namespace.as_deref(), Some("batch"));
    let name = event.metadata.name.unwrap();
    let (base, digits) = name.rsplit_once('.').unwrap();
    assert_eq!((base, digits.len()), ("nightly", 32));
    assert!(event.metadata.uid.is_some());
    assert_eq!(event.source.unwrap().component.as_deref(), Some("cronjob-controller"));
    assert_eq!(event.reporting_component.as_deref(), Some("cronjob-controller"));
    assert_eq!((event.count, event.type_.as_deref()), (Some(1), Some("Normal")));
    assert_eq!(event.first_timestamp, event.last_timestamp);
}

#[test]
fn a_repetition_is_counted_and_keeps_the_first_time() {
    let mut snapshot = Snapshot::default();
    snapshot.insert(namespace("batch", None, 1));
    let about = reference(&cron_job("nightly"));
    let note = Note::warning("FailedCreate", "Error creating job: no");
    for now in ["2026-03-01T10:00:00Z", "2026-03-01T10:05:00Z", "2026-03-01T10:06:00Z"] {
        let mut writes = Vec::new();
        recorder(&snapshot, now).record(&mut writes, &about, &note, &mut Ids::seeded(1));
        recorder(&snapshot, now).record(&mut writes, &about, &note, &mut Ids::seeded(2));
        assert_eq!(writes.len(), 1, "one transaction tells a thing once");
        commit(&mut snapshot, writes);
    }
    let event = the_event(&snapshot);
    assert_eq!(event.count, Some(3));
    assert_eq!(event.first_timestamp.unwrap().0, at("2026-03-01T10:00:00Z"));
    assert_eq!(event.last_timestamp.unwrap().0, at("2026-03-01T10:06:00Z"));
    let told = recorder(&snapshot, "2026-03-01T11:00:00Z").last_told(&about, &note);
    assert_eq!(told, Some(at("2026-03-01T10:06:00Z")));
}

#[test]
fn events_are_listed_in_the_order_in_which_they_were_told() {
    let mut snapshot = Snapshot::default();
    snapshot.insert(namespace("batch", None, 1));
    let about = reference(&cron_job("nightly"));
    for (now, words) in
        [("2026-03-01T10:00:00.1Z", "seven five three one"), ("2026-03-01T10:00:00.2Z", "six four two")]
    {
        let mut writes = Vec::new();
        for word in words.split(' ') {
            recorder(&snapshot, now).record(
                &mut writes,
                &about,
                &Note::normal("Told", word),
                &mut Ids::seeded(1),
            );
        }
        commit(&mut snapshot, writes);
    }
    let told: Vec<String> =
        snapshot.list(Kind::Event).filter_map(|event| event.decode::<Event>().message).collect();
    assert_eq!(told, ["seven", "five", "three", "one", "six", "four", "two"]);
}

#[test]
fn an_event_is_found_among_those_of_objects_with_similar_names() {
    let mut snapshot = Snapshot::default();
    snapshot.insert(namespace("batch", None, 1));
    let note = Note::normal("Reason", "text");
    let names = ["a", "a.b", "a.b.c", "a-b", "aa"];
    for _ in 0..2 {
        for name in names {
            let mut about = reference(&cron_job(name));
            about.uid = Some(name.into());
            let mut writes = Vec::new();
            recorder(&snapshot, "2026-03-01T10:00:00Z").record(
                &mut writes,
                &about,
                &note,
                &mut Ids::seeded(1),
            );
            commit(&mut snapshot, writes);
        }
    }
    let told: Vec<(String, i32)> = snapshot
        .list(Kind::Event)
        .map(|event| event.decode::<Event>())
        .map(|event| (event.involved_object.name.unwrap(), event.count.unwrap()))
        .collect();
    assert_eq!(told.len(), names.len());
    assert!(told.iter().all(|(_, count)| *count == 2), "{told:?}");
}

#[test]
fn different_notes_objects_and_speakers_are_different_events() {
    let snapshot = Snapshot::default();
    let about = reference(&cron_job("nightly"));
    let note = Note::normal("Reason", "text");
    let here = recorder(&snapshot, "2026-03-01T10:00:00Z");
    let identity = here.identity(&about, &note);
    assert_eq!(identity, here.identity(&about, &note));
    assert_ne!(identity, here.identity(&about, &Note::warning("Reason", "text")));
    assert_ne!(identity, here.identity(&about, &Note::normal("Reasont", "ext")));
    assert_ne!(identity, Recorder { component: "kubelet", ..here }.identity(&about, &note));
    let container = ObjectReference { field_path: Some("spec.containers{a}".into()), ..about.clone() };
    assert_ne!(identity, here.identity(&container, &note));
    let later = ObjectReference { resource_version: Some("99".into()), ..about.clone() };
    assert_eq!(identity, here.identity(&later, &note), "a new revision of the object is the same object");
}

#[test]
fn nothing_is_created_in_a_namespace_that_ends_or_is_gone() {
    let about = reference(&cron_job("nightly"));
    let note = Note::normal("Reason", "text");
    for deleted in [Some(namespace("batch", Some("2026-03-01T09:00:00Z"), 1)), None] {
        let mut snapshot = Snapshot::default();
        deleted.into_iter().for_each(|namespace| snapshot.insert(namespace));
        let mut writes = Vec::new();
        recorder(&snapshot, "2026-03-01T10:00:00Z").record(&mut writes, &about, &note, &mut Ids::seeded(1));
        assert!(writes.is_empty());
    }
}

#[test]
fn long_names_and_messages_are_cut() {
    let snapshot = Snapshot::default();
    let about = reference(&cron_job(&"x".repeat(253)));
    let here = recorder(&snapshot, "2026-03-01T10:00:00Z");
    let key = here.identity(&about, &Note::normal("R", "m")).key(here.now, 0);
    assert_eq!(key.name.len(), 253);
    let long = "ü".repeat(limits::EVENT_MESSAGE_BYTES_MAX);
    assert_eq!(told(&long).len(), limits::EVENT_MESSAGE_BYTES_MAX);
}

#[test]
fn the_digest_is_fnv_1a() {
    // The published test vector for "foobar", whose bytes are followed here by the separator.
    let foobar = 0x8594_4171_f739_67e8_u64;
    assert_eq!(digest(["foobar"]), (foobar ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3));
}

#[test]
fn the_last_time_is_found_in_events_of_every_style() {
    let event = |text: &str| Object::restore(Key::new(Kind::Event, "a", "e"), 1, text).unwrap();
    let series = event(
        r#"{"metadata":{},"eventTime":"2026-03-01T10:00:00.000001Z",
            "series":{"count":2,"lastObservedTime":"2026-03-01T11:00:00.000001Z"}}"#,
    );
    assert_eq!(last_seen(&series), Some(at("2026-03-01T11:00:00.000001Z")));
    let single = event(r#"{"metadata":{},"eventTime":"2026-03-01T10:00:00.5Z"}"#);
    assert_eq!(last_seen(&single), Some(at("2026-03-01T10:00:00.5Z")));
    let bare = event(r#"{"metadata":{"creationTimestamp":"2026-03-01T09:00:00Z"}}"#);
    assert_eq!(last_seen(&bare), Some(at("2026-03-01T09:00:00Z")));
}
