//! The tables of upstream's small functions: indexes, delays, policies, conditions.

use std::collections::BTreeMap;

use cronlet_object::{
    Draft,
    api::{JobCondition, Pod as FullPod, PodFailurePolicy, SuccessPolicy},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    super::{
        given::{job, job_key, merge, pod, world},
        vectors::{check, compare_conditions, items, same},
    },
    counting::objects,
    pass::patch,
};
use crate::{
    Controller,
    job::{
        backoff::{Backoff, Record, UPSTREAM},
        conditions,
        creation::{hostname, indexed_base},
        failure_policy::{self, Action},
        indexed::{Indexed, next_failure_counts, split_duplicates},
        indexes::Indexes,
        pod::Pod,
        spec::Spec,
        success_policy,
    },
};

#[test]
fn the_lowest_missing_indexes_are_due() {
    check("pendingIndexes", |case| {
        let completions = u32::try_from(case.number("completions").unwrap()).unwrap();
        let set = |field| Indexes::parse(case.text(field).unwrap_or_default(), completions);
        let texts = case.list("activeIndexes").iter().filter_map(Value::as_str);
        let indexed = Indexed {
            completions,
            succeeded: set("succeededIndexes"),
            failed: Some(set("failedIndexes")),
            ..Indexed::default()
        };
        let taken = texts.filter_map(|text| text.parse().ok()).collect();
        let want = usize::try_from(case.number("want").unwrap()).unwrap();
        same("indexes", json!(indexed.pending(&taken, want)), case.expect("indexes").clone())
    });
}

#[test]
fn of_pods_with_one_index_the_furthest_is_kept() {
    check("duplicateIndexes", |case| {
        let given: Vec<Value> = case
            .list("pods")
            .iter()
            .map(|pod| match pod[0].as_str() {
                Some("-") | None => json!({"phase": pod[1]}),
                Some(index) => json!({"phase": pod[1], "index": index}),
            })
            .collect();
        let objects = objects(&given);
        let pods: Vec<Pod<'_>> = objects.iter().map(|object| Pod::read(object, false)).collect();
        let completions = u32::try_from(case.number("completions").unwrap()).unwrap();
        let (remove, keep) = split_duplicates(&pods, (0..pods.len()).collect(), completions);
        let listed = |places: Vec<usize>| -> BTreeMap<String, usize> {
            let names = places.into_iter().map(|at| case.list("pods")[at].to_string());
            names.fold(BTreeMap::new(), |mut count, name| {
                *count.entry(name).or_default() += 1;
                count
            })
        };
        let wanted = |field: &str| -> BTreeMap<String, usize> {
            let names = items(case.expect(field)).iter().map(ToString::to_string);
            names.fold(BTreeMap::new(), |mut count, name| {
                *count.entry(name).or_default() += 1;
                count
            })
        };
        same("remove", listed(remove), wanted("remove"))?;
        same("keep", listed(keep), wanted("keep"))
    });
}

#[test]
fn indexed_pods_are_named_after_their_index() {
    check("podNamePrefix", |case| {
        let (name, index) =
            (case.text("jobName").unwrap(), u32::try_from(case.number("index").unwrap()).unwrap());
        same("generateName", json!(indexed_base(name, index)), case.expect("generateName").clone())?;
        match case.expect("hostname") {
            Value::Null => Ok(()),
            wanted => same("hostname", json!(hostname(name, index)), wanted.clone()),
        }
    });
}

#[test]
fn unreadable_failure_counts_are_zero() {
    check("indexFailureCount", |case| {
        let name = "batch.kubernetes.io/job-index-failure-count";
        let patch = json!({"metadata": {"annotations": {name: case.get("annotation")}}});
        let pod = stored(&patch);
        same("count", json!(Pod::read(&pod, false).index_failures()), case.expect("count").clone())
    });
}

