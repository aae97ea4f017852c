//! Follows a Job to its end: the output of its pods as they start, and at last its outcome.

use std::{fmt, io};

use anyhow::{Context, bail};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::task::JoinSet;

use super::trouble::Trouble;
use crate::{
    client::{self, Client, Lines, Refused},
    command::{
        attempts::{Attempt, Attempts},
        logs::{LogOptions, print_pod},
    },
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

/// Prints the output of the Job's pods on standard output, and what keeps them from running on standard error, until the
/// Job has ended.
///
/// # Errors
/// If the connection breaks or somebody deletes the Job.
pub async fn to_the_end(client: &Client, job: &Value, trouble: &mut Trouble) -> anyhow::Result<End> {
    let field = |name: &str| job["metadata"][name].as_str().unwrap_or_default().to_owned();
    let namespace = escape(&field("namespace"));
    let revision = field("resourceVersion");
    let of_job = escape(&format!("batch.kubernetes.io/controller-uid={}", field("uid")));
    let pods_path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={of_job}");
    let named = escape(&format!("metadata.name={}", field("name")));
    let jobs_path = format!("/apis/batch/v1/namespaces/{namespace}/jobs?fieldSelector={named}");
    let mut pods = watch(client, &pods_path, &revision).await?;
    let mut jobs = watch(client, &jobs_path, &revision).await?;
    // Whoever may not read events does without them.
    let events_path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=type%3DWarning");
    let mut warnings = watch(client, &events_path, &revision).await.ok();
    let mut attempts = Attempts::default();
    let mut printing = JoinSet::new();
    let end = loop {
        tokio::select! {
            event = pods.next_event() => {
                let event = event?.context("the server ended the watch")?;
                tell(trouble.pod(&event["object"]));
                for attempt in attempts.begun(&event["object"]) {
                    printing.spawn(print(client.clone(), event["object"].clone(), attempt));
                }
            }
            event = next(&mut warnings) => match event {
                Some(event) => tell(trouble.event(&event["object"])),
                None => warnings = None,
            },
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
        for attempt in attempts.begun(pod) {
            printing.spawn(print(client.clone(), pod.clone(), attempt));
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

/// The next event of a watch that may be missing; `None` when there is no next one.
async fn next(lines: &mut Option<Lines>) -> Option<Value> {
    match lines {
        Some(lines) => lines.next_event().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

fn tell(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        eprintln!("warning: {line}");
    }
}

async fn print(client: Client, pod: Value, mut attempt: Attempt) -> anyhow::Result<()> {
    attempt.turn.come().await;
    let options = LogOptions {
        follow: true,
        container: Some(attempt.container.clone()),
        attempt: Some(attempt.number),
        // For a cluster, which knows of no numbers.
        previous: attempt.is_previous,
        ..LogOptions::default()
    };
    match print_pod(&client, &pod, &options, &mut io::stdout()).await {
        // The pod may have been removed meanwhile. The Job's outcome matters more than what it printed.
        Err(error) if error.is::<Refused>() => {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            eprintln!("warning: no output of container {} of pod/{name}: {error:#}", attempt.container);
            Ok(())
        }
        printed => printed,
    }
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
