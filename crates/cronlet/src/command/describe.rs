//! `cronlet describe`: one object as a person wants to read it, with its events.

mod text;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::{
    client::{self, Client, Target},
    print,
    resources::{Resource, Resources, escape, parse_words},
};

/// Show one object with its events.
#[derive(Args)]
pub struct Describe {
    /// TYPE NAME… or TYPE/NAME…
    #[arg(required = true, value_name = "TYPE NAME")]
    words: Vec<String>,
    #[command(flatten)]
    target: Target,
}

/// Prints the descriptions of what was named.
pub fn run(arguments: &Describe) -> anyhow::Result<ExitCode> {
    super::block_on(async {
        let client = Client::connect(&arguments.target).await?;
        let resources = Resources::discover(&client).await?;
        let mut first = true;
        for (word, name) in parse_words(&arguments.words)? {
            for resource in resources.find(&word)? {
                for object in objects(&client, resource, name.as_deref()).await? {
                    if !std::mem::take(&mut first) {
                        print::out("\n\n")?;
                    }
                    let events = events(&client, &object).await?;
                    print::out(&text::describe(resource, &object, &events))?;
                }
            }
        }
        if first {
            bail!("nothing to describe in namespace {}", client.namespace);
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The object of that name, or all in the namespace.
async fn objects(client: &Client, resource: &Resource, name: Option<&str>) -> anyhow::Result<Vec<Value>> {
    if let Some(name) = name {
        let path = resource.object_path(&client.namespace, name);
        return Ok(vec![client.json(client::get(&path, "application/json")).await?]);
    }
    let mut list =
        client.json(client::get(&resource.path(Some(&client.namespace)), "application/json")).await?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// The events about an object, oldest first.
async fn events(client: &Client, object: &Value) -> anyhow::Result<Vec<Value>> {
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    // Events about objects without a namespace are kept in the default one.
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let selector = escape(&format!("involvedObject.uid={uid}"));
    let path = format!("/api/v1/namespaces/{}/events?fieldSelector={selector}", escape(namespace));
    let mut list = client.json(client::get(&path, "application/json")).await?;
    let mut events = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    // Timestamps are whole seconds; within one, revisions tell what came first.
    events.sort_by_key(|event| {
        let revision =
            event["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
        (event["lastTimestamp"].as_str().unwrap_or_default().to_owned(), revision)
    });
    Ok(events)
}
