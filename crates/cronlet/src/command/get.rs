//! `cronlet get`: lists objects as the server's tables show them, or whole.

use std::{io, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    client::{self, Client, Lines, Target},
    print,
    resources::{Resource, Resources, escape, parse_words},
};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// List objects.
#[derive(Args)]
pub struct Get {
    /// TYPE [NAME…] or TYPE/NAME…; TYPE may be several, separated by commas
    #[arg(required = true, value_name = "TYPE [NAME]")]
    words: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Print no header line
    #[arg(long)]
    no_headers: bool,
    /// Go on printing changes
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Wide,
    Yaml,
    Json,
    Name,
}

/// Prints the objects asked for.
pub fn run(arguments: &Get) -> anyhow::Result<ExitCode> {
    super::block_on(get(arguments))
}

async fn get(arguments: &Get) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&arguments.target).await?;
    let resources = Resources::discover(&client).await?;
    let mut requests = Vec::new();
    for (word, name) in parse_words(&arguments.words)? {
        for resource in resources.find(&word)? {
            requests.push((resource, name.clone()));
        }
    }
    match arguments.output {
        Some(Format::Yaml | Format::Json | Format::Name) => whole(arguments, &client, &requests).await,
        Some(Format::Wide) | None => tables(arguments, &client, &requests).await,
    }
}

/// The path that answers one request, with the selectors asked for.
fn path(arguments: &Get, client: &Client, resource: &Resource, name: Option<&str>) -> String {
    if let Some(name) = name {
        return resource.object_path(&client.namespace, name);
    }
    let namespace = (!arguments.all_namespaces).then_some(client.namespace.as_str());
    let mut query = Vec::new();
    for (key, value) in [("labelSelector", &arguments.selector), ("fieldSelector", &arguments.field_selector)]
    {
        query.extend(value.iter().map(|value| format!("{key}={}", escape(value))));
    }
    let path = resource.path(namespace);
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

async fn whole(
    arguments: &Get,
    client: &Client,
    requests: &[(&Resource, Option<String>)],
) -> anyhow::Result<ExitCode> {
    if arguments.watch {
        bail!("--watch prints tables only: leave out --output");
    }
    let mut items = Vec::new();
    for (resource, name) in requests {
        let mut answer = client
            .json(client::get(&path(arguments, client, resource, name.as_deref()), "application/json"))
            .await?;
        if name.is_some() {
            items.push(answer);
            continue;
        }
        let api_version = answer["apiVersion"].clone();
        for mut item in answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            item["apiVersion"] = api_version.clone();
            item["kind"] = resource.kind.clone().into();
            items.push(item);
        }
    }
    if arguments.output == Some(Format::Name) {
        for (item, title) in items
            .iter()
            .filter_map(|item| Some((item, requests.iter().find(|(r, _)| item["kind"] == *r.kind)?.0)))
        {
            print::out(&format!("{}\n", title.title(item["metadata"]["name"].as_str().unwrap_or_default())))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let single = items.len() == 1 && requests.iter().all(|(_, name)| name.is_some());
    let value = if single {
        items.remove(0)
    } else {
        serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
    };
    match arguments.output {
        Some(Format::Json) => print::out(&format!("{}\n", print::json(&value)))?,
        _ => print::out(&print::yaml(&value))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn tables(
    arguments: &Get,
    client: &Client,
    requests: &[(&Resource, Option<String>)],
) -> anyhow::Result<ExitCode> {
    let wide = arguments.output == Some(Format::Wide);
    let several = requests.iter().any(|(resource, _)| resource.kind != requests[0].0.kind);
    let mut any = false;
    let mut shown: Option<&Resource> = None;
    let mut rows = Vec::new();
    for (resource, name) in requests {
        let path = path(arguments, client, resource, name.as_deref());
        let table = client.json(client::get(&path, TABLE)).await?;
        if table["rows"].as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        // Objects of one kind asked for by name make one table.
        let header = shown != Some(*resource);
        if header {
            flush(&mut rows, any)?;
        }
        any = true;
        shown = Some(resource);
        rows.extend(prefixed(
            arguments,
            &table,
            wide,
            header && !arguments.no_headers,
            several.then_some(*resource),
        ));
        if arguments.watch {
            flush(&mut rows, false)?;
            return watch(arguments, client, resource, name.as_deref(), &table).await;
        }
    }
    flush(&mut rows, false)?;
    if !any {
        match arguments.all_namespaces {
            true => eprintln!("No resources found"),
            false => eprintln!("No resources found in {} namespace.", client.namespace),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn flush(rows: &mut Vec<Vec<String>>, gap: bool) -> anyhow::Result<()> {
    if !rows.is_empty() {
        print::columns(&mut io::stdout(), rows)?;
        rows.clear();
        if gap {
            print::out("\n")?;
        }
    }
    Ok(())
}

/// A table's rows with the namespace in front if all are shown, and with the kind in the name if several are.
fn prefixed(
    arguments: &Get,
    table: &Value,
    wide: bool,
    header: bool,
    kind: Option<&Resource>,
) -> Vec<Vec<String>> {
    let mut rows = print::table_rows(table, wide, header);
    let objects = table["rows"].as_array().cloned().unwrap_or_default();
    for (i, row) in rows.iter_mut().enumerate() {
        let object = if header { i.checked_sub(1) } else { Some(i) }.and_then(|i| objects.get(i));
        if let (Some(resource), Some(_), Some(name)) = (kind, object, row.first_mut()) {
            *name = resource.title(name);
        }
        if arguments.all_namespaces {
            let namespace =
                object.map(|row| row["object"]["metadata"]["namespace"].as_str().unwrap_or_default());
            row.insert(0, namespace.unwrap_or("NAMESPACE").to_owned());
        }
    }
    rows
}

/// Prints a line per change until the server or the user ends it.
async fn watch(
    arguments: &Get,
    client: &Client,
    resource: &Resource,
    name: Option<&str>,
    listed: &Value,
) -> anyhow::Result<ExitCode> {
    let revision =
        listed["metadata"]["resourceVersion"].as_str().context("the list has no resourceVersion")?;
    let mut path = match name {
        Some(name) => format!(
            "{}?fieldSelector=metadata.name%3D{}",
            resource.path(Some(&client.namespace)),
            escape(name)
        ),
        None => path(arguments, client, resource, None),
    };
    path.push_str(if path.contains('?') { "&" } else { "?" });
    path.push_str(&format!("watch=true&resourceVersion={revision}"));
    let wide = arguments.output == Some(Format::Wide);
    let body = client.send(client::get(&path, TABLE)).await?;
    let mut lines = Lines::new(body.into_data_stream());
    while let Some(event) = lines.next_event().await? {
        if event["type"] != "BOOKMARK" {
            print::columns(&mut io::stdout(), &prefixed(arguments, &event["object"], wide, false, None))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
