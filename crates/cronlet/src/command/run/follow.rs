//! Follows a Job to its end: the output of its pods as they start, and at last its outcome.

use std::{collections::HashSet, fmt, io};

use anyhow::{Context, bail};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    client::{self, Client, Lines},
    command::logs::{LogOptions, print_pod},
    resources::escape,
};

/// How a Job ended.
pub struct End {
    /// Whether it reached Complete; otherwise it Failed.
    pub complete: bool,
    message: String,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.complete, self.message.as_str()) {
            (true, _) => f.write_str("is complete"),
            (false, "") => f.write_str("failed"),
            (false, message) => write!(f, "failed: {message}"),
        }
    }
}

/// Prints the output of the Job's pods on standard output until the Job has ended.
///
/// # Errors
/// If the connection breaks or somebody deletes the Job.
pub async fn to_the_end(client: &Client, job: &Value) -> anyhow::Result<End> {
    let field = |name: &str| job["metadata"][name].as_str().unwrap_or_default().to_owned();
    let namespace = escape(&field("namespace"));
    let revision = field("resourceVersion");
    let of_job = escape(&format!("batch.kubernetes.io/controller-uid={}", field("uid")));
    let pods_path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={of_job}");
    let named = escape(&format!("metadata.name={}", field("name")));
    let jobs_path = format!("/apis/batch/v1/namespaces/{namespace}/jobs?fieldSelector={named}");
    let mut pods = watch(client, &pods_path, &revision).await?;
    let mut jobs = watch(client, &jobs_path, &revision).await?;
    let mut printed = HashSet::new();
    let mut printing = JoinSet::new();
    let end = loop {
        tokio::select! {
            event = pods.next_event() => {
                let event = event?.context("the server ended the watch")?;
                if has_begun(&event["object"]) && printed.insert(event["object"]["metadata"]["uid"].to_string()) {
                    printing.spawn(print(client.clone(), event["object"].clone()));
                }
            }
            event = jobs.next_event() => {
                let event = event?.context("the server ended the watch")?;
                if event["type"] == "DELETED" {
                    bail!("the Job was deleted before it ended");
                }
                if let Some(end) = end_of(&event["object"]) {
                    break end;
                }
            }
        }
    };
    // The two watches are not in step: a pod that started last may not have been seen yet.
    let list = client.json(client::get(&pods_path, "application/json")).await?;
    for pod in list["items"].as_array().into_iter().flatten() {
        if has_begun(pod) && printed.insert(pod["metadata"]["uid"].to_string()) {
            printing.spawn(print(client.clone(), pod.clone()));
        }
    }
    while let Some(printed) = printing.join_next().await {
        printed??;
    }
    Ok(end)
}

async fn watch(client: &Client, path: &str, revision: &str) -> anyhow::Result<Lines> {
    let path = format!("{path}&watch=true&resourceVersion={revision}");
    Ok(Lines::new(client.send(client::get(&path, "application/json")).await?.into_data_stream()))
}

/// Whether any container of the pod has started, so that there is a log to follow.
fn has_begun(pod: &Value) -> bool {
    ["initContainerStatuses", "containerStatuses"].iter().any(|list| {
        let statuses = pod["status"][*list].as_array();
        statuses.is_some_and(|s| s.iter().any(|s| s["state"]["waiting"].is_null() && !s["state"].is_null()))
    })
}

async fn print(client: Client, pod: Value) -> anyhow::Result<()> {
    let options = LogOptions { follow: true, ..LogOptions::default() };
    print_pod(&client, &pod, &options, &mut io::stdout()).await
}

fn end_of(job: &Value) -> Option<End> {
    let conditions = job["status"]["conditions"].as_array()?;
    let end = conditions
        .iter()
        .find(|c| c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed"))?;
    Some(End {
        complete: end["type"] == "Complete",
        message: end["message"].as_str().unwrap_or_default().to_owned(),
    })
}
