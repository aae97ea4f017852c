//! A client of a node under test, many requests at once.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{
    Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::node::Node;

/// Requests under way at once where many objects are created as fast as possible.
pub const CONCURRENCY: usize = 32;

/// An HTTPS client with a runtime of its own.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    inner: kube::Client,
}

/// One line of a watch. It is decoded only where more is asked of it than can be seen from its text: the client runs
/// on the machine that is measured.
pub struct Seen {
    /// When it arrived, in nanoseconds since 1970.
    pub arrived: i128,
    line: String,
}

impl Seen {
    /// Whether it tells of a new object.
    pub fn is_added(&self) -> bool {
        self.line.starts_with("{\"type\":\"ADDED\"")
    }

    /// The object, if the line has such a text in it.
    pub fn object_with(&self, text: &str) -> Option<Value> {
        let mut event: Value = self.line.contains(text).then(|| serde_json::from_str(&self.line).ok())??;
        Some(event["object"].take())
    }
}

impl Client {
    /// A client with the node's admin credentials.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub fn new(node: &Node) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let kubeconfig = Kubeconfig::read_from(node.kubeconfig())?;
        let inner = runtime.block_on(async {
            let mut config =
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            config.read_timeout = None;
            anyhow::Ok(kube::Client::try_from(config)?)
        })?;
        Ok(Client { runtime, inner })
    }

    /// GETs a path and returns the body.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        Ok(self.runtime.block_on(self.inner.request_text(Request::get(path).body(Vec::new())?))?)
    }

    /// POSTs objects, many at a time. See [`Client::create`].
    ///
    /// # Errors
    /// If the server refuses one.
    pub fn create_all(
        &self,
        objects: impl IntoIterator<Item = Value>,
    ) -> anyhow::Result<Vec<(String, i128)>> {
        self.create(objects, CONCURRENCY)
    }

    /// POSTs objects, so many at a time, and says for each name when its request was sent (ns since 1970).
    ///
    /// # Errors
    /// If the server refuses one.
    pub fn create(
        &self,
        objects: impl IntoIterator<Item = Value>,
        concurrency: usize,
    ) -> anyhow::Result<Vec<(String, i128)>> {
        let queue = Arc::new(Mutex::new(objects.into_iter().collect::<Vec<_>>().into_iter()));
        self.runtime.block_on(async {
            let workers: Vec<_> =
                (0..concurrency).map(|_| tokio::spawn(create(self.inner.clone(), queue.clone()))).collect();
            let mut sent = Vec::new();
            for worker in workers {
                sent.extend(worker.await??);
            }
            Ok(sent)
        })
    }

    /// Watches a collection from now on until `enough` says so, and returns every event with its time of arrival.
    /// `start` runs once the watch is open.
    ///
    /// # Errors
    /// If the watch ends early or `start` fails.
    pub fn watch<T>(
        &self,
        path: &str,
        start: impl FnOnce() -> anyhow::Result<T>,
        mut enough: impl FnMut(&Seen) -> bool,
    ) -> anyhow::Result<(T, Vec<Seen>)> {
        let list: Value = serde_json::from_str(&self.get(&format!("{path}?limit=1"))?)?;
        let revision = list["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?.to_owned();
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("{path}?watch=true&resourceVersion={revision}"));
        let body = self.runtime.block_on(self.inner.send(request.body(Body::empty())?))?.into_body();
        let reader = self.runtime.spawn(read_lines(body));
        let started = start()?;
        let mut receiver = self.runtime.block_on(reader)?;
        let mut seen = Vec::new();
        while let Some(event) = self.runtime.block_on(receiver.recv()) {
            let done = enough(&event);
            seen.push(event);
            if done {
                return Ok((started, seen));
            }
        }
        anyhow::bail!("the watch of {path} ended early")
    }
}

async fn create(
    client: kube::Client,
    queue: Arc<Mutex<std::vec::IntoIter<Value>>>,
) -> anyhow::Result<Vec<(String, i128)>> {
    let mut sent = Vec::new();
    loop {
        let next = queue.lock().map_err(|_| anyhow::anyhow!("another request panicked"))?.next();
        let Some(object) = next else { return Ok(sent) };
        let path = match object["kind"].as_str() {
            Some("CronJob") => "/apis/batch/v1/namespaces/default/cronjobs",
            Some("Pod") => "/api/v1/namespaces/default/pods",
            _ => "/apis/batch/v1/namespaces/default/jobs",
        };
        let request =
            Request::post(path).header("content-type", "application/json").body(object.to_string().into())?;
        sent.push((object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), now()));
        client.request_text(request).await?;
    }
}

/// Reads a watch on a task of its own, so that arrival times are true however long the caller takes.
async fn read_lines(mut body: Body) -> tokio::sync::mpsc::UnboundedReceiver<Seen> {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer: Vec<u8> = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let arrived = now();
            buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { continue };
            let rest = buffer.split_off(end + 1);
            for line in String::from_utf8_lossy(&buffer).lines() {
                if send.send(Seen { arrived, line: line.to_owned() }).is_err() {
                    return;
                }
            }
            buffer = rest;
        }
    });
    receive
}

/// Now, in nanoseconds since 1970.
// A measurement reads the time.
#[allow(clippy::disallowed_methods)]
pub fn now() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}

/// A CronJob that runs `true`.
pub fn cronjob(name: &str, schedule: &str, suspend: bool) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": schedule, "suspend": suspend, "jobTemplate": {"spec": job_spec()}},
    })
}

/// A Job that runs `true` once.
pub fn job(name: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": job_spec()})
}

fn job_spec() -> Value {
    let container = json!({"name": "c", "image": "busybox", "command": ["true"]});
    json!({"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}})
}
