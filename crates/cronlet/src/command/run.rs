//! `cronlet run`: one Job to its end, its output on this terminal, its outcome as the exit code.

mod build;
mod follow;
mod trouble;

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use clap::{ArgGroup, Args};
use cronlet_runtime::NetworkConfig;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::trouble::Trouble;
use crate::{
    arguments::{OciOptions, RuntimeChoice},
    bootstrap::{self, Options, Server},
    client::{self, Client, Refused, Target},
    command::apply,
    diagnostic::{self, FileManifest},
    limits, place, print,
    resources::escape,
    signals::Signals,
};

/// Exit code when the arguments or manifests make no sense.
const USAGE: u8 = 2;

/// Run one Job to its end and stream its logs.
#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["cronjob", "file"])))]
pub struct Run {
    /// A CronJob, of which one run is started now
    #[arg(value_name = "cronjob/NAME")]
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
    oci: OciOptions,
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
    if arguments.file.is_some() && arguments.runtime == RuntimeChoice::Oci {
        // For a node of its own, and before there are threads.
        cronlet_runtime::users::enter_ranges(None);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let manifests = match &arguments.file {
        Some(file) => match diagnostic::read_manifests_to_run(std::slice::from_ref(file)) {
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
    eprintln!("error: {}", print::causes(error));
    ExitCode::from(USAGE)
}

async fn run_cronjob(arguments: &Run, cronjob: &str) -> anyhow::Result<ExitCode> {
    let Some(("cronjob" | "cronjobs" | "cj" | "cronjob.batch", name)) = cronjob.split_once('/') else {
        return Ok(usage(&anyhow!("`{cronjob}`: name a CronJob as cronjob/NAME, or give a file with -f")));
    };
    let client = Client::connect(&arguments.target).await?;
    let path = format!("/apis/batch/v1/namespaces/{}/cronjobs/{}", escape(&client.namespace), escape(name));
    let object = client.json(client::get(&path, "application/json")).await?;
    match build::job_of_cronjob(&object, &arguments.overrides) {
        Ok(job) => run_job(arguments, &client, &job, None).await,
        Err(error) => Ok(usage(&error)),
    }
}

async fn run_file(arguments: &Run, manifests: &[FileManifest]) -> anyhow::Result<ExitCode> {
    let (runnable, needed): (Vec<FileManifest>, Vec<FileManifest>) =
        manifests.iter().cloned().partition(FileManifest::is_runnable);
    let [manifest] = runnable.as_slice() else {
        let count = runnable.len();
        return Ok(usage(&anyhow!("the file has {count} Jobs and CronJobs; one is needed")));
    };
    let job = match build::job_of_manifest(manifest.value(), &arguments.overrides) {
        Ok(job) => job,
        Err(error) => return Ok(usage(&error)),
    };
    // Before the node is started: a signal that comes early must not leave anything of it behind.
    let mut signals = Signals::new()?;
    let (client, own) = node_for(arguments).await?;
    let outcome = async {
        if own.is_some() {
            make_namespaces(&client, manifests).await?;
        }
        let accepted =
            apply::apply(&client, &needed, false, &mut |line| writeln!(io::stderr(), "{line}")).await?;
        if !accepted {
            return Ok(usage(&anyhow!("what the Job needs was refused")));
        }
        if manifest.kind() == "CronJob"
            && let Err(error) = check_cronjob(&client, manifest).await
        {
            return refused(error, Some(manifest));
        }
        run_job(arguments, &client, &job, (manifest.kind() == "Job").then_some(manifest)).await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = signals.next() => Err(match own {
            Some(_) => anyhow!("interrupted; the pods were ended"),
            None => anyhow!("interrupted; what was created on the node is still there"),
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
        audit_log: None,
        runtime: arguments.runtime,
        oci: arguments.oci.clone(),
        network: NetworkConfig::default(),
        pod_pids_max: Some(limits::POD_PIDS_MAX),
        disk_threshold: limits::EVICTION_HARD.parse()?,
        in_memory: true,
    };
    let server = bootstrap::start(&options).await?;
    target.kubeconfig = Some(server.kubeconfig.clone());
    Ok((Client::connect(&target).await?, Some((server, directory))))
}

/// A node of one's own has the namespaces that the manifests name, as there is nobody else to make them.
async fn make_namespaces(client: &Client, manifests: &[FileManifest]) -> anyhow::Result<()> {
    let (made, others): (Vec<_>, Vec<_>) = manifests.iter().partition(|m| m.kind() == "Namespace");
    let named: BTreeSet<&str> =
        others.iter().map(|manifest| manifest.namespace().unwrap_or(&client.namespace)).collect();
    for name in named.into_iter().filter(|name| !made.iter().any(|manifest| manifest.name() == *name)) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match create(client, "/api/v1/namespaces", "", &namespace).await {
            Err(error) if code(&error) == Some(409) => {}
            created => drop(created?),
        }
    }
    Ok(())
}

/// Whether the CronJob itself would be accepted, of which only the Job is created.
async fn check_cronjob(client: &Client, manifest: &FileManifest) -> anyhow::Result<()> {
    let namespace = manifest.namespace().unwrap_or(&client.namespace);
    let path = format!("/apis/batch/v1/namespaces/{}/cronjobs", escape(namespace));
    match create(client, &path, "&dryRun=All", manifest.value()).await {
        // It is there already; it was found valid before it was found taken.
        Err(error) if code(&error) == Some(409) => Ok(()),
        created => created.map(drop),
    }
}

async fn create(client: &Client, path: &str, options: &str, object: &Value) -> anyhow::Result<Value> {
    let path = format!("{path}?fieldManager=cronlet&fieldValidation=Strict{options}");
    let body = object.to_string().into_bytes();
    client.json(client::with_body(Method::POST, &path, "application/json", body)).await
}

fn code(error: &anyhow::Error) -> Option<u16> {
    error.downcast_ref::<Refused>().map(|refused| refused.code)
}

/// What a request that failed means: a manifest that makes no sense is shown where it is wrong.
fn refused(error: anyhow::Error, manifest: Option<&FileManifest>) -> anyhow::Result<ExitCode> {
    match (code(&error), manifest) {
        (Some(400 | 422), Some(manifest)) => {
            eprint!("{}", manifest.refusal(&error));
            Ok(ExitCode::from(USAGE))
        }
        (Some(400 | 422), None) => Ok(usage(&error)),
        _ => Err(error),
    }
}

/// Creates the Job and follows it to its end. It stands in `manifest`, unless it was made.
async fn run_job(
    arguments: &Run,
    client: &Client,
    job: &Value,
    manifest: Option<&FileManifest>,
) -> anyhow::Result<ExitCode> {
    let namespace = job["metadata"]["namespace"].as_str().unwrap_or(&client.namespace);
    let path = format!("/apis/batch/v1/namespaces/{}/jobs", escape(namespace));
    let created = match create(client, &path, "", job).await {
        Ok(created) => created,
        Err(error) => return refused(error, manifest),
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
