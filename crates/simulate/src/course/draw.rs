//! Drawing courses and behaviours from a seed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use fastrand::Rng;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::{Act, Course, Event, Fault};
use crate::{Attempt, Behaviour, Fate, PodIdentity};

/// Places and times worth a visit: ordinary ones, and nights in which clocks change.
const STAGES: &[(&str, &str)] = &[
    ("UTC", "2026-05-04T09:58:31Z"),
    ("UTC", "2027-12-31T23:40:00Z"),
    ("America/New_York", "2026-03-08T06:40:00Z"),
    ("America/New_York", "2026-11-01T05:10:00Z"),
    ("Europe/Berlin", "2026-03-29T00:40:00Z"),
    ("Europe/Berlin", "2026-10-25T00:10:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T14:40:00Z"),
    ("Pacific/Chatham", "2026-09-26T13:40:00Z"),
];
const FREQUENT: &[&str] = &[
    "* * * * *",
    "*/2 * * * *",
    "*/5 * * * *",
    "@every 90s",
    "@every 20s",
    "@every 2m30s",
    "1-59/3 * * * *",
];
const RARE: &[&str] =
    &["@hourly", "*/20 * * * *", "30 2 * * *", "15,45 * * * *", "30 1 * * *", "0 0 31 2 *", "0 */2 * * *"];
const ZONES: &[&str] = &["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"];
const POLICIES: &[&str] = &["Allow", "Forbid", "Replace"];
const PROPAGATIONS: &[&str] = &["Background", "Foreground", "Orphan"];

impl Course {
    /// The course of a seed.
    pub fn draw(seed: u64) -> Course {
        let rng = &mut Rng::with_seed(seed);
        let (zone, start) = STAGES[rng.usize(..STAGES.len())];
        let is_long = rng.u8(..8) == 0;
        let lasts = if is_long { rng.i64(1..20) * 3600 } else { rng.i64(2..20) * 60 };
        let mut events = Vec::new();
        for number in 0..rng.u32(1..4) {
            let object = match rng.u8(..3) {
                0 => job(rng, number),
                _ => cron_job(rng, number, is_long),
            };
            events.push((moment(rng, lasts / 8 + 1), Event::Act(Act::Create(object))));
        }
        for _ in 0..rng.u32(..7) {
            events.push((moment(rng, lasts), Event::Act(act(rng, is_long))));
        }
        for _ in 0..rng.u32(..4) {
            events.push((moment(rng, lasts), Event::Fault(fault(rng))));
        }
        events.sort_by_key(|(at, _)| *at);
        Course {
            seed,
            start: start.parse().expect("stages have times"),
            time_zone: zone.to_owned(),
            lasts: SignedDuration::from_secs(lasts),
            latency_max: SignedDuration::from_millis(if rng.bool() { 0 } else { rng.i64(1..2_000) }),
            events,
        }
    }
}

/// A moment within the first `seconds`.
fn moment(rng: &mut Rng, seconds: i64) -> SignedDuration {
    SignedDuration::from_millis(rng.i64(0..seconds.max(1) * 1_000))
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// Puts a field in, one time in `one_in`.
fn maybe(rng: &mut Rng, one_in: u32, spec: &mut Map<String, Value>, field: &str, value: Value) {
    if rng.u32(..one_in) == 0 {
        spec.insert(field.to_owned(), value);
    }
}

fn cron_job(rng: &mut Rng, number: u32, is_long: bool) -> Value {
    let mut spec = Map::new();
    spec.insert("schedule".into(), json!(schedule(rng, is_long)));
    spec.insert("concurrencyPolicy".into(), json!(pick(rng, POLICIES)));
    let zone = json!(pick(rng, ZONES));
    maybe(rng, 3, &mut spec, "timeZone", zone);
    let deadline = json!([0, 5, 10, 60, 200, 4000][rng.usize(..6)]);
    maybe(rng, 3, &mut spec, "startingDeadlineSeconds", deadline);
    let limits = [rng.i32(0..4), rng.i32(0..3)];
    maybe(rng, 2, &mut spec, "successfulJobsHistoryLimit", json!(limits[0]));
    maybe(rng, 2, &mut spec, "failedJobsHistoryLimit", json!(limits[1]));
    maybe(rng, 12, &mut spec, "suspend", json!(true));
    let mut template = job_spec(rng);
    if let Some(template) = template.as_object_mut() {
        // Jobs of a herd are small.
        template.remove("suspend");
    }
    spec.insert("jobTemplate".into(), json!({"spec": template}));
    let annotations = annotations(rng);
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec,
        "metadata": {"name": format!("c{number}"), "namespace": "default", "annotations": annotations}})
}

