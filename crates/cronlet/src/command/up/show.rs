//! `cronlet up --logs`: the output of every pod and the outcome of every Job, as they come.

use std::{collections::HashSet, sync::Arc};

use cronlet_object::{Kind, Object, api::Job};
use cronlet_server::{LogRequest, PodLogs};
use cronlet_store::Store;
use futures_util::StreamExt;
use serde_json::Value;

use crate::{
    bootstrap::Server,
    command::attempts::{Attempt, Attempts},
};

/// Objects remembered before those that are gone are forgotten.
const REMEMBERED_MAX: usize = 1_000;

/// Prints on standard error from now on, for as long as the node runs.
pub fn outputs(server: &Server) {
    tokio::spawn(show_pods(server.store.clone(), server.logs.clone()));
    tokio::spawn(show_jobs(server.store.clone()));
}

/// Every change of a kind from now on. If the history was left behind, what was missed is passed over.
async fn changes(store: Store, kind: Kind, mut show: impl FnMut(&Arc<Object>)) {
    loop {
        let Ok(mut watch) = store.watch(kind, store.snapshot().revision()) else { return };
        while let Ok(change) = watch.next().await {
            if let Some(object) = &change.new {
                show(object);
            }
        }
    }
}

async fn show_pods(store: Store, logs: PodLogs) {
    let mut attempts = Attempts::default();
    changes(store.clone(), Kind::Pod, |object| {
        // What the store holds was written by this program.
        let pod: Value = serde_json::from_str(object.json()).unwrap_or_default();
        for attempt in attempts.begun(&pod) {
            tokio::spawn(follow(logs.clone(), object.clone(), attempt));
        }
        if attempts.pods() > REMEMBERED_MAX {
            let present: HashSet<Arc<str>> =
                store.snapshot().list(Kind::Pod).map(|p| p.meta().uid.clone()).collect();
            attempts.retain(|uid| present.contains(uid));
        }
    })
    .await;
}

async fn follow(logs: PodLogs, pod: Arc<Object>, mut attempt: Attempt) {
    attempt.turn.come().await;
    let name = pod.name().to_owned();
    let request = LogRequest {
        pod,
        container: attempt.container,
        previous: false,
        attempt: Some(attempt.number),
        follow: true,
        since: None,
        tail_lines: None,
        limit_bytes: None,
        timestamps: false,
    };
    let Ok(mut pieces) = logs(request) else { return };
    let mut text = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        text.extend_from_slice(&piece);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            eprint!("{name} | {}", String::from_utf8_lossy(&line));
        }
    }
    if !text.is_empty() {
        eprintln!("{name} | {}", String::from_utf8_lossy(&text));
    }
}

async fn show_jobs(store: Store) {
    let mut ended: HashSet<Arc<str>> = HashSet::new();
    changes(store.clone(), Kind::Job, |object| {
        let job: Job = object.decode();
        let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
        let end =
            conditions.iter().find(|c| c.status == "True" && (c.type_ == "Complete" || c.type_ == "Failed"));
        if let Some(end) = end
            && ended.insert(object.meta().uid.clone())
        {
            let why = end.message.as_deref().filter(|_| end.type_ == "Failed").map(|m| format!(": {m}"));
            eprintln!("job/{} is {}{}", object.name(), end.type_, why.unwrap_or_default());
        }
        if ended.len() > REMEMBERED_MAX {
            let present: HashSet<Arc<str>> =
                store.snapshot().list(Kind::Job).map(|j| j.meta().uid.clone()).collect();
            ended.retain(|uid| present.contains(uid));
        }
    })
    .await;
}
