//! The Job of one run: taken from a manifest or a CronJob, with what is different in this run.

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::Overrides;

/// Marks a Job as started by hand, as `kubectl create job --from` does.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";
/// The time a run stands for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The Job of a Job's or a CronJob's manifest.
///
/// # Errors
/// If an override cannot be used.
pub fn job_of_manifest(manifest: &Value, overrides: &Overrides) -> anyhow::Result<Value> {
    if manifest["kind"] == "CronJob" {
        return job_of_cronjob(manifest, overrides);
    }
    let mut job = manifest.clone();
    override_template(&mut job, overrides)?;
    Ok(job)
}

/// The Job that a CronJob would create, named as one that was started by hand.
///
/// # Errors
/// If an override cannot be used.
pub fn job_of_cronjob(cronjob: &Value, overrides: &Overrides) -> anyhow::Result<Value> {
    let template = &cronjob["spec"]["jobTemplate"];
    let metadata = |field: &str| cronjob["metadata"][field].as_str();
    let name = metadata("name").or(metadata("generateName").map(|name| name.trim_end_matches('-')));
    let name = name.unwrap_or_default();
    let mut metadata = Map::new();
    metadata.insert("generateName".into(), format!("{name}-manual-").into());
    metadata.insert("labels".into(), template["metadata"]["labels"].clone());
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert(INSTANTIATE.into(), "manual".into());
    metadata.insert("annotations".into(), annotations.into());
    if let Some(uid) = cronjob["metadata"]["uid"].as_str() {
        let owner = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": uid, "controller": true,
        });
        metadata.insert("ownerReferences".into(), json!([owner]));
    }
    if let Some(namespace) = cronjob["metadata"]["namespace"].as_str() {
        metadata.insert("namespace".into(), namespace.into());
    }
    let mut job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]});
    override_template(&mut job, overrides)?;
    Ok(job)
}

fn override_template(job: &mut Value, overrides: &Overrides) -> anyhow::Result<()> {
    if let Some(time) = overrides.as_of {
        job["metadata"]["annotations"][SCHEDULED] = time.to_string().into();
    }
    if overrides.image.is_none() && overrides.arg.is_empty() && overrides.env.is_empty() {
        // What is wrong with the containers, if they are there at all, the server tells better.
        return Ok(());
    }
    let containers =
        job["spec"]["template"]["spec"]["containers"].as_array_mut().context("the Job has no containers")?;
    let first = containers.first_mut().context("the Job has no containers")?;
    if let Some(image) = &overrides.image {
        first["image"] = image.clone().into();
    }
    if !overrides.arg.is_empty() {
        first["args"] = overrides.arg.clone().into();
    }
    for setting in &overrides.env {
        let Some((name, value)) = setting.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("--env {setting}: it has the form NAME=VALUE");
        };
        for container in containers.iter_mut() {
            set_variable(container, name, value);
        }
    }
    Ok(())
}

fn set_variable(container: &mut Value, name: &str, value: &str) {
    let mut env = container["env"].as_array().cloned().unwrap_or_default();
    env.retain(|variable| variable["name"] != name);
    env.push(json!({"name": name, "value": value}));
    container["env"] = env.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cronjob() -> Value {
        let container =
            json!({"name": "c", "image": "a", "args": ["x"], "env": [{"name": "A", "value": "1"}]});
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "uid": "u"},
            "spec": {"schedule": "@daily", "jobTemplate": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
            }},
        })
    }

    #[test]
    fn a_run_of_a_cronjob_is_marked_and_owned() {
        let job = job_of_manifest(&cronjob(), &Overrides::default()).unwrap();
        assert_eq!(job["metadata"]["generateName"], "nightly-manual-");
        assert_eq!(job["metadata"]["annotations"][INSTANTIATE], "manual");
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(job["metadata"]["labels"]["app"], "x");
        let mut unnamed = cronjob();
        unnamed["metadata"] = json!({"generateName": "nightly-"});
        let job = job_of_manifest(&unnamed, &Overrides::default()).unwrap();
        assert_eq!(job["metadata"]["generateName"], "nightly-manual-");
    }

    #[test]
    fn overrides_change_this_run_only_where_they_say() {
        let overrides = Overrides {
            env: vec!["A=2".into(), "B=x=y".into()],
            arg: vec!["--fast".into()],
            image: Some("b".into()),
            as_of: Some("2026-01-02T03:04:00Z".parse().unwrap()),
        };
        let job = job_of_manifest(&cronjob(), &overrides).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["env"], json!([{"name": "A", "value": "2"}, {"name": "B", "value": "x=y"}]));
        assert_eq!((&container["args"], &container["image"]), (&json!(["--fast"]), &json!("b")));
        assert_eq!(job["metadata"]["annotations"][SCHEDULED], "2026-01-02T03:04:00Z");
        let bad = Overrides { env: vec!["A".into()], ..Overrides::default() };
        assert!(job_of_manifest(&cronjob(), &bad).is_err());
    }
}
