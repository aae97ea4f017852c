//! `cronlet run`: one Job to its end, its output on this terminal, its outcome as the exit code.

mod build;
mod follow;
mod trouble;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::trouble::Trouble;
use crate::{
    arguments::RuntimeChoice,
    bootstrap::{self, Options, Server},
    client::{self, Client, Refused, Target},
    command::apply,
    diagnostic::{self, FileManifest},
    place,
    resources::escape,
    signals::Signals,
};

/// Exit code when the arguments or manifests make no sense.
const USAGE: u8 = 2;

/// Run one Job to its end and stream its logs.
#[derive(Args)]
pub struct Run {
    /// A CronJob, of which one run is started now
    #[arg(value_name = "cronjob/NAME", required_unless_present = "file", conflicts_with = "file")]
    cronjob: Option<String>,
    /// A manifest file with one Job or CronJob, and whatever it needs; without a node it runs on one of its own
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    /// Give up, and delete the Job, after this time, such as `90s` or `1h30m`
    #[arg(long, value_name = "DURATION")]
    timeout: Option<SignedDuration>,
    /// What runs the pods of a node started for this run
    #[arg(long, value_enum, default_value_t = RuntimeChoice::Auto)]
    runtime: RuntimeChoice,
    #[command(flatten)]
    target: Target,
}

/// What is different in this run.
#[derive(Args, Clone, Debug, Default)]
pub struct Overrides {
    /// Set an environment variable in every container; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Replace the arguments of the first container; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub arg: Vec<String>,
    /// Replace the image of the first container
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// The scheduled time that the run stands for (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<Timestamp>,
}

/// Runs the Job.
pub fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let manifests = match &arguments.file {
        Some(file) => match diagnostic::read_manifests(std::slice::from_ref(file)) {
            Ok(manifests) => manifests,
            Err(error) => return Ok(usage(&error)),
        },
        None => Vec::new(),
    };
    runtime.block_on(async {
        match &arguments.cronjob {
            Some(cronjob) => run_cronjob(arguments, cronjob).await,
            None => run_file(arguments, &manifests).await,
        }
    })
}

fn usage(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(USAGE)
}

async fn run_cronjob(arguments: &Run, cronjob: &str) -> anyhow::Result<ExitCode> {
    let Some(("cronjob" | "cronjobs" | "cj" | "cronjob.batch", name)) = cronjob.split_once('/') else {
        return Ok(usage(&anyhow::anyhow!(
            "`{cronjob}`: name a CronJob as cronjob/NAME, or give a file with -f"
        )));
    };
    let client = Client::connect(&arguments.target).await?;
    let path = format!("/apis/batch/v1/namespaces/{}/cronjobs/{}", escape(&client.namespace), escape(name));
    let object = client.json(client::get(&path, "application/json")).await?;
    match build::job_of_cronjob(&object, &arguments.overrides) {
        Ok(job) => run_job(arguments, &client, &job).await,
        Err(error) => Ok(usage(&error)),
    }
}

async fn run_file(arguments: &Run, manifests: &[FileManifest]) -> anyhow::Result<ExitCode> {
    let (runnable, needed): (Vec<FileManifest>, Vec<FileManifest>) =
        manifests.iter().cloned().partition(|manifest| ["Job", "CronJob"].contains(&manifest.kind()));
    let job = match runnable.as_slice() {
        [one] => build::job_of_manifest(one.value(), &arguments.overrides),
        several => Err(anyhow::anyhow!("the file has {} Jobs and CronJobs; one is needed", several.len())),
    };
    let job = match job {
        Ok(job) => job,
        Err(error) => return Ok(usage(&error)),
    };
    // Before the node is started: a signal that comes early must not leave anything of it behind.
    let mut signals = Signals::new()?;
    let (client, own) = node_for(arguments).await?;
    let outcome = async {
        if !apply::apply(&client, &needed, false, &mut |line| writeln!(io::stderr(), "{line}")).await? {
            bail!("what the Job needs was refused");
        }
        run_job(arguments, &client, &job).await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = signals.next() => Err(match own {
            Some(_) => anyhow::anyhow!("interrupted; the pods were ended"),
            None => anyhow::anyhow!("interrupted; what was created on the node is still there"),
        }),
    };
    if let Some((server, _directory)) = own {
        server.stop(true).await;
    }
    outcome
}

/// The node that was named or runs on this machine; else one of its own, in memory and in a temporary directory.
/// A cluster that merely stands in the user's kubeconfig is not taken for meant.
async fn node_for(arguments: &Run) -> anyhow::Result<(Client, Option<(Server, TempDir)>)> {
    let mut target = arguments.target.clone();
    let named =
        target.kubeconfig.is_some() || target.context.is_some() || client::kubeconfig_variable().is_some();
    if !named {
        target.kubeconfig = place::data_dir(None).ok().map(|dir| dir.join(place::KUBECONFIG_NAME));
    }
    if named || target.kubeconfig.as_ref().is_some_and(|path| path.exists()) {
        let client = Client::connect(&target).await?;
        match client.json(client::get("/version", "application/json")).await {
            Ok(_) => return Ok((client, None)),
            Err(error) if named => return Err(error),
            Err(_) => {}
        }
    }
    let directory =
        tempfile::Builder::new().prefix("cronlet-run-").tempdir().context("no temporary directory")?;
    let options = Options {
        data_dir: directory.path().to_owned(),
        log_root: directory.path().join("log"),
        listen: ([127, 0, 0, 1], 0).into(),
        kubeconfig: None,
        runtime: arguments.runtime,
        in_memory: true,
    };
    let server = bootstrap::start(&options).await?;
    target.kubeconfig = Some(server.kubeconfig.clone());
    Ok((Client::connect(&target).await?, Some((server, directory))))
}

async fn run_job(arguments: &Run, client: &Client, job: &Value) -> anyhow::Result<ExitCode> {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs", escape(&client.namespace));
    let request = client::with_body(
        Method::POST,
        &format!("{path}?fieldManager=cronlet&fieldValidation=Strict"),
        "application/json",
        job.to_string().into_bytes(),
    );
    let created = match client.json(request).await {
        Ok(created) => created,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == 422) => {
            return Ok(usage(&error));
        }
        Err(error) => return Err(error),
    };
    let name = created["metadata"]["name"].as_str().context("the created Job has no name")?;
    eprintln!("job/{name} created");
    let mut trouble = Trouble::of_job(created["metadata"]["uid"].as_str().unwrap_or_default());
    let following = follow::to_the_end(client, &created, &mut trouble);
    let end = match arguments.timeout.map(std::time::Duration::try_from) {
        None => following.await?,
        Some(limit) => {
            match tokio::time::timeout(limit.context("--timeout must not be negative")?, following).await {
                Ok(end) => end?,
                Err(_) => {
                    let options = json!({"propagationPolicy": "Background"}).to_string().into_bytes();
                    let path = format!("{path}/{}", escape(name));
                    client
                        .json(client::with_body(Method::DELETE, &path, "application/json", options))
                        .await?;
                    let why = trouble.unsolved().map(|why| format!(": {why}")).unwrap_or_default();
                    bail!("job/{name} did not end in time and was deleted{why}");
                }
            }
        }
    };
    eprintln!("job/{name} {end}");
    Ok(if end.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
