//! One namespace of a node as a client and a kubelet see it: requests over HTTP, and waiting for what changes.

use std::{collections::HashMap, time::Duration};

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// How often a status is put again after somebody else was faster.
const PUTS_MAX: usize = 20;

/// How a kubelet writes the status of a pod.
#[derive(Clone, Copy, Debug)]
pub enum Report {
    /// A merge patch.
    Merge,
    /// A strategic merge patch, as the real one sends it.
    Strategic,
    /// A whole object, put over the one that was read.
    Put,
}

/// A namespace.
pub struct Api {
    client: Client,
    /// Its name.
    pub namespace: String,
    changes: watch::Receiver<()>,
}

impl Api {
    /// Creates the namespaces and watches what happens in them.
    pub async fn open(client: &Client, namespaces: &[String]) -> Vec<Api> {
        let mut senders = HashMap::new();
        let mut apis = Vec::new();
        for namespace in namespaces {
            let (sender, changes) = watch::channel(());
            senders.insert(namespace.clone(), sender);
            let api = Api { client: client.clone(), namespace: namespace.clone(), changes };
            let body = json!({"metadata": {"name": namespace}});
            let (code, answer) = api.send(Method::POST, "/api/v1/namespaces", "", Some(&body)).await;
            assert_eq!(code, 201, "{answer}");
            apis.push(api);
        }
        let senders = std::sync::Arc::new(senders);
        for path in ["/apis/batch/v1/jobs", "/apis/batch/v1/cronjobs", "/api/v1/pods", "/api/v1/events"] {
            tokio::spawn(follow(client.clone(), path, senders.clone()));
        }
        apis
    }

    /// Sends a request and returns the status code and the answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let content_type = if content_type.is_empty() { "application/json" } else { content_type };
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let answer = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The path of a resource in this namespace: `jobs`, `pods/NAME`, …
    pub fn path(&self, resource: &str) -> String {
        let batch = resource.starts_with("jobs") || resource.starts_with("cronjobs");
        let group = if batch { "/apis/batch/v1" } else { "/api/v1" };
        format!("{group}/namespaces/{}/{resource}", self.namespace)
    }

    /// GETs an object; null if it is not there.
    pub async fn get(&self, resource: &str) -> Value {
        let (code, answer) = self.send(Method::GET, &self.path(resource), "", None).await;
        if code == 200 { answer } else { Value::Null }
    }

    /// The items of a collection.
    pub async fn list(&self, resource: &str) -> Vec<Value> {
        let list = self.get(resource).await;
        list["items"].as_array().expect("a collection can be listed").clone()
    }

    /// Creates an object.
    pub async fn create(&self, resource: &str, body: &Value) -> Result<Value, String> {
        succeeded(self.send(Method::POST, &self.path(resource), "", Some(body)).await)
    }

    /// Sends a merge patch.
    pub async fn patch(&self, resource: &str, patch: &Value) -> (u16, Value) {
        self.send(Method::PATCH, &self.path(resource), MERGE, Some(patch)).await
    }

    /// Deletes an object, with a propagation policy if one is given.
    pub async fn delete(&self, resource: &str, propagation: Option<&str>) -> Result<Value, String> {
        let options = propagation.map(|policy| json!({"propagationPolicy": policy}));
        succeeded(self.send(Method::DELETE, &self.path(resource), "", options.as_ref()).await)
    }

    /// Writes the status of a pod.
    pub async fn report(&self, pod: &str, status: &Value, how: Report) -> Result<(), String> {
        let path = self.path(&format!("pods/{pod}/status"));
        let patch = json!({"status": status});
        match how {
            Report::Merge => succeeded(self.send(Method::PATCH, &path, MERGE, Some(&patch)).await)?,
            Report::Strategic => succeeded(self.send(Method::PATCH, &path, STRATEGIC, Some(&patch)).await)?,
            Report::Put => self.put_status(pod, &path, status).await?,
        };
        Ok(())
    }

    async fn put_status(&self, pod: &str, path: &str, status: &Value) -> Result<Value, String> {
        let mut result = Err(String::new());
        for _ in 0..PUTS_MAX {
            let mut object = self.get(&format!("pods/{pod}")).await;
            for (field, value) in status.as_object().into_iter().flatten() {
                object["status"][field] = value.clone();
            }
            let answer = self.send(Method::PUT, path, "", Some(&object)).await;
            let is_conflict = answer.0 == 409;
            result = succeeded(answer);
            if !is_conflict {
                break;
            }
        }
        result
    }

    /// Checks after every change in the namespace until the check succeeds, or time is up.
    pub async fn eventually<T>(
        &mut self,
        seconds: u64,
        check: impl AsyncFn(&Api) -> Result<T, String>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            self.changes.mark_unchanged();
            let result = check(self).await;
            if result.is_ok() || timeout_at(deadline, self.changes.changed()).await.is_err() {
                return result;
            }
        }
    }

    /// Checks after every change in the namespace until time is up, or the check fails.
    pub async fn hold(
        &mut self,
        seconds: u64,
        check: impl AsyncFn(&Api) -> Result<(), String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            self.changes.mark_unchanged();
            check(self).await?;
            if timeout_at(deadline, self.changes.changed()).await.is_err() {
                return check(self).await;
            }
        }
    }
}

fn succeeded((code, answer): (u16, Value)) -> Result<Value, String> {
    if (200..300).contains(&code) { Ok(answer) } else { Err(format!("{code}: {answer}")) }
}

/// Watches a collection of all namespaces and tells each of its changes.
async fn follow(
    client: Client,
    path: &'static str,
    senders: std::sync::Arc<HashMap<String, watch::Sender<()>>>,
) {
    let request = Request::get(format!("{path}?watch=true")).body(Body::empty()).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    let mut buffer = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).unwrap();
            let namespace = event["object"]["metadata"]["namespace"].as_str().unwrap_or_default();
            if let Some(sender) = senders.get(namespace) {
                sender.send_replace(());
            }
        }
    }
}
