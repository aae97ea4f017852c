//! What holds whatever happens to a Job and its pods, in whatever order.

use std::collections::BTreeSet;

use cronlet_object::{
    Key, Kind,
    api::{Job, JobStatus, Pod},
};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::scenarios::Stage;
use crate::{Controller, deletion, job::pod::TRACKING_FINALIZER};

/// Something that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Happening {
    Pod(usize, &'static str),
    Delete(usize),
    Vanish(usize),
    Wait(i64),
    Patch(Value),
}

fn happening() -> impl Strategy<Value = Happening> {
    let phase = prop_oneof![Just("Running"), Just("Succeeded"), Just("Failed"), Just("Failed")];
    prop_oneof![
        5 => (0..8usize, phase).prop_map(|(pod, phase)| Happening::Pod(pod, phase)),
        1 => (0..8usize).prop_map(Happening::Delete),
        2 => (0..8usize).prop_map(Happening::Vanish),
        3 => (1..700i64).prop_map(Happening::Wait),
        1 => any::<bool>().prop_map(|suspend| Happening::Patch(json!({"suspend": suspend}))),
        1 => (0..4i32).prop_map(|parallelism| Happening::Patch(json!({"parallelism": parallelism}))),
    ]
}

fn spec() -> impl Strategy<Value = Value> {
    let policy = prop_oneof![Just("Failed"), Just("TerminatingOrFailed")];
    let mode = prop_oneof![
        Just(json!({"completions": 4})),
        Just(json!({})),
        Just(json!({"completions": 4, "completionMode": "Indexed"})),
        Just(json!({"completions": 4, "completionMode": "Indexed", "backoffLimitPerIndex": 1})),
        Just(
            json!({"completions": 4, "completionMode": "Indexed", "successPolicy": {"rules": [{"succeededCount": 2}]}})
        ),
    ];
    (1..4i32, 0..4i32, policy, mode, any::<bool>(), any::<bool>()).prop_map(
        |(parallelism, limit, policy, mut spec, bound, deadline)| {
            spec["parallelism"] = json!(parallelism);
            spec["backoffLimit"] = json!(limit);
            spec["podReplacementPolicy"] = json!(policy);
            spec["activeDeadlineSeconds"] = if deadline { json!(900) } else { Value::Null };
            // Whether the pods are bound to a node decides how they are deleted.
            spec["template"] = json!({"spec": {"nodeName": if bound { json!("here") } else { Value::Null }}});
            spec
        },
    )
}

/// What was seen of a Job's pods from outside.
#[derive(Default)]
struct Truth {
    succeeded: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl Truth {
    fn look(&mut self, pods: &[Pod]) {
        for pod in pods {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            // A pod that the Job has stopped is not the Job's any more, even if it still succeeds.
            let tracked = pod.metadata.finalizers.iter().flatten().any(|name| name == TRACKING_FINALIZER);
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            if tracked && phase == Some("Succeeded") {
                self.succeeded.insert(uid.clone());
            }
            self.seen.insert(uid);
        }
    }
}

fn holds(status: &JobStatus, type_: &str) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == type_ && c.status == "True")
}

fn happen(stage: &mut Stage, happening: &Happening) {
    let pods: Vec<Key> = stage.world.snapshot.list(Kind::Pod).map(|pod| pod.key().clone()).collect();
    let choose = |at: usize| (!pods.is_empty()).then(|| pods[at % pods.len()].clone());
    match happening {
        Happening::Wait(seconds) => stage.world.now += SignedDuration::from_secs(*seconds),
        Happening::Patch(spec) => {
            let before = json!(stage.world.decode::<Job>(&stage.key).spec);
            if spec.as_object().unwrap().iter().any(|(field, value)| before[field] != *value) {
                stage.patch(spec);
            }
        }
        Happening::Pod(at, phase) => {
            let Some(key) = choose(*at) else { return };
            let now = stage.world.now;
            stage.change(&key, |pod: &mut Pod| {
                let status = pod.status.get_or_insert_default();
                if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
                    return;
                }
                let end = json!({"terminated": {"exitCode": 1, "finishedAt": now}});
                let state = if *phase == "Running" { json!({"running": {}}) } else { end };
                let new = json!({"phase": phase, "containerStatuses": [{"name": "main", "state": state}]});
                *status = serde_json::from_value(new).unwrap();
            });
        }
        Happening::Delete(at) => {
            let Some(key) = choose(*at) else { return };
            let pod = stage.world.get(&key).unwrap().clone();
            if let Some(write) =
                deletion::write(&pod, deletion::Propagation::Background, stage.world.now).unwrap()
            {
                stage.write(write);
            }
        }
        // The kubelet has stopped a pod that is being deleted: it reports the end, and its hold is over.
        Happening::Vanish(at) => {
            let Some(key) = choose(*at) else { return };
            stage.change(&key, |pod: &mut Pod| {
                if pod.metadata.deletion_timestamp.is_some() {
                    let status = pod.status.get_or_insert_default();
                    if status.phase.as_deref() != Some("Succeeded") {
                        status.phase = Some("Failed".to_owned());
                    }
                    pod.metadata.deletion_grace_period_seconds = Some(0);
                }
            });
        }
    }
}

fn check(stage: &Stage, before: &JobStatus, truth: &Truth) -> Result<(), TestCaseError> {
    let after = stage.status();
    let spec = stage.world.decode::<Job>(&stage.key).spec.unwrap();
    let count = |counter: Option<i32>| counter.unwrap_or_default();
    prop_assert!(count(after.succeeded) >= count(before.succeeded), "succeeded fell");
    prop_assert!(count(after.failed) >= count(before.failed), "failed fell");
    for end in ["Complete", "Failed"] {
        prop_assert!(!holds(before, end) || *before == after, "a finished Job changed");
    }
    let pods = stage.pods();
    let active = pods.iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
    });
    let active = active.count();
    prop_assert_eq!(usize::try_from(count(after.active)).unwrap(), active);
    let finished = holds(&after, "Complete") || holds(&after, "Failed");
    prop_assert!(!finished || active == 0, "a finished Job has active pods");
    // A work queue leaves the pods that run when one has succeeded to themselves.
    let drains = spec.completions.is_none() && count(after.succeeded) > 0;
    prop_assert!(drains || i32::try_from(active).unwrap() <= spec.parallelism.unwrap(), "too many pods");
    prop_assert!(count(after.succeeded) + count(after.failed) <= i32::try_from(truth.seen.len()).unwrap());
    if spec.completion_mode.as_deref() == Some("NonIndexed") {
        prop_assert_eq!(usize::try_from(count(after.succeeded)).unwrap(), truth.succeeded.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_are_the_pods_truth_and_an_end_is_final(
        spec in spec(),
        happenings in prop::collection::vec(happening(), 1..40),
    ) {
        let mut stage = Stage::new();
        stage.create(&spec);
        stage.settle();
        let mut truth = Truth::default();
        truth.look(&stage.pods());
        for happening in &happenings {
            let before = stage.status();
            happen(&mut stage, happening);
            truth.look(&stage.pods());
            stage.settle();
            truth.look(&stage.pods());
            check(&stage, &before, &truth)?;
            let again = stage.world.plan(Controller::Job, &stage.key.clone());
            prop_assert!(again.transaction.is_empty(), "a Job at rest is written");
            prop_assert!(again.wake_at.is_none_or(|at| at > stage.world.now), "it wakes at once");
        }
    }
}
