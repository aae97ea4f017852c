//! The bounds of this crate, each with its unit in its name.

use std::time::Duration;

/// Largest request body, as upstream limits it. Anything above is answered with 413.
pub const REQUEST_BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What is taken in and thrown away of a larger body, in bytes, so that its sender gets to read the refusal.
pub const REQUEST_BODY_DISCARDED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a client may take to send a request's body.
pub const REQUEST_BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// Largest block of request headers, HTTP/1.1 and HTTP/2 alike.
pub const REQUEST_HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// Most header lines of a request.
pub const REQUEST_HEADERS_MAX: usize = 100;
/// How long a client may take to send a request's headers; also how long an idle HTTP/1.1 connection stays open.
pub const REQUEST_HEADERS_TIME_MAX: Duration = Duration::from_secs(120);
/// Requests handled at once, watches and followed logs aside; upstream's `--max-requests-inflight`. One more gets 429.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 400;
/// Watches and followed logs open at once. One more gets 429.
pub const STREAMS_MAX: usize = 2_000;

/// Connections open at once. Further ones wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 1_000;
/// Requests at once on one HTTP/2 connection, watches included.
pub const CONNECTION_STREAMS_MAX: u32 = 250;
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether it still lives.
pub const CONNECTION_PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the answer to that question may take.
pub const CONNECTION_PING_TIME_MAX: Duration = Duration::from_secs(20);
/// How often accepting is tried again while the system refuses, for instance for want of file descriptors.
pub const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long requests in flight may take to finish once the server is told to stop.
pub const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(10);

/// Size at which a piece of a long answer is handed to the connection.
pub const ANSWER_PIECE_BYTES: usize = 64 * 1024;
/// How many snapshots are kept for the next pages of lists.
pub const LIST_SNAPSHOTS_MAX: usize = 8;
/// How long a snapshot is kept for the next page; as long as upstream's etcd keeps old revisions.
pub const LIST_SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(300);
/// How many objects a collection deletion removes at once.
pub const DELETIONS_AT_ONCE_MAX: usize = 64;
/// How often a name is generated for `metadata.generateName` before giving up.
pub const GENERATED_NAME_TRIES_MAX: usize = 8;
/// How often a change is tried against the latest state before the conflict is reported.
pub const RACE_TRIES_MAX: usize = 5;
/// How long a watch lasts when the client names no time, in seconds: a random time in this range, so that the
/// clients of a restarted server do not come back all at once.
pub const WATCH_SECONDS_DEFAULT: std::ops::Range<u64> = 1_800..3_600;
/// How long a watch lasts at most, in seconds, whatever the client asks for.
pub const WATCH_SECONDS_MAX: u64 = 24 * 3_600;
/// How often a watch that asked for bookmarks gets one.
pub const WATCH_BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// Least time between two measurements of what pods use, which they show the average of.
pub const METRICS_WINDOW: Duration = Duration::from_secs(1);
/// How old an earlier measurement may be to be averaged from.
pub const METRICS_AGE_MAX: Duration = Duration::from_secs(60);

/// Longest token of a service account that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// How long a token is valid whose client names no time, in seconds (upstream's default).
pub const TOKEN_SECONDS_DEFAULT: i64 = 3600;
/// Shortest time that a token may be asked for, in seconds (upstream's bound).
pub const TOKEN_SECONDS_MIN: i64 = 600;
/// Longest time that a token may be asked for, in seconds (upstream's bound).
pub const TOKEN_SECONDS_MAX: i64 = 1 << 32;

/// How large the audit log grows before a new file is begun, in bytes.
pub const AUDIT_FILE_BYTES_MAX: u64 = 64 << 20;
/// How many full files of the audit log are kept.
pub const AUDIT_FILES_MAX: usize = 4;
/// Audit events that wait to be written. One more is lost, which the node's log says.
pub const AUDIT_EVENTS_MAX: usize = 4_096;
/// How much of a request's URI, and of what the client says of itself, an audit event has, in bytes.
pub const AUDIT_URI_BYTES_MAX: usize = 4_096;
/// See [`AUDIT_URI_BYTES_MAX`] (upstream's bound).
pub const AUDIT_AGENT_BYTES_MAX: usize = 1_024;

const _: () = assert!(CONNECTIONS_MAX >= REQUESTS_IN_FLIGHT_MAX);
const _: () = assert!(WATCH_SECONDS_DEFAULT.end <= WATCH_SECONDS_MAX);

/// Longest message of a client that runs a program, in bytes. kubectl sends 32 KiB at once.
pub const EXEC_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How much of a program's output is sent at once, in bytes.
pub const EXEC_READ_BYTES: usize = 32 << 10;
/// Messages that wait for a client to take them; then the program waits, too.
pub const EXEC_FRAMES_MAX: usize = 8;
/// How long output may keep away after a program's end that something holds open which it left behind.
pub const EXEC_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// How much output is still sent after a program's end, in bytes: more than pipes and queues hold of its own.
pub const EXEC_DRAIN_BYTES_MAX: usize = 1 << 20;
/// How often a client that runs a program is asked whether it is there.
pub const EXEC_PING_INTERVAL: Duration = Duration::from_secs(10);

/// Longest frame of SPDY that is not data, in bytes: one with headers.
pub const SPDY_CONTROL_BYTES_MAX: usize = 32 << 10;
/// Largest block of headers of SPDY, in bytes when it is not compressed any more.
pub const SPDY_HEADERS_BYTES_MAX: usize = 16 << 10;
/// Most headers of a stream.
pub const SPDY_HEADERS_MAX: usize = 64;
/// How much of a frame of data is handed on at once, in bytes.
pub const SPDY_PIECE_BYTES_MAX: usize = 16 << 10;
/// Pieces that wait on one stream to be taken; then nothing more is read from the connection.
pub const SPDY_PIECES_MAX: usize = 8;
/// Streams of one connection at once: two for each connection that is forwarded.
pub const SPDY_STREAMS_MAX: usize = 256;
/// Frames that wait to be sent.
pub const SPDY_FRAMES_MAX: usize = 8;
/// How long a connection is kept open after its last word, so that the peer can read it.
pub const SPDY_LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a client may take to open all streams that it needs (upstream's).
pub const STREAMS_OPEN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long nothing may happen on a connection with a container (the kubelet's `streamingConnectionIdleTimeout`).
pub const STREAM_IDLE_TIME_MAX: Duration = Duration::from_secs(4 * 3_600);
