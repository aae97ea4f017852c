//! Which Events go, and when.

use cronlet_object::{Kind, api::Event};
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::{Controller, testing::World};

/// An event that was created and last seen so many minutes ago.
fn event(world: &mut World, name: &str, created: i64, last: i64) {
    let ago = |minutes: i64| (world.now - SignedDuration::from_mins(minutes)).to_string();
    let object = json!({
        "metadata": {"name": name, "creationTimestamp": ago(created)},
        "involvedObject": {}, "lastTimestamp": ago(last), "count": 1,
    });
    world.put_json::<Event>(object);
}

#[test]
fn events_go_an_hour_after_they_last_happened() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    event(&mut world, "new", 59, 59);
    event(&mut world, "old", 61, 61);
    event(&mut world, "repeated", 300, 10);
    let wake_at = world.reconcile(Controller::EventExpiry, &sweep_key());
    assert_eq!(world.names(Kind::Event), ["new", "repeated"]);
    assert_eq!(wake_at, Some(world.now + EVENT_SWEEP_INTERVAL));
}

#[test]
fn above_the_limit_those_go_that_were_not_heard_of_for_longest() {
    let mut world = World::new("2026-03-01T10:00:00Z");
    for i in 0..EVENTS_MAX + BATCH_OBJECTS_MAX + 2 {
        event(&mut world, &format!("e{i:05}"), 1, 1);
    }
    event(&mut world, "e00000", 1, 0);
    let again = world.reconcile(Controller::EventExpiry, &sweep_key());
    assert_eq!(again, Some(world.now), "one pass removes a batch");
    let rest = world.reconcile(Controller::EventExpiry, &sweep_key());
    assert_eq!(rest, Some(world.now + EVENT_SWEEP_INTERVAL));
    let names = world.names(Kind::Event);
    assert_eq!(names.len(), EVENTS_MAX);
    assert_eq!(names[..2], ["e00000".to_owned(), "e00503".to_owned()]);
}
