//! `cronlet logs`: the output of a pod, of all pods of a Job, or of a CronJob's latest run.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    client::{self, Client, Target},
    resources::escape,
};

/// Print the logs of a pod, a Job or a CronJob's latest run.
#[derive(Args)]
pub struct Logs {
    /// NAME of a pod, or pod/NAME, job/NAME, cronjob/NAME
    #[arg(value_name = "POD|TYPE/NAME")]
    of: String,
    #[command(flatten)]
    options: LogOptions,
    #[command(flatten)]
    target: Target,
}

/// Which part of a log.
#[derive(Args, Clone, Debug, Default)]
pub struct LogOptions {
    /// Go on printing until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// The container [default: the only one, or all in turn]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// The run before the last restart
    #[arg(short, long)]
    pub previous: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u64>,
    /// Only the last seconds
    #[arg(long, value_name = "SECONDS")]
    pub since: Option<u64>,
    /// Put the time in front of each line
    #[arg(long)]
    pub timestamps: bool,
    /// The run with this number, the first being 0: for those who follow all of them.
    #[arg(skip)]
    pub attempt: Option<u32>,
}

/// Prints the logs asked for.
pub fn run(arguments: &Logs) -> anyhow::Result<ExitCode> {
    super::block_on(async {
        let client = Client::connect(&arguments.target).await?;
        for pod in pods_of(&client, &arguments.of).await? {
            print_pod(&client, &pod, &arguments.options, &mut io::stdout()).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn pods_of(client: &Client, of: &str) -> anyhow::Result<Vec<Value>> {
    let (kind, name) = of.split_once('/').unwrap_or(("pod", of));
    let namespace = escape(&client.namespace);
    match kind {
        "pod" | "pods" | "po" => {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{}", escape(name));
            Ok(vec![client.json(client::get(&path, "application/json")).await?])
        }
        "job" | "jobs" | "job.batch" | "jobs.batch" => pods_of_job(client, name).await,
        "cronjob" | "cronjobs" | "cj" | "cronjob.batch" | "cronjobs.batch" => {
            pods_of_job(client, &latest_job(client, name).await?).await
        }
        other => bail!("`{other}` has no logs: name a pod, job/NAME or cronjob/NAME"),
    }
}

/// The pods of a Job, oldest first.
async fn pods_of_job(client: &Client, job: &str) -> anyhow::Result<Vec<Value>> {
    let selector = escape(&format!("batch.kubernetes.io/job-name={job}"));
    let path = format!("/api/v1/namespaces/{}/pods?labelSelector={selector}", escape(&client.namespace));
    let mut pods = items(client.json(client::get(&path, "application/json")).await?);
    if pods.is_empty() {
        bail!("job/{job} has no pods in namespace {}", client.namespace);
    }
    pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned());
    Ok(pods)
}

/// The name of the Job that the CronJob created last.
async fn latest_job(client: &Client, cronjob: &str) -> anyhow::Result<String> {
    let namespace = escape(&client.namespace);
    let path = format!("/apis/batch/v1/namespaces/{namespace}/cronjobs/{}", escape(cronjob));
    let owner = client.json(client::get(&path, "application/json")).await?;
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let jobs = items(client.json(client::get(&path, "application/json")).await?);
    let owned = jobs.iter().filter(|job| {
        let owners = job["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|o| o["uid"] == owner["metadata"]["uid"]))
    });
    let latest = owned.max_by_key(|job| job["metadata"]["creationTimestamp"].as_str().unwrap_or_default());
    let name = latest.and_then(|job| job["metadata"]["name"].as_str());
    Ok(name
        .with_context(|| format!("cronjob/{cronjob} has not run yet, or its runs were removed"))?
        .to_owned())
}

fn items(mut list: Value) -> Vec<Value> {
    list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

/// Writes the logs of a pod's containers, one after the other.
///
/// # Errors
/// If the server refuses, the connection breaks, or the output cannot be written.
pub async fn print_pod(
    client: &Client,
    pod: &Value,
    options: &LogOptions,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let names: Vec<String> = match &options.container {
        Some(name) => vec![name.clone()],
        None => ["initContainers", "containers"]
            .iter()
            .flat_map(|list| pod["spec"][*list].as_array().cloned().unwrap_or_default())
            .filter_map(|container| container["name"].as_str().map(str::to_owned))
            .collect(),
    };
    for container in names {
        let body = client.send(client::get(&log_path(pod, &container, options), "text/plain, */*")).await?;
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            out.write_all(&piece.context("the log broke off")?)?;
            out.flush()?;
        }
    }
    Ok(())
}

fn log_path(pod: &Value, container: &str, options: &LogOptions) -> String {
    let field = |name: &str| escape(pod["metadata"][name].as_str().unwrap_or_default());
    let mut path = format!(
        "/api/v1/namespaces/{}/pods/{}/log?container={}",
        field("namespace"),
        field("name"),
        escape(container)
    );
    for (name, set) in
        [("follow", options.follow), ("previous", options.previous), ("timestamps", options.timestamps)]
    {
        if set {
            path.push_str(&format!("&{name}=true"));
        }
    }
    let attempt = options.attempt.map(u64::from);
    for (name, value) in
        [("tailLines", options.tail), ("sinceSeconds", options.since), ("cronlet.dev/attempt", attempt)]
    {
        path.extend(value.map(|value| format!("&{name}={value}")));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_query_parameters() {
        let pod = serde_json::json!({"metadata": {"namespace": "n", "name": "p"}});
        let options = LogOptions { follow: true, tail: Some(5), ..LogOptions::default() };
        assert_eq!(
            log_path(&pod, "c", &options),
            "/api/v1/namespaces/n/pods/p/log?container=c&follow=true&tailLines=5"
        );
    }
}
