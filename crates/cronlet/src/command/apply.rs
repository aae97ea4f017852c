//! `cronlet apply`: creates or changes the objects of manifest files, and takes away what an earlier apply had set.

use std::{io, path::PathBuf, process::ExitCode};

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use crate::{
    client::{self, Client, Refused, Target},
    diagnostic::{self, FileManifest},
    print,
    resources::{Resource, Resources},
};

/// Where the manifest of the last apply is kept; kubectl's own annotation, so that both can be used in turn.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Create or change the objects of manifest files.
#[derive(Args)]
pub struct Apply {
    /// Manifest file or directory; may be repeated
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
    /// Only ask the server whether it would accept
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

/// Applies the files.
pub fn run(arguments: &Apply) -> anyhow::Result<ExitCode> {
    let manifests = diagnostic::read_manifests(&arguments.files)?;
    super::block_on(async {
        let client = Client::connect(&arguments.target).await?;
        let accepted =
            apply(&client, &manifests, arguments.dry_run, &mut |line| print::out(&format!("{line}\n")))
                .await?;
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Applies manifests in order, telling each outcome. Refusals are printed with their place in the file; says whether
/// there was none.
///
/// # Errors
/// If the server cannot be reached, or `tell` fails.
pub async fn apply(
    client: &Client,
    manifests: &[FileManifest],
    dry_run: bool,
    tell: &mut dyn FnMut(&str) -> io::Result<()>,
) -> anyhow::Result<bool> {
    let resources = Resources::discover(client).await?;
    let mut accepted = true;
    for manifest in manifests {
        let outcome = match resources.of_manifest(manifest.api_version(), manifest.kind()) {
            Ok(resource) => apply_one(client, resource, manifest, dry_run).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(line) if dry_run => tell(&format!("{line} (server dry run)"))?,
            Ok(line) => tell(&line)?,
            Err(error) => {
                accepted = false;
                eprint!("{}", manifest.refusal(&error));
            }
        }
    }
    Ok(accepted)
}

async fn apply_one(
    client: &Client,
    resource: &Resource,
    manifest: &FileManifest,
    dry_run: bool,
) -> anyhow::Result<String> {
    let namespace = manifest.namespace().unwrap_or(&client.namespace);
    let title = resource.title(manifest.name());
    let mut desired = manifest.value().clone();
    if resource.namespaced {
        desired["metadata"]["namespace"] = namespace.into();
    }
    let applied = desired.to_string();
    desired["metadata"]["annotations"][LAST_APPLIED] = applied.into();

    let path = resource.object_path(namespace, manifest.name());
    let query =
        format!("?fieldManager=cronlet&fieldValidation=Strict{}", if dry_run { "&dryRun=All" } else { "" });
    let live = match client.json(client::get(&path, "application/json")).await {
        Ok(live) => live,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == 404) => {
            let collection = format!("{}{query}", resource.path(Some(namespace)));
            let body = desired.to_string().into_bytes();
            client.json(client::with_body(Method::POST, &collection, "application/json", body)).await?;
            return Ok(format!("{title} created"));
        }
        Err(error) => return Err(error),
    };
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Value = last.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let body = merge_patch(&last, &desired).to_string().into_bytes();
    let request =
        client::with_body(Method::PATCH, &format!("{path}{query}"), "application/merge-patch+json", body);
    let changed =
        client.json(request).await?["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"];
    Ok(format!("{title} {}", if changed { "configured" } else { "unchanged" }))
}

/// The merge patch (RFC 7386) that brings any object to what is desired and removes what `last` had set and
/// `desired` has no more. Lists are replaced whole.
fn merge_patch(last: &Value, desired: &Value) -> Value {
    let Value::Object(desired) = desired else { return desired.clone() };
    let mut patch = Map::new();
    for key in last.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !desired.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    for (key, value) in desired {
        patch.insert(key.clone(), merge_patch(&last[key], value));
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_applied_before_and_is_gone_now_is_removed() {
        let last = json!({"spec": {"suspend": true, "schedule": "* * * * *", "list": [1, 2]}});
        let desired = json!({"spec": {"schedule": "0 * * * *", "list": [2]}, "data": {"a": "b"}});
        assert_eq!(
            merge_patch(&last, &desired),
            json!({"spec": {"suspend": null, "schedule": "0 * * * *", "list": [2]}, "data": {"a": "b"}})
        );
        assert_eq!(merge_patch(&Value::Null, &desired), desired);
    }
}
