//! `cronlet delete`: removes objects and waits until they are gone.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    client::{self, Client, Lines, Refused, Target},
    diagnostic, print,
    resources::{Resource, Resources, escape, parse_words},
};

/// Delete objects.
#[derive(Args)]
pub struct Delete {
    /// TYPE NAME… or TYPE/NAME…
    #[arg(value_name = "TYPE NAME", required_unless_present = "files")]
    words: Vec<String>,
    /// Delete the objects of these manifest files instead
    #[arg(short, long = "file", value_name = "FILE|DIR", conflicts_with = "words")]
    files: Vec<PathBuf>,
    /// All objects of the type in the namespace
    #[arg(long)]
    all: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// What happens to dependents, such as a Job's pods
    #[arg(long, value_enum, default_value_t = Cascade::Background)]
    cascade: Cascade,
    /// Seconds a pod has to end by itself
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,
    /// It is no error if an object does not exist
    #[arg(long)]
    ignore_not_found: bool,
    /// Return at once, without waiting until the objects are gone
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cascade {
    Background,
    Foreground,
    Orphan,
}

impl Cascade {
    fn policy(self) -> &'static str {
        match self {
            Cascade::Background => "Background",
            Cascade::Foreground => "Foreground",
            Cascade::Orphan => "Orphan",
        }
    }
}

/// Deletes what was named.
pub fn run(arguments: &Delete) -> anyhow::Result<ExitCode> {
    super::block_on(delete(arguments))
}

async fn delete(arguments: &Delete) -> anyhow::Result<ExitCode> {
    let files = diagnostic::read_manifests(&arguments.files)?;
    let client = Client::connect(&arguments.target).await?;
    let resources = Resources::discover(&client).await?;
    let mut failed = false;
    let found = named(arguments, &client, &resources, &files).await?;
    for (resource, namespace, name) in found {
        match delete_one(arguments, &client, resource, &namespace, &name).await {
            Ok(()) => print::out(&format!("{} deleted\n", quoted_title(resource, &name)))?,
            Err(error) if arguments.ignore_not_found && is_not_found(&error) => {}
            Err(error) => {
                eprintln!("error: {error:#}");
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `cronjob.batch "x"`, as kubectl words it.
fn quoted_title(resource: &Resource, name: &str) -> String {
    match resource.title(name).rsplit_once('/') {
        Some((kind, name)) => format!("{kind} \"{name}\""),
        None => name.to_owned(),
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == 404)
}

async fn named<'a>(
    arguments: &Delete,
    client: &Client,
    resources: &'a Resources,
    files: &[diagnostic::FileManifest],
) -> anyhow::Result<Vec<(&'a Resource, String, String)>> {
    let mut found = Vec::new();
    for manifest in files {
        let resource = resources.of_manifest(manifest.api_version(), manifest.kind())?;
        let namespace = manifest.namespace().unwrap_or(&client.namespace).to_owned();
        found.push((resource, namespace, manifest.name().to_owned()));
    }
    if !arguments.files.is_empty() {
        return Ok(found);
    }
    for (word, name) in parse_words(&arguments.words)? {
        for resource in resources.find(&word)? {
            if let Some(name) = &name {
                found.push((resource, client.namespace.clone(), name.clone()));
            } else if arguments.all || arguments.selector.is_some() {
                let names = list(client, resource, arguments.selector.as_deref()).await?;
                found.extend(names.into_iter().map(|name| (resource, client.namespace.clone(), name)));
            } else {
                bail!("name the {} to delete, or give --all or --selector", resource.plural);
            }
        }
    }
    Ok(found)
}

async fn list(client: &Client, resource: &Resource, selector: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut path = resource.path(Some(&client.namespace));
    if let Some(selector) = selector {
        path.push_str(&format!("?labelSelector={}", escape(selector)));
    }
    let list = client.json(client::get(&path, "application/json")).await?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items.iter().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

async fn delete_one(
    arguments: &Delete,
    client: &Client,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> anyhow::Result<()> {
    let mut options = json!({"propagationPolicy": arguments.cascade.policy()});
    if let Some(seconds) = arguments.grace_period {
        options["gracePeriodSeconds"] = seconds.into();
    }
    let path = resource.object_path(namespace, name);
    let body = options.to_string().into_bytes();
    let answer = client.json(client::with_body(Method::DELETE, &path, "application/json", body)).await?;
    if arguments.no_wait || answer["kind"] == "Status" {
        return Ok(());
    }
    wait_until_gone(client, resource, namespace, name, &answer).await
}

/// Watches the object until it is removed. A deletion after the answer's revision cannot be missed.
async fn wait_until_gone(
    client: &Client,
    resource: &Resource,
    namespace: &str,
    name: &str,
    deleting: &Value,
) -> anyhow::Result<()> {
    let revision =
        deleting["metadata"]["resourceVersion"].as_str().context("the object has no resourceVersion")?;
    let path = format!(
        "{}?watch=true&resourceVersion={revision}&fieldSelector=metadata.name%3D{}",
        resource.path(Some(namespace)),
        escape(name)
    );
    let body = client.send(client::get(&path, "application/json")).await?;
    let mut lines = Lines::new(body.into_data_stream());
    while let Some(event) = lines.next_event().await? {
        if event["type"] == "DELETED" {
            return Ok(());
        }
    }
    bail!("the server ended the watch before {} was gone", quoted_title(resource, name))
}