#[test]
fn a_replacement_counts_on() {
    check("nextIndexFailureCount", |case| {
        let count = |field: &str| case.number(field).map(|count| count.to_string());
        let rule = json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]});
        let ignored = case.get("replacedIgnored") == true;
        let object = job(&json!({"podFailurePolicy": {"rules": [rule]}}), &json!({}), world().now);
        let spec = object.spec.unwrap();
        let conditions = json!([{"type": "DisruptionTarget", "status": "True"}]);
        let pod = stored(&json!({
            "metadata": {"annotations": {
                "batch.kubernetes.io/job-index-failure-count": count("replacedCount"),
                "batch.kubernetes.io/job-index-ignored-failure-count": count("replacedIgnoredCount"),
            }},
            "status": {"phase": "Failed", "conditions": if ignored { conditions } else { json!([]) }},
        }));
        let pod = Pod::read(&pod, false);
        let replaced = case.number("replacedCount").map(|_| &pod);
        let (counted, ignored) = next_failure_counts(&Spec::of(&spec), replaced);
        same("counted", json!(counted), case.expect("failureCount").clone())?;
        same("ignored", json!(ignored), case.expect("ignoredFailureCount").clone())
    });
}

fn stored(patch: &Value) -> cronlet_object::Object {
    let mut pod = serde_json::to_value(pod("mypod", world().now, &json!({}))).unwrap();
    merge(&mut pod, patch);
    let pod: FullPod = serde_json::from_value(pod).unwrap();
    Draft::of(&pod).seal(1)
}

#[test]
fn delays_double_up_to_the_longest() {
    check("backoff", |case| {
        let number = |field| case.number(field).unwrap();
        let seconds = |field| SignedDuration::from_secs(number(field));
        let backoff = Backoff { initial: seconds("baseSeconds"), max: seconds("maxSeconds") };
        let now = world().now;
        let failures = u32::try_from(number("failures")).unwrap();
        let over = backoff.over_at(failures, now - seconds("secondsSinceLastFailure"), now);
        let remaining = if failures == 0 { 0 } else { over.duration_since(now).as_secs().max(0) };
        same("remaining", json!(remaining), case.expect("remainingSeconds").clone())
    });
    check("backoffDefaults", |case| {
        same("base", json!(UPSTREAM.initial.as_secs()), case.expect("baseSeconds").clone())?;
        same("max", json!(UPSTREAM.max.as_secs()), case.expect("maxSeconds").clone())?;
        let delays: Vec<i64> = (1..=8).map(|failures| UPSTREAM.delay(failures).as_secs()).collect();
        same("sequence", json!(delays), case.expect("sequence").clone())
    });
}

#[test]
fn only_failures_after_the_last_success_delay() {
    check("backoffRecord", |case| {
        let now = world().now;
        let times = |field| -> Vec<Timestamp> {
            let offsets = case.list(field).iter().filter_map(Value::as_i64);
            offsets.map(|ms| now + SignedDuration::from_millis(ms)).collect()
        };
        let failures = u32::try_from(case.number("failuresBefore").unwrap_or_default()).unwrap();
        let before = Record { failures, last_failure: (failures > 0).then_some(Timestamp::UNIX_EPOCH) };
        let after = before.after(&times("newSucceededAtMs"), &times("newFailedAtMs"));
        same("failures", json!(after.failures), case.expect("failuresAfterLastSuccess").clone())?;
        match case.expect("lastFailureAtMs") {
            Value::Null => Ok(()),
            ms => same(
                "last",
                after.last_failure.map(|at| json!(at.duration_since(now).as_millis())),
                Some(ms.clone()),
            ),
        }
    });
}

#[test]
fn the_end_of_a_pod_is_told_from_what_it_left() {
    check("podFinishTime", |case| {
        let given = case.get("pod");
        let pod = stored(&finished_pod(given));
        let got = Pod::read(&pod, false).finished_at();
        same("finished", json!(got), case.expect("finishedAt").clone())
    });
}

