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

/// What every write says.
const QUERY: &str = "?fieldManager=cronlet&fieldValidation=Strict";

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

/// Applies manifests in order, but namespaces first, telling each outcome. Refusals are printed with their place in the
/// file; says whether there was none.
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
    let (namespaces, others): (Vec<_>, Vec<_>) =
        manifests.iter().partition(|manifest| manifest.kind() == "Namespace");
    let mode = match dry_run {
        true => Mode::DryRun { namespaces: namespaces.iter().map(|namespace| namespace.name()).collect() },
        false => Mode::Real,
    };
    let mut accepted = true;
    for manifest in namespaces.iter().chain(&others) {
        let outcome = match resources.of_manifest(manifest.api_version(), manifest.kind()) {
            Ok(resource) => apply_one(client, resource, manifest, &mode).await,
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

/// Whether objects are changed or only asked about.
enum Mode<'a> {
    Real,
    /// The namespaces are those that would be there by then.
    DryRun {
        namespaces: Vec<&'a str>,
    },
}

async fn apply_one(
    client: &Client,
    resource: &Resource,
    manifest: &FileManifest,
    mode: &Mode<'_>,
) -> anyhow::Result<String> {
    let namespace = manifest.namespace().unwrap_or(&client.namespace);
    let title = resource.title(manifest.name());
    let mut desired = manifest.value().clone();
    if resource.namespaced {
        desired["metadata"]["namespace"] = namespace.into();
    }
    if desired["metadata"]["annotations"].is_null() {
        desired["metadata"]["annotations"] = Map::new().into();
    }
    let applied = desired.clone();
    desired["metadata"]["annotations"][LAST_APPLIED] = as_kubectl_writes(&applied).into();

    let path = resource.object_path(namespace, manifest.name());
    let query = match mode {
        Mode::Real => QUERY.to_owned(),
        Mode::DryRun { .. } => format!("{QUERY}&dryRun=All"),
    };
    let live = match client.json(client::get(&path, "application/json")).await {
        Ok(live) => live,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == 404) => {
            match mode {
                Mode::DryRun { namespaces } if resource.namespaced && namespaces.contains(&namespace) => {
                    ask_elsewhere(client, resource, &mut desired, namespace, &query).await?;
                }
                _ => create(client, resource, namespace, &desired, &query).await?,
            }
            return Ok(format!("{title} created"));
        }
        Err(error) => return Err(error),
    };
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Value = last.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if last == applied {
        // The same manifest, perhaps written differently: that is no change.
        desired["metadata"]["annotations"][LAST_APPLIED] =
            live["metadata"]["annotations"][LAST_APPLIED].clone();
    }
    let body = merge_patch(&last, &desired).to_string().into_bytes();
    let request =
        client::with_body(Method::PATCH, &format!("{path}{query}"), "application/merge-patch+json", body);
    let changed =
        client.json(request).await?["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"];
    Ok(format!("{title} {}", if changed { "configured" } else { "unchanged" }))
}

async fn create(
    client: &Client,
    resource: &Resource,
    namespace: &str,
    object: &Value,
    query: &str,
) -> anyhow::Result<()> {
    let collection = format!("{}{query}", resource.path(Some(namespace)));
    let body = object.to_string().into_bytes();
    client.json(client::with_body(Method::POST, &collection, "application/json", body)).await?;
    Ok(())
}

/// Asks whether an object would be accepted in a namespace that may not be there yet. If it is not, the question is put
/// for another namespace: what makes an object valid does not depend on which it is.
async fn ask_elsewhere(
    client: &Client,
    resource: &Resource,
    object: &mut Value,
    namespace: &str,
    query: &str,
) -> anyhow::Result<()> {
    let code = |error: &anyhow::Error| error.downcast_ref::<Refused>().map_or(0, |refused| refused.code);
    match create(client, resource, namespace, object, query).await {
        Err(error) if code(&error) == 404 => {}
        answered => return answered,
    }
    object["metadata"]["namespace"] = "default".into();
    match create(client, resource, "default", object, query).await {
        // An object of the same name is there. It was found valid before it was found taken.
        Err(error) if code(&error) == 409 => Ok(()),
        answered => answered,
    }
}

/// A manifest as kubectl keeps it, to the letter: whichever program applies it next finds nothing changed.
fn as_kubectl_writes(manifest: &Value) -> String {
    let mut text = manifest.to_string();
    // Go writes these so that JSON can stand in HTML. They occur within strings only.
    for (character, escaped) in [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ] {
        text = text.replace(character, escaped);
    }
    text + "\n"
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

    #[test]
    fn what_was_applied_is_kept_as_kubectl_keeps_it() {
        let manifest = json!({"kind": "Job", "apiVersion": "batch/v1", "command": ["a && b > \"c\""]});
        assert_eq!(
            as_kubectl_writes(&manifest),
            "{\"apiVersion\":\"batch/v1\",\"command\":[\"a \\u0026\\u0026 b \\u003e \\\"c\\\"\"],\"kind\":\"Job\"}\n"
        );
    }
}
