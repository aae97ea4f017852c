//! What containers have printed: `GET …/pods/{name}/log`.

use std::{io, pin::Pin, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use cronlet_object::{
    ApiError, FieldErrors, Key, Kind, Object, Path,
    api::{ContainerStatus, Pod},
};
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use jiff::Timestamp;

use crate::{api::Shared, query::Query, reply};

/// Reads the log of a container. An error is one of starting to read; later ones end the stream.
pub type PodLogs = Arc<dyn Fn(LogRequest) -> Result<LogStream, ApiError> + Send + Sync>;

/// Lines as they come. With [`LogRequest::follow`] the stream ends when the container has.
pub type LogStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The parameter that names one attempt. Servers that do not know it pass it over.
const ATTEMPT: &str = "cronlet.dev/attempt";

/// Which part of which log is wanted.
#[derive(Clone, Debug)]
pub struct LogRequest {
    /// The pod.
    pub pod: Arc<Object>,
    /// The name of one of its containers, init containers included.
    pub container: String,
    /// Whether the log of the container's previous run is wanted.
    pub previous: bool,
    /// The run that is wanted, counted from 0, whichever is the last. The only way to follow several runs without losing
    /// one: the last may be another when the request arrives.
    pub attempt: Option<u32>,
    /// Whether to go on with new lines until the container ends.
    pub follow: bool,
    /// Lines printed at this time or later; none for all.
    pub since: Option<Timestamp>,
    /// The last so many of the lines that are there at first; none for all.
    pub tail_lines: Option<u64>,
    /// Most bytes to send; the last line may be cut.
    pub limit_bytes: Option<u64>,
    /// Whether each line begins with its time, RFC 3339 with nanoseconds, and a space.
    pub timestamps: bool,
}

/// The parameters of the request, before they are applied to a pod.
struct Options {
    container: Option<String>,
    previous: bool,
    attempt: Option<u32>,
    follow: bool,
    since: Option<Timestamp>,
    tail_lines: Option<u64>,
    limit_bytes: Option<u64>,
    timestamps: bool,
}

impl Options {
    fn parse(query: &Query, pod: &str, now: Timestamp) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let tail_lines = query.integer("tailLines")?;
        if tail_lines.is_some_and(|lines| lines < 0) {
            errors.invalid(&Path::root("tailLines"), tail_lines, "must be greater than or equal to 0");
        }
        let limit_bytes = query.integer("limitBytes")?;
        if limit_bytes.is_some_and(|bytes| bytes < 1) {
            errors.invalid(&Path::root("limitBytes"), limit_bytes, "must be greater than 0");
        }
        let attempt = query.integer(ATTEMPT)?;
        if attempt.is_some_and(|attempt| u32::try_from(attempt).is_err()) {
            errors.invalid(&Path::root(ATTEMPT), attempt, "must be the number of an attempt, counted from 0");
        }
        let since_seconds = query.integer("sinceSeconds")?;
        let since_time = since_time(query)?;
        if since_seconds.is_some() && since_time.is_some() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.forbidden(&Path::default(), why);
        } else if since_seconds.is_some_and(|seconds| seconds < 1) {
            errors.invalid(&Path::root("sinceSeconds"), since_seconds, "must be greater than 0");
        }
        if query.text("stream").is_some_and(|stream| stream != "All") {
            errors.forbidden(&Path::root("stream"), "may not be specified");
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid_named("", "PodLogOptions", pod, &errors));
        }
        let seconds_ago =
            |seconds| now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        Ok(Options {
            container: query.text("container").map(str::to_owned),
            previous: query.flag("previous"),
            attempt: attempt.and_then(|attempt| u32::try_from(attempt).ok()),
            follow: query.flag("follow"),
            since: since_time.or(since_seconds.map(seconds_ago)),
            tail_lines: tail_lines.and_then(|lines| u64::try_from(lines).ok()),
            limit_bytes: limit_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            timestamps: query.flag("timestamps"),
        })
    }
}

fn since_time(query: &Query) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = query.text("sinceTime") else { return Ok(None) };
    let time = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "sinceTime: {text:?} is not a time in RFC 3339 form such as 2026-11-23T02:00:00Z"
        ))
    })?;
    Ok(Some(time))
}

/// Answers with a container's log as plain text.
///
/// # Errors
/// 404 without the pod; 400 if no container can be chosen or it has no such log; 422 for options that are not valid.
pub(crate) fn log(api: &Arc<Shared>, key: &Key, query: &Query) -> Result<Response, ApiError> {
    let options = Options::parse(query, &key.name, api.now())?;
    let snapshot = api.store.snapshot();
    let object = snapshot.get(key).ok_or_else(|| ApiError::not_found(Kind::Pod, &key.name))?;
    let pod: Pod = object.decode();
    let container = choose(&pod, &key.name, options.container.as_deref())?;
    // Whether a certain attempt has a log is seen where it would be.
    if options.attempt.is_none() && !has_log(&pod, &key.name, &container, options.previous)? {
        return Ok(reply::text(StatusCode::NO_CONTENT, Body::empty()));
    }
    // A followed log occupies the server for as long as its container runs.
    let permit = if options.follow { Some(api.admit_stream()?) } else { None };
    let lines = (api.logs)(LogRequest {
        pod: object.clone(),
        container,
        previous: options.previous,
        attempt: options.attempt,
        follow: options.follow,
        since: options.since,
        tail_lines: options.tail_lines,
        limit_bytes: options.limit_bytes,
        timestamps: options.timestamps,
    })?;
    let mut closing = api.closing();
    let closed = async move {
        let _permit = permit;
        // An error means that the server is gone.
        let _stopped = closing.wait_for(|closing| *closing).await;
    };
    Ok(reply::text(StatusCode::OK, Body::from_stream(lines.take_until(Box::pin(closed)))))
}

/// The container that is meant, by its name or because there is one alone.
pub(crate) fn choose(pod: &Pod, name: &str, asked: Option<&str>) -> Result<String, ApiError> {
    let spec = pod.spec.as_ref();
    let containers: Vec<&str> =
        spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str()).collect();
    let init: Vec<&str> =
        spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).map(|c| c.name.as_str()).collect();
    match asked {
        Some(asked) if containers.contains(&asked) || init.contains(&asked) => Ok(asked.to_owned()),
        Some(asked) => Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}"))),
        None => match containers.as_slice() {
            [only] => Ok((*only).to_owned()),
            several => {
                let init = if init.is_empty() {
                    String::new()
                } else {
                    format!(" or one of the init containers: [{}]", init.join(" "))
                };
                Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]{init}",
                    several.join(" ")
                )))
            }
        },
    }
}

/// Whether the container has a log, by the pod's status; false if it has not come to the container yet.
fn has_log(pod: &Pod, name: &str, container: &str, previous: bool) -> Result<bool, ApiError> {
    let Some(status) = status_of(pod, container) else { return Ok(false) };
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let started = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    let terminated_before = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    if previous {
        return if terminated_before {
            Ok(true)
        } else {
            let why = format!("previous terminated container {container:?} in pod {name:?} not found");
            Err(ApiError::bad_request(why))
        };
    }
    // Between two runs the log of the last one is shown.
    if started || terminated_before {
        return Ok(true);
    }
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some(reason) => Err(ApiError::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {reason}"
        ))),
        None => Ok(false),
    }
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let main = status.container_statuses.iter().flatten();
    let init = status.init_container_statuses.iter().flatten();
    main.chain(init).find(|status| status.name == container)
}

#[cfg(test)]
mod tests;