fn finished_pod(given: &Value) -> Value {
    let status = |name: String, at: &Value| {
        let state = if at.is_null() {
            json!({"running": {}})
        } else {
            json!({"terminated": {"exitCode": 0, "finishedAt": at}})
        };
        json!({"name": name, "state": state})
    };
    let statuses = |field: &str, prefix: &str| -> Vec<Value> {
        let times = items(&given[field]).iter().enumerate();
        times.map(|(at, time)| status(format!("{prefix}{at}"), time)).collect()
    };
    let sidecars = statuses("sidecarTerminatedAt", "sidecar");
    let specs: Vec<Value> =
        sidecars.iter().map(|c| json!({"name": c["name"], "restartPolicy": "Always"})).collect();
    let mut init = statuses("initTerminatedAt", "init");
    init.extend(sidecars);
    let mut pod = json!({
        "metadata": {},
        "spec": {"initContainers": specs},
        "status": {
            "containerStatuses": statuses("terminatedAt", "main"),
            "initContainerStatuses": init,
            "conditions": given["conditions"],
        },
    });
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "creationTimestamp"] {
        if !given[field].is_null() {
            pod["metadata"][field] = given[field].clone();
        }
    }
    pod
}

#[test]
fn the_first_matching_failure_rule_decides() {
    check("podFailurePolicyMatch", |case| {
        let policy: PodFailurePolicy = serde_json::from_value(json!({"rules": case.get("rules")})).unwrap();
        let now = world().now;
        let pod = stored(&patch(case.get("pod"), now, now));
        let pod = Pod::read(&pod, false);
        let action = failure_policy::action(&policy, &pod);
        let (name, message) = match action {
            None => (None, None),
            Some(Action::FailJob(message)) => (Some("FailJob"), Some(message)),
            Some(Action::FailIndex) => (Some("FailIndex"), None),
            Some(Action::Ignore) => (Some("Ignore"), None),
            Some(Action::Count) => (Some("Count"), None),
        };
        same("action", json!(name), case.expect("action").clone())?;
        same("message", json!(message), case.expect("jobFailureMessage").clone())?;
        let counts = failure_policy::counts(Some(&policy), &pod);
        same("counts", json!(counts), case.expect("countFailed").clone())
    });
}

#[test]
fn the_first_met_success_rule_decides() {
    check("successPolicyMatch", |case| {
        let completions = u32::try_from(case.number("completions").unwrap()).unwrap();
        let succeeded = Indexes::parse(case.text("succeededIndexes").unwrap_or_default(), completions);
        let met = match case.get("rules") {
            Value::Null => None,
            rules => {
                let policy: SuccessPolicy = serde_json::from_value(json!({"rules": rules})).unwrap();
                success_policy::met(&policy, completions, &succeeded)
            }
        };
        same("met", json!(met.is_some()), case.expect("met").clone())?;
        same("message", json!(met), case.expect("message").clone())
    });
}

#[test]
fn conditions_are_added_when_they_hold_and_kept_when_they_do_not_change() {
    check("conditionUpdate", |case| {
        let condition = |value: &Value| -> JobCondition { serde_json::from_value(value.clone()).unwrap() };
        let mut list: Vec<JobCondition> = case.list("have").iter().map(condition).collect();
        let changed = conditions::ensure(&mut list, condition(case.get("want")));
        let list: Vec<Value> = list.iter().map(|condition| json!(condition)).collect();
        compare_conditions(&list, items(case.expect("conditions")))?;
        same("changed", json!(changed), case.expect("changed").clone())
    });
}

#[test]
fn a_finished_job_is_deleted_when_its_time_is_over() {
    check("ttl", |case| {
        let mut world = world();
        let finished = case.number("finishedSecondsAgo").unwrap_or_default();
        let conditions = match case.text("finished") {
            Some(type_) => json!([{"type": type_, "status": "True",
                "lastTransitionTime": world.now - SignedDuration::from_secs(finished)}]),
            None => json!([]),
        };
        let spec = json!({"ttlSecondsAfterFinished": case.get("ttlSecondsAfterFinished")});
        world.put(&job(&spec, &json!({"conditions": conditions}), world.now));
        let plan = world.plan(Controller::Ttl, &job_key());
        let seconds = match plan.wake_at {
            Some(at) => json!(at.duration_since(world.now).as_secs()),
            None if plan.transaction.writes.is_empty() => Value::Null,
            None => json!(0),
        };
        match case.expect("deleteInSeconds").as_i64() {
            Some(at) if at < 0 => same("seconds", seconds, json!(0)),
            _ => same("seconds", seconds, case.expect("deleteInSeconds").clone()),
        }
    });
}
