//! GET of a collection with `watch`: what changes, as it changes.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use cronlet_object::{ApiError, Change, Kind, Object};
use cronlet_store::{Expired, Watch};
use futures_util::stream;
use http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::{check_revision, list::select};
use crate::{
    api::Shared,
    filter::Filter,
    limits::{ANSWER_PIECE_BYTES, WATCH_BOOKMARK_INTERVAL, WATCH_SECONDS_DEFAULT, WATCH_SECONDS_MAX},
    negotiate,
    query::ListOptions,
    render::Renderer,
    reply,
    router::Call,
};

/// Answers with a stream of events, one JSON object a line, until the time is over or the server stops.
///
/// # Errors
/// 400 and 422 for options that are not valid; 410 if the revision has left the history; 429 if too many are open.
pub(crate) fn watch(
    api: &Arc<Shared>,
    call: &Call,
    kind: Kind,
    namespace: Option<String>,
) -> Result<Response, ApiError> {
    let renderer = Renderer::new(kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let options = ListOptions::parse(&call.query)?;
    let filter = Filter::new(kind, namespace, &options.label_selector, &options.field_selector)?;
    let permit = api.admit_stream()?;
    let watcher = Watcher::start(api.clone(), filter, renderer, &options, permit)?;
    let pieces = stream::unfold(watcher, async |mut watcher| {
        let piece = watcher.next().await?;
        Some((Ok::<_, Infallible>(piece), watcher))
    });
    Ok(reply::json_text(StatusCode::OK, Body::from_stream(pieces)))
}

/// What a watch still has to do before it waits for changes.
enum Stage {
    /// Tell of the objects that were there at the beginning.
    Initial(VecDeque<Arc<Object>>),
    /// Say that all of these were told of.
    InitialEnd,
    /// Tell of changes.
    Live,
    /// Nothing: the watch is over.
    Over,
}

struct Watcher {
    api: Arc<Shared>,
    filter: Filter,
    renderer: Renderer,
    changes: Watch,
    stage: Stage,
    /// The revision of the objects that were there at the beginning.
    start: u64,
    /// Whether the next event is the first: a table has its columns only there.
    first: bool,
    /// Whether the client wants the end of the initial events marked.
    mark_initial_end: bool,
    /// Ticks when a bookmark is due; none if the client wants none.
    bookmarks: Option<Interval>,
    /// Ticks when the time is over.
    timeout: Interval,
    closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

/// Why a waiting watch goes on.
enum Wake {
    Changed(Result<Arc<Change>, Expired>),
    BookmarkDue,
    TimeOver,
    ServerStops,
}

impl Watcher {
    fn start(
        api: Arc<Shared>,
        filter: Filter,
        renderer: Renderer,
        options: &ListOptions,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, ApiError> {
        let snapshot = api.store.snapshot();
        let asked = options.revision.filter(|revision| *revision > 0);
        // Without a revision to go on from, a client wants to hear of everything that is there.
        let initial = options.initial_events.unwrap_or(asked.is_none());
        if options.initial_events.is_some() {
            check_revision(asked, snapshot.revision())?;
        }
        let start = if initial { snapshot.revision() } else { asked.unwrap_or(snapshot.revision()) };
        let changes = api.store.watch(filter.kind(), start).map_err(|expired| gone(start, expired))?;
        let stage = if initial {
            Stage::Initial(select(&snapshot, &filter, None).cloned().collect())
        } else {
            Stage::Live
        };
        let seconds = options.timeout_seconds.unwrap_or_else(|| fastrand::u64(WATCH_SECONDS_DEFAULT));
        Ok(Watcher {
            closing: api.closing(),
            api,
            filter,
            renderer,
            changes,
            stage,
            start,
            first: true,
            mark_initial_end: options.initial_events == Some(true) && options.bookmarks,
            bookmarks: options.bookmarks.then(|| alarm(WATCH_BOOKMARK_INTERVAL)),
            timeout: alarm(Duration::from_secs(seconds.min(WATCH_SECONDS_MAX))),
            _permit: permit,
        })
    }

    /// The next event, or for the objects that were there at the beginning several; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match &mut self.stage {
                Stage::Initial(objects) => {
                    let objects = std::mem::take(objects);
                    if let Some(events) = self.initial(objects) {
                        return Some(events);
                    }
                }
                Stage::InitialEnd => {
                    self.stage = Stage::Live;
                    if self.mark_initial_end {
                        return Some(self.bookmark(self.start, true));
                    }
                }
                Stage::Live => {
                    if let Some(event) = self.live().await {
                        return Some(event);
                    }
                }
                Stage::Over => return None,
            }
        }
    }

    fn initial(&mut self, mut objects: VecDeque<Arc<Object>>) -> Option<Bytes> {
        let mut events = String::new();
        while events.len() < ANSWER_PIECE_BYTES {
            let Some(object) = objects.pop_front() else { break };
            self.event(&mut events, "ADDED", &object);
        }
        self.stage = if objects.is_empty() { Stage::InitialEnd } else { Stage::Initial(objects) };
        (!events.is_empty()).then(|| events.into())
    }

    /// Waits for something to tell. None if there was nothing, or if the watch is over now.
    async fn live(&mut self) -> Option<Bytes> {
        match self.wait().await {
            Wake::Changed(Ok(change)) => self.changed(&change),
            Wake::Changed(Err(expired)) => {
                self.stage = Stage::Over;
                Some(error_event(&gone(self.changes.revision(), expired)))
            }
            Wake::BookmarkDue => Some(self.bookmark(self.changes.revision(), false)),
            Wake::TimeOver => {
                self.stage = Stage::Over;
                // So that the client's next watch need not begin where this one did.
                self.bookmarks.is_some().then(|| self.bookmark(self.changes.revision(), false))
            }
            Wake::ServerStops => {
                self.stage = Stage::Over;
                None
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let bookmark_due = async {
            match &mut self.bookmarks {
                Some(interval) => interval.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => Wake::ServerStops,
            _ = self.timeout.tick() => Wake::TimeOver,
            change = self.changes.next() => Wake::Changed(change),
            _ = bookmark_due => Wake::BookmarkDue,
        }
    }

    /// What a change means for a client that sees only the objects its filter selects.
    fn changed(&mut self, change: &Change) -> Option<Bytes> {
        let selected =
            |object: &Option<Arc<Object>>| object.clone().filter(|object| self.filter.matches(object));
        let (old, new) = (selected(&change.old), selected(&change.new));
        let mut event = String::new();
        match (old, new) {
            (None, None) => return None,
            (None, Some(new)) => self.event(&mut event, "ADDED", &new),
            (Some(_), Some(new)) => self.event(&mut event, "MODIFIED", &new),
            (Some(old), None) => self.event(&mut event, "DELETED", &old.restamped(change.revision)),
        }
        Some(event.into())
    }

    fn event(&mut self, out: &mut String, event: &str, object: &Object) {
        let columns = std::mem::take(&mut self.first);
        out.push_str("{\"type\":\"");
        out.push_str(event);
        out.push_str("\",\"object\":");
        self.renderer.at(self.api.now()).object(out, object, columns);
        out.push_str("}\n");
    }

    fn bookmark(&self, revision: u64, initial_end: bool) -> Bytes {
        let mut event = String::from("{\"type\":\"BOOKMARK\",\"object\":");
        self.renderer.bookmark(&mut event, revision, initial_end);
        event.push_str("}\n");
        event.into()
    }
}

/// Ticks after each `period`.
fn alarm(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn gone(asked: u64, expired: Expired) -> ApiError {
    ApiError::expired(format!("too old resource version: {asked} ({})", expired.oldest))
}

fn error_event(error: &ApiError) -> Bytes {
    let status = serde_json::to_string(error.status()).expect("a Status is always JSON");
    format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n").into()
}