fn schedule(rng: &mut Rng, is_long: bool) -> &'static str {
    if is_long { pick(rng, RARE) } else { pick(rng, FREQUENT) }
}

fn job(rng: &mut Rng, number: u32) -> Value {
    let annotations = annotations(rng);
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": job_spec(rng),
        "metadata": {"name": format!("j{number}"), "namespace": "default", "annotations": annotations}})
}

fn annotations(rng: &mut Rng) -> Value {
    match rng.u8(..4) {
        0 => json!({"cronlet.dev/start-timeout": format!("{}s", rng.i64(1..90))}),
        _ => json!({}),
    }
}

fn job_spec(rng: &mut Rng) -> Value {
    let mut spec = Map::new();
    let indexed = rng.u8(..3) == 0;
    let completions = rng.i32(0..6);
    let parallelism = rng.i32(0..5);
    if indexed {
        spec.insert("completionMode".into(), json!("Indexed"));
        spec.insert("completions".into(), json!(completions));
        indexed_policies(rng, &mut spec, completions);
    } else {
        maybe(rng, 2, &mut spec, "completions", json!(completions));
    }
    maybe(rng, 2, &mut spec, "parallelism", json!(parallelism));
    let backoff_limit = rng.i32(0..5);
    maybe(rng, 2, &mut spec, "backoffLimit", json!(backoff_limit));
    let deadline = rng.i64(1..300);
    maybe(rng, 3, &mut spec, "activeDeadlineSeconds", json!(deadline));
    let ttl = [0, 7, 60][rng.usize(..3)];
    maybe(rng, 4, &mut spec, "ttlSecondsAfterFinished", json!(ttl));
    maybe(rng, 5, &mut spec, "suspend", json!(true));
    let per_index = spec.contains_key("backoffLimitPerIndex");
    let mut restart_policy = if per_index || rng.bool() { "Never" } else { "OnFailure" };
    let replacement = pick(rng, &["Failed", "TerminatingOrFailed"]);
    maybe(rng, 3, &mut spec, "podReplacementPolicy", json!(replacement));
    if rng.u8(..4) == 0 {
        restart_policy = "Never";
        spec.insert("podReplacementPolicy".into(), json!("Failed"));
        spec.insert("podFailurePolicy".into(), failure_policy(rng, per_index));
    }
    let grace = rng.i64(0..40);
    spec.insert(
        "template".into(),
        json!({"spec": {"restartPolicy": restart_policy, "terminationGracePeriodSeconds": grace,
            "containers": [{"name": "main", "image": "busybox", "command": ["work"]}]}}),
    );
    Value::Object(spec)
}

fn indexed_policies(rng: &mut Rng, spec: &mut Map<String, Value>, completions: i32) {
    if rng.bool() {
        spec.insert("backoffLimitPerIndex".into(), json!(rng.i32(0..3)));
        let most = rng.i32(0..=completions);
        maybe(rng, 2, spec, "maxFailedIndexes", json!(most));
    }
    if rng.u8(..4) == 0 && completions > 0 {
        let rule = match rng.bool() {
            true => json!({"succeededCount": rng.i32(1..=completions)}),
            false => json!({"succeededIndexes": format!("0-{}", completions - 1),
                "succeededCount": rng.i32(1..=completions)}),
        };
        spec.insert("successPolicy".into(), json!({"rules": [rule]}));
    }
}

