//! The command line's way to a node or a cluster: a kubeconfig, and requests whose refusals read as kubectl's.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use futures_util::StreamExt;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyDataStream, BodyExt};
use kube::{
    Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use crate::place;

/// Which node or cluster, and which namespace.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// Kubeconfig file [default: $KUBECONFIG, else the node on this machine, else ~/.kube/config]
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// Namespace [default: the context's, else `default`]
    #[arg(short, long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,
}

/// A request the server refused.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refused {
    /// HTTP status code.
    pub code: u16,
    /// The machine-readable reason of the Status, or empty.
    pub reason: String,
    /// The message of the Status, or the body as it came.
    pub message: String,
    /// What the Status says of single fields.
    pub causes: Vec<Cause>,
}

/// A problem of one field.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The field's path.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Refused {
    fn text(&self) -> String {
        if self.reason.is_empty() {
            format!("server answered {}: {}", self.code, self.message)
        } else {
            format!("from server ({}): {}", self.reason, self.message)
        }
    }
}

/// An open way to one server.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
    /// The namespace that requests go to when none is named.
    pub namespace: String,
}

impl Client {
    /// Reads the kubeconfig and prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// If there is no kubeconfig, or it cannot be used.
    pub async fn connect(target: &Target) -> anyhow::Result<Self> {
        let path = kubeconfig_path(target)?;
        let kubeconfig = Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
        let options = KubeConfigOptions { context: target.context.clone(), ..Default::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| path.display().to_string())?;
        // A followed log or a watch may be silent for as long as it likes.
        config.read_timeout = None;
        let namespace = target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let inner = kube::Client::try_from(config).with_context(|| path.display().to_string())?;
        Ok(Client { inner, namespace })
    }

    /// Sends a request and answers with its JSON body.
    ///
    /// # Errors
    /// [`Refused`] if the server says no; otherwise what kept the request from being answered.
    pub async fn json(&self, request: Request<Vec<u8>>) -> anyhow::Result<Value> {
        let bytes = self.send(request).await?.collect().await.context("the answer broke off")?.to_bytes();
        serde_json::from_slice(&bytes).context("the server's answer is not JSON")
    }

    /// Sends a request and answers with its body as it arrives.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn send(&self, request: Request<Vec<u8>>) -> anyhow::Result<Body> {
        let answer = self.inner.send(request.map(Body::from)).await.context("cannot reach the server")?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let bytes =
            answer.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(refused(status, &bytes).into())
    }
}

/// Cuts a body that arrives in pieces into lines.
pub struct Lines {
    body: BodyDataStream<Body>,
    buffer: Vec<u8>,
}

impl Lines {
    /// The lines of this body.
    pub fn new(body: BodyDataStream<Body>) -> Self {
        Lines { body, buffer: Vec::new() }
    }

    /// The next event of a watch, or `None` when the server ends it.
    ///
    /// # Errors
    /// If the connection breaks, or the server reports an error.
    pub async fn next_event(&mut self) -> anyhow::Result<Option<Value>> {
        let Some(line) = self.next().await? else { return Ok(None) };
        let event: Value =
            serde_json::from_slice(&line).context("the watch sent something that is not JSON")?;
        if event["type"] == "ERROR" {
            bail!("the watch ended: {}", event["object"]["message"].as_str().unwrap_or("no reason given"));
        }
        Ok(Some(event))
    }

    /// The next line without its end, or `None` at the end of the body.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            match self.body.next().await {
                Some(piece) => self.buffer.extend_from_slice(&piece.context("the connection broke")?),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.buffer))),
            }
        }
    }
}

fn refused(status: StatusCode, body: &[u8]) -> Refused {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value["kind"] == "Status" => {
            let causes = value["details"]["causes"].as_array().into_iter().flatten();
            let causes = causes.map(|c| Cause { field: text(c, "field"), message: text(c, "message") });
            Refused {
                code: status.as_u16(),
                reason: text(&value, "reason"),
                message: text(&value, "message"),
                causes: causes.filter(|cause| !cause.field.is_empty()).collect(),
            }
        }
        _ => Refused {
            code: status.as_u16(),
            reason: String::new(),
            message: String::from_utf8_lossy(body).trim().to_owned(),
            causes: Vec::new(),
        },
    }
}

/// A GET request. `accept` is a media type.
pub fn get(path: &str, accept: &str) -> Request<Vec<u8>> {
    request(Method::GET, path, accept, "", Vec::new())
}

/// A request whose answer is wanted as JSON.
pub fn with_body(method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Request<Vec<u8>> {
    request(method, path, "application/json", content_type, body)
}

fn request(method: Method, path: &str, accept: &str, content_type: &str, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut builder = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
    if !content_type.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    builder.body(body).expect("paths are made of escaped parts")
}

/// The first file that `$KUBECONFIG` names.
pub fn kubeconfig_variable() -> Option<PathBuf> {
    let value = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty())?;
    std::env::split_paths(&value).next()
}

/// The kubeconfig to use, in the order that the option's help gives.
fn kubeconfig_path(target: &Target) -> anyhow::Result<PathBuf> {
    let named = target.kubeconfig.clone().or_else(kubeconfig_variable);
    if let Some(path) = named {
        if !path.exists() {
            bail!(
                "{}: no such kubeconfig\nhint: `cronlet up` writes one and prints its path",
                path.display()
            );
        }
        return Ok(path);
    }
    let of_node = place::data_dir(None).ok().map(|dir| dir.join(place::KUBECONFIG_NAME));
    let of_user = std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    of_node.into_iter().chain(of_user).find(|path| path.exists()).context(
        "no node and no cluster is known on this machine\nhint: start a node with `cronlet up`, or name one with \
         --kubeconfig",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_kubectl_prints_them() {
        let body = br#"{"kind":"Status","reason":"NotFound","message":"jobs.batch \"x\" not found"}"#;
        assert_eq!(
            refused(StatusCode::NOT_FOUND, body).to_string(),
            "from server (NotFound): jobs.batch \"x\" not found"
        );
        assert_eq!(refused(StatusCode::BAD_GATEWAY, b"oops\n").to_string(), "server answered 502: oops");
    }
}
