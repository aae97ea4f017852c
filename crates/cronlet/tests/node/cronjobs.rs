//! CronJobs over HTTP: what they create, what they tell, and what becomes of their Jobs.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    api::{Api, Report},
    job_expectations::items,
    testing::Node,
};

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

#[test]
fn cronjobs_do_as_upstream_does() {
    let node = Node::start(&["--runtime", "none"]);
    node.client(async |client| {
        let names = ["fires", "forbid", "replace", "history", "resumed", "deadline", "manual", "missing"];
        let mut apis = Api::open(&client, &names.map(str::to_owned)).await.into_iter();
        let mut next = || apis.next().unwrap();
        tokio::join!(
            fires(next()),
            forbid(next()),
            replace(next()),
            history(next()),
            resumed(next()),
            deadline(next()),
            manual(next()),
            missing(next()),
        );
    });
}

#[expect(clippy::disallowed_methods, reason = "the test needs the node's time")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// A CronJob named `tick`, with `spec` merged in at the top.
async fn create(api: &Api, spec: &Value) -> Value {
    let mut whole = json!({"schedule": "@every 1s", "jobTemplate": {
        "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
        "spec": {"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "main", "image": "busybox", "command": ["true"]}]}}},
    }});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    api.create("cronjobs", &json!({"metadata": {"name": "tick"}, "spec": whole})).await.unwrap()
}

/// A Job of the CronJob's, as if it had been started earlier.
async fn create_owned(api: &Api, cronjob: &Value, name: &str) -> Value {
    let job = json!({
        "metadata": {"name": name, "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
                "uid": cronjob["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]},
        "spec": cronjob["spec"]["jobTemplate"]["spec"],
    });
    api.create("jobs", &job).await.unwrap()
}

async fn patch(api: &Api, resource: &str, patch: &Value) -> Value {
    let (code, answer) = api.patch(resource, patch).await;
    assert_eq!(code, 200, "{answer}");
    answer
}

/// Enters a Job among the CronJob's active ones.
async fn make_active(api: &Api, job: &Value) {
    let reference = json!({"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"],
        "namespace": api.namespace, "uid": job["metadata"]["uid"]});
    patch(api, "cronjobs/tick/status", &json!({"status": {"active": [reference]}})).await;
}

async fn until<T>(api: &mut Api, what: &str, check: impl AsyncFn(&Api) -> Option<T>) -> T {
    let check = async |api: &Api| match check(api).await {
        Some(value) => Ok(value),
        None => Err(format!(
            "{}: no {what}: {} {:?}",
            api.namespace,
            api.get("cronjobs/tick").await["status"],
            messages(api).await
        )),
    };
    api.eventually(20, check).await.unwrap_or_else(|why| panic!("{why}"))
}

/// All events of the CronJob as `Type Reason Message`.
async fn messages(api: &Api) -> Vec<String> {
    let events = api.list("events").await;
    let told = events.iter().filter(|event| event["involvedObject"]["kind"] == "CronJob");
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    told.map(|event| ["type", "reason", "message"].map(|field| text(event, field)).join(" ")).collect()
}

async fn told(api: &mut Api, message: &str) {
    until(api, message, async |api| {
        messages(api).await.iter().find(|told| told.starts_with(message)).cloned()
    })
    .await;
}

/// The Job that the CronJob made by itself.
async fn scheduled_job(api: &mut Api) -> Value {
    let found = async |api: &Api| {
        let jobs = api.list("jobs").await;
        jobs.into_iter().find(|job| job["metadata"]["annotations"][SCHEDULED].is_string())
    };
    until(api, "scheduled Job", found).await
}

/// Lets a Job's pod succeed.
async fn complete(api: &mut Api, job: &str) {
    let pod_of = async |api: &Api| {
        let pods = api.list("pods").await;
        let pod = pods.into_iter().find(|pod| pod["metadata"]["labels"]["job-name"] == *job)?;
        Some(pod["metadata"]["name"].as_str().unwrap().to_owned())
    };
    let pod = until(api, "pod", pod_of).await;
    api.report(&pod, &json!({"phase": "Succeeded"}), Report::Strategic).await.unwrap();
}

async fn fires(mut api: Api) {
    let cronjob = create(&api, &json!({"timeZone": "Asia/Kolkata"})).await;
    assert_eq!(cronjob["spec"]["concurrencyPolicy"], "Allow");
    assert_eq!(
        (&cronjob["spec"]["successfulJobsHistoryLimit"], &cronjob["spec"]["failedJobsHistoryLimit"]),
        (&json!(3), &json!(1))
    );
    let job = scheduled_job(&mut api).await;
    let metadata = &job["metadata"];
    let at = metadata["annotations"][SCHEDULED].as_str().unwrap();
    assert!(at.ends_with("+05:30"), "the time is told in the CronJob's zone: {at}");
    let at: Timestamp = at.parse().unwrap();
    assert_eq!(metadata["name"], format!("tick-{}", at.as_second().div_euclid(60)));
    assert_eq!((&metadata["labels"]["team"], &metadata["annotations"]["note"]), (&json!("a"), &json!("b")));
    let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
        "uid": cronjob["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]);
    assert_eq!(metadata["ownerReferences"], owner);
    let name = metadata["name"].as_str().unwrap().to_owned();
    told(&mut api, &format!("Normal SuccessfulCreate Created job {name}")).await;
    let status = api.get("cronjobs/tick").await["status"].clone();
    assert_eq!(status["lastScheduleTime"], at.to_string(), "the scheduled time, in UTC");
    // Upstream adds the revision as of the creation, which here is not known before the commit.
    let reference = json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "namespace": "fires",
        "uid": metadata["uid"]});
    assert!(items(&status["active"]).contains(&reference), "{status}");
    complete(&mut api, &name).await;
    told(&mut api, &format!("Normal SawCompletedJob Saw completed job: {name}, condition: Complete")).await;
    let ended = async |api: &Api| {
        let status = api.get("cronjobs/tick").await["status"].clone();
        let is_active = items(&status["active"]).iter().any(|active| active["name"] == *name);
        (!is_active && status["lastSuccessfulTime"].is_string()).then_some(())
    };
    until(&mut api, "end", ended).await;
    // One minute has one name, so seconds do not add Jobs.
    let jobs = api.list("jobs").await.len();
    assert!(jobs <= 2, "{jobs} Jobs within moments");
}

async fn forbid(mut api: Api) {
    let cronjob = create(&api, &json!({"concurrencyPolicy": "Forbid", "suspend": true})).await;
    let earlier = create_owned(&api, &cronjob, "earlier").await;
    make_active(&api, &earlier).await;
    patch(&api, "cronjobs/tick", &json!({"spec": {"suspend": false}})).await;
    told(&mut api, "Normal JobAlreadyActive Not starting job because prior execution is running and concurrency policy is Forbid").await;
    assert_eq!(api.list("jobs").await.len(), 1);
    complete(&mut api, "earlier").await;
    scheduled_job(&mut api).await;
}

async fn replace(mut api: Api) {
    let cronjob = create(&api, &json!({"concurrencyPolicy": "Replace", "suspend": true})).await;
    let earlier = create_owned(&api, &cronjob, "earlier").await;
    make_active(&api, &earlier).await;
    patch(&api, "cronjobs/tick", &json!({"spec": {"suspend": false}})).await;
    let job = scheduled_job(&mut api).await;
    told(&mut api, "Normal SuccessfulDelete Deleted job earlier").await;
    let gone = async |api: &Api| {
        let pods = api.list("pods").await;
        let left = pods.iter().any(|pod| pod["metadata"]["labels"]["job-name"] == "earlier");
        (!left && api.get("jobs/earlier").await.is_null()).then_some(())
    };
    until(&mut api, "end of the earlier Job", gone).await;
    let active = api.get("cronjobs/tick").await["status"]["active"].clone();
    assert!(items(&active).iter().any(|active| active["uid"] == job["metadata"]["uid"]), "{active}");
    assert!(items(&active).iter().all(|active| active["name"] != "earlier"), "{active}");
}

async fn history(mut api: Api) {
    let cronjob = create(&api, &json!({"suspend": true, "successfulJobsHistoryLimit": 1})).await;
    for name in ["one", "two", "three"] {
        create_owned(&api, &cronjob, name).await;
        complete(&mut api, name).await;
        // Which is the oldest is told from start times, which have whole seconds.
        api.hold(1, async |_| Ok(())).await.unwrap();
    }
    let left = async |api: &Api| {
        let jobs = api.list("jobs").await;
        let names: Vec<&Value> = jobs.iter().map(|job| &job["metadata"]["name"]).collect();
        (names == ["three"]).then_some(())
    };
    until(&mut api, "history of one", left).await;
    told(&mut api, "Normal SuccessfulDelete Deleted job one").await;
    api.hold(1, async |api| if left(api).await.is_some() { Ok(()) } else { Err("more went".into()) })
        .await
        .unwrap();
    // The garbage collector takes the pods of the removed Jobs along.
    let pods = async |api: &Api| (api.list("pods").await.len() == 1).then_some(());
    until(&mut api, "single pod", pods).await;
}

/// Lets the CronJob believe that it was last due two hours ago.
async fn set_back(api: &Api) -> Timestamp {
    let last = now() - SignedDuration::from_hours(2);
    let last = last.round(jiff::Unit::Second).unwrap();
    patch(api, "cronjobs/tick/status", &json!({"status": {"lastScheduleTime": last}})).await;
    last
}

async fn resumed(mut api: Api) {
    create(&api, &json!({"schedule": "@every 90m", "suspend": true})).await;
    let last = set_back(&api).await;
    api.hold(1, async |api| if api.list("jobs").await.is_empty() { Ok(()) } else { Err("it fired".into()) })
        .await
        .unwrap();
    patch(&api, "cronjobs/tick", &json!({"spec": {"suspend": false}})).await;
    let job = scheduled_job(&mut api).await;
    let at: Timestamp = job["metadata"]["annotations"][SCHEDULED].as_str().unwrap().parse().unwrap();
    assert_eq!(at, last + SignedDuration::from_mins(90), "the missed time is made up for at once");
    assert_eq!(api.get("cronjobs/tick").await["status"]["lastScheduleTime"], at.to_string());
}

async fn deadline(mut api: Api) {
    let spec = json!({"schedule": "@every 90m", "suspend": true, "startingDeadlineSeconds": 60});
    create(&api, &spec).await;
    set_back(&api).await;
    patch(&api, "cronjobs/tick", &json!({"spec": {"suspend": false}})).await;
    let none = async |api: &Api| {
        let jobs = api.list("jobs").await;
        if jobs.is_empty() { Ok(()) } else { Err(format!("{jobs:?}")) }
    };
    api.hold(2, none).await.unwrap();
    // With all the time it wants, the same start is not too late.
    patch(&api, "cronjobs/tick", &json!({"spec": {"startingDeadlineSeconds": null}})).await;
    scheduled_job(&mut api).await;
}

async fn manual(mut api: Api) {
    let cronjob = create(&api, &json!({"suspend": true})).await;
    create_owned(&api, &cronjob, "by-hand").await;
    told(&mut api, "Warning UnexpectedJob Saw a job that the controller did not create or forgot: by-hand")
        .await;
    assert_eq!(items(&api.get("cronjobs/tick").await["status"]["active"]).len(), 0);
    complete(&mut api, "by-hand").await;
    let complete = async |api: &Api| {
        let job = api.get("jobs/by-hand").await;
        crate::testing::has_condition(&job, "Complete").then_some(())
    };
    until(&mut api, "completed Job", complete).await;
    // The CronJob takes its Jobs along, and they their pods.
    let body = json!({"propagationPolicy": "Background"});
    let (code, answer) = api.send(Method::DELETE, &api.path("cronjobs/tick"), "", Some(&body)).await;
    assert_eq!(code, 200, "{answer}");
    let gone = async |api: &Api| {
        (api.list("jobs").await.is_empty() && api.list("pods").await.is_empty()).then_some(())
    };
    until(&mut api, "empty namespace", gone).await;
}

async fn missing(mut api: Api) {
    let cronjob = create(&api, &json!({"suspend": true})).await;
    let job = create_owned(&api, &cronjob, "lost").await;
    make_active(&api, &job).await;
    api.delete("jobs/lost", Some("Background")).await.unwrap();
    told(&mut api, "Normal MissingJob Active job went missing: lost").await;
    let none =
        async |api: &Api| items(&api.get("cronjobs/tick").await["status"]["active"]).is_empty().then_some(());
    until(&mut api, "empty list", none).await;
}
