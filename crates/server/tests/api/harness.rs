//! A server without sockets: requests go straight to its router.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use cronlet_object::{ApiError, Clock, Draft, Transaction, Write, api::Namespace};
use cronlet_server::{
    Api, Gauge, Identity, LogRequest, PodAttach, PodConnect, PodExec, PodLogs, Pods, Usage, Used, Version,
};
use cronlet_store::{Disk, SqliteDisk, Store};
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tower_service::Service as _;

pub const JSON: &str = "application/json";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";

/// A clock that stands still.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// The time at every test server.
pub fn now() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().unwrap()
}

pub struct Server {
    pub api: Api,
    /// What was asked of the container logs.
    pub log_requests: Arc<Mutex<Vec<LogRequest>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(response: http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { code: parts.status, headers: parts.headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, of an answer that must have this code.
    #[track_caller]
    pub fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code.as_u16(), code, "{}", self.text());
        self.json()
    }

    /// The message of a Status that must have this code and reason.
    #[track_caller]
    pub fn refusal(&self, code: u16, reason: &str) -> String {
        let status = self.expect(code);
        assert_eq!(
            (&status["kind"], &status["status"], &status["code"]),
            (&"Status".into(), &"Failure".into(), &code.into()),
            "{status}"
        );
        assert_eq!(status["reason"].as_str().unwrap_or_default(), reason, "{status}");
        status["message"].as_str().unwrap().to_owned()
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.headers.get_all(header::WARNING).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// A request to be sent by the administrator.
pub fn request(method: Method, path: &str) -> http::request::Builder {
    let administrator = Identity::user("kubernetes-admin", &["system:masters"]);
    Request::builder().method(method).uri(path).extension(administrator)
}

impl Server {
    /// A server whose store holds the namespace `default` only.
    pub async fn start() -> Self {
        let log_requests = Arc::new(Mutex::new(Vec::new()));
        let seen = log_requests.clone();
        let logs: PodLogs = Arc::new(move |request| {
            seen.lock().unwrap().push(request);
            let lines = ["first\n", "second\n"].map(|line| Ok(Bytes::from(line)));
            Ok(Box::pin(stream::iter(lines)))
        });
        Server { log_requests, ..Server::over(Box::new(SqliteDisk::in_memory().unwrap()), logs).await }
    }

    /// The same, where programs can be run in containers.
    pub async fn with_exec(exec: PodExec) -> Self {
        let disk = Box::new(SqliteDisk::in_memory().unwrap());
        Server::of(disk, Pods { exec, ..no_pods() }).await
    }

    /// The same, where clients can be attached to containers.
    pub async fn with_attach(attach: PodAttach) -> Self {
        let disk = Box::new(SqliteDisk::in_memory().unwrap());
        Server::of(disk, Pods { attach, ..no_pods() }).await
    }

    /// The same, where something is used.
    pub async fn with_gauge(gauge: Gauge) -> Self {
        let disk = Box::new(SqliteDisk::in_memory().unwrap());
        Server::of(disk, Pods { gauge, ..no_pods() }).await
    }

    /// The same over another disk and with other logs.
    pub async fn over(disk: Box<dyn Disk>, logs: PodLogs) -> Self {
        Server::of(disk, Pods { logs, ..no_pods() }).await
    }

    async fn of(disk: Box<dyn Disk>, pods: Pods) -> Self {
        let store = Store::open(disk).unwrap();
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("default".into());
        namespace.metadata.uid = Some("ns-uid".into());
        let writes = vec![Write::Create(Draft::of(&namespace))];
        store.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
        let version =
            Version { cronlet: "0.1.0".into(), commit: String::new(), platform: "linux/amd64".into() };
        let api = Api::new(store, Arc::new(Still(now())), 7, pods, &version);
        Server { api, log_requests: Arc::default() }
    }

    /// Sends a request; the answer may still be under way.
    pub async fn open(&self, request: Request<Body>) -> http::Response<Body> {
        self.api.router().call(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.open(request).await).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.send(request(Method::GET, path).header(header::ACCEPT, accept).body(Body::empty()).unwrap())
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.write(Method::POST, path, JSON, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.write(Method::PUT, path, JSON, body.to_string()).await
    }

    pub async fn patch(&self, path: &str, content_type: &str, body: &Value) -> Answer {
        self.write(Method::PATCH, path, content_type, body.to_string()).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.write(Method::DELETE, path, JSON, options.to_string()).await
    }

    pub async fn write(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = request(method, path).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).unwrap()).await
    }
}

/// Where there are no containers.
fn no_pods() -> Pods {
    Pods {
        logs: quiet_logs(),
        exec: no_exec(),
        attach: no_attach(),
        connect: no_connect(),
        gauge: no_gauge(),
    }
}

/// Where no program can be run.
fn no_exec() -> PodExec {
    Arc::new(|_| Err(ApiError::bad_request("there are no containers")))
}

/// Where nothing uses anything.
pub fn no_gauge() -> Gauge {
    let nothing = Usage { at: now(), machine: Used::default(), pods: HashMap::new() };
    Arc::new(move || nothing.clone())
}

fn no_attach() -> PodAttach {
    Arc::new(|_| Err(ApiError::bad_request("there are no containers")))
}

fn no_connect() -> PodConnect {
    Arc::new(|_| Err("there are no pods".to_owned()))
}

/// Logs without a line.
pub fn quiet_logs() -> PodLogs {
    Arc::new(|_| Ok(Box::pin(stream::empty())))
}

/// The events of a watch, one at a time.
pub struct Events {
    body: Body,
    buffer: Vec<u8>,
}

impl Events {
    /// Opens a watch.
    pub async fn open(server: &Server, path: &str) -> Self {
        Self::open_as(server, path, JSON).await
    }

    pub async fn open_as(server: &Server, path: &str, accept: &str) -> Self {
        let request = request(Method::GET, path).header(header::ACCEPT, accept);
        let response = server.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        Events { body: response.into_body(), buffer: Vec::new() }
    }

    /// The next event; none if the watch has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.buffer.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    /// Type, name and resource version of the next event.
    pub async fn next_short(&mut self) -> (String, String, u64) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &event["object"]["metadata"];
        let revision = text(&metadata["resourceVersion"]).parse().unwrap_or_default();
        (text(&event["type"]), text(&metadata["name"]), revision)
    }
}