fn failure_policy(rng: &mut Rng, per_index: bool) -> Value {
    let actions: &[&str] = if per_index {
        &["FailJob", "Ignore", "Count", "FailIndex"]
    } else {
        &["FailJob", "Ignore", "Count"]
    };
    let codes = [json!([1]), json!([42]), json!([1, 42]), json!([137, 143])];
    let rule = |rng: &mut Rng| match rng.u8(..4) {
        0 => {
            json!({"action": pick(rng, actions), "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]})
        }
        _ => json!({"action": pick(rng, actions),
            "onExitCodes": {"operator": "In", "values": codes[rng.usize(..codes.len())]}}),
    };
    json!({"rules": [rule(rng), rule(rng)]})
}

fn act(rng: &mut Rng, is_long: bool) -> Act {
    let nth = rng.usize(..100);
    match rng.u8(..14) {
        0 => Act::Create(cron_job(rng, 7, is_long)),
        1 | 2 => Act::Create(job(rng, 8)),
        3 => Act::Trigger(nth),
        4 => Act::PatchCronJob(nth, json!({"suspend": rng.bool()})),
        5 => Act::PatchCronJob(nth, json!({"schedule": schedule(rng, is_long)})),
        6 => Act::PatchCronJob(nth, json!({"concurrencyPolicy": pick(rng, POLICIES)})),
        7 => Act::PatchJob(nth, json!({"suspend": rng.u8(..4) == 0})),
        8 => Act::PatchJob(nth, json!({"parallelism": rng.i32(0..6)})),
        9 => {
            let size = rng.i32(0..7);
            Act::PatchJob(nth, json!({"completions": size, "parallelism": size}))
        }
        10 => Act::ForgetLastSchedule(nth),
        11 => Act::DeletePod(nth, [None, Some(0), Some(5)][rng.usize(..3)]),
        12 => Act::DeleteJob(nth, pick(rng, PROPAGATIONS)),
        _ => Act::DeleteCronJob(nth, pick(rng, PROPAGATIONS)),
    }
}

fn fault(rng: &mut Rng) -> Fault {
    let down = SignedDuration::from_millis([0, 500, 30_000, 400_000][rng.usize(..4)]);
    let fate = if rng.bool() { Fate::Lost } else { Fate::Kept };
    let steps = rng.u32(..60);
    match rng.u8(..9) {
        0..=3 => Fault::Crash { steps, down, fate },
        4 => Fault::Restart { steps, down, fate },
        5 => Fault::Clock(SignedDuration::from_secs(rng.i64(1..8_000))),
        6 => Fault::Clock(SignedDuration::from_secs(rng.i64(-4_000..0))),
        7 => Fault::DiskFull(SignedDuration::from_secs(rng.i64(1..90))),
        _ => Fault::Latency(SignedDuration::from_millis(rng.i64(0..5_000))),
    }
}

/// What the containers of a pod do in the course of a seed: the same for the nth pod of a Job, whatever else happens.
pub(super) fn behaviour(seed: u64, pod: &PodIdentity) -> Behaviour {
    let mut hasher = DefaultHasher::new();
    (seed, &pod.job, pod.index, pod.ordinal).hash(&mut hasher);
    let rng = &mut Rng::with_seed(hasher.finish());
    let attempts = (0..rng.usize(1..4)).map(|_| attempt(rng)).collect();
    Behaviour {
        starts_after: SignedDuration::from_millis(if rng.bool() { 0 } else { rng.i64(0..5_000) }),
        never_starts: (rng.u8(..20) == 0).then(|| "ImagePullBackOff".to_owned()),
        attempts,
        stops_after: SignedDuration::from_millis([0, 900, 10_000, 60_000][rng.usize(..4)]),
    }
}

fn attempt(rng: &mut Rng) -> Attempt {
    let exit_code = [0, 0, 0, 1, 1, 42][rng.usize(..6)];
    let lasts = match rng.u8(..20) {
        0 => None,
        1..=3 => Some(rng.i64(0..300_000)),
        _ => Some(rng.i64(0..20_000)),
    };
    Attempt { lasts: lasts.map(SignedDuration::from_millis), exit_code, out_of_memory: rng.u8(..25) == 0 }
}
