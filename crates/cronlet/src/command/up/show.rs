//! `cronlet up --logs`: the output of every pod and the outcome of every Job, as they come.

use std::{collections::HashSet, sync::Arc};

use cronlet_object::{
    Kind, Object,
    api::{Job, Pod},
};
use cronlet_server::{LogRequest, PodLogs};
use cronlet_store::Store;
use futures_util::StreamExt;

use crate::bootstrap::Server;

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
    // Containers whose output is being printed. A pod that is gone frees its entries.
    let mut shown: HashSet<(Arc<str>, String)> = HashSet::new();
    changes(store.clone(), Kind::Pod, |object| {
        let pod: Pod = object.decode();
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        for status in statuses.into_iter().flatten() {
            let begun = status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some() || state.terminated.is_some());
            if begun && shown.insert((object.meta().uid.clone(), status.name.clone())) {
                tokio::spawn(follow(logs.clone(), object.clone(), status.name.clone()));
            }
        }
        if shown.len() > REMEMBERED_MAX {
            let present: HashSet<Arc<str>> =
                store.snapshot().list(Kind::Pod).map(|p| p.meta().uid.clone()).collect();
            shown.retain(|(uid, _)| present.contains(uid));
        }
    })
    .await;
}

async fn follow(logs: PodLogs, pod: Arc<Object>, container: String) {
    let name = pod.name().to_owned();
    let request = LogRequest {
        pod,
        container,
        previous: false,
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
