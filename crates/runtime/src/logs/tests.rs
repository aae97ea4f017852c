use futures_util::StreamExt as _;

use super::*;

fn options() -> LogOptions {
    LogOptions::default()
}

/// A log root with one container's log, and where to look for its pod.
fn logs(dir: &std::path::Path, text: &str) -> (Logs, LogSource) {
    let logs = Logs { pods_dir: dir.join("pods"), log_root: dir.to_owned() };
    let source =
        LogSource { namespace: "ns".into(), pod: "p".into(), uid: "u".into(), container: "c".into() };
    let place = files::pod_dir(dir, "ns", "p", "u").join("c");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("0.log"), text).unwrap();
    (logs, source)
}

async fn read(logs: &Logs, source: &LogSource, options: LogOptions) -> String {
    let parts: Vec<Bytes> = logs.read(source, options).unwrap().map(Result::unwrap).collect().await;
    String::from_utf8(parts.concat()).unwrap()
}

const TEXT: &str = "2026-01-01T00:00:01.000000000Z stdout P one\n\
                    2026-01-01T00:00:02.000000000Z stdout F -and-a-half\n\
                    not a record\n\
                    2026-01-01T00:00:03.5Z stderr F two\n";

#[tokio::test]
async fn times_stand_at_the_beginning_of_lines_only() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, source) = logs(dir.path(), TEXT);
    assert_eq!(read(&logs, &source, options()).await, "one-and-a-half\ntwo\n");
    let stamped = read(&logs, &source, LogOptions { timestamps: true, ..options() }).await;
    assert_eq!(stamped, "2026-01-01T00:00:01.000000000Z one-and-a-half\n2026-01-01T00:00:03.5Z two\n");
}

#[tokio::test]
async fn since_includes_its_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, source) = logs(dir.path(), TEXT);
    for (since, expected) in [("03.5", "two\n"), ("03.500000001", ""), ("02", "-and-a-half\ntwo\n")] {
        let since = format!("2026-01-01T00:00:{since}Z").parse().ok();
        assert_eq!(read(&logs, &source, LogOptions { since, ..options() }).await, expected);
    }
}

#[tokio::test]
async fn the_log_of_a_pod_that_is_gone_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, source) = logs(dir.path(), TEXT);
    let followed = read(&logs, &source, LogOptions { follow: true, tail_lines: Some(1), ..options() }).await;
    assert_eq!(followed, "two\n");
}

#[test]
fn what_has_no_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, source) = logs(dir.path(), TEXT);
    let other = LogSource { container: "d".into(), ..source.clone() };
    let error = |source, options| logs.read(source, options).err().unwrap().to_string();
    assert_eq!(error(&other, options()), "container \"d\" has no log: it has not started");
    let previous = LogOptions { previous: true, ..options() };
    assert_eq!(error(&source, previous), "container \"c\" has no earlier log");
    let certain = |attempt| LogOptions { attempt: Some(attempt), ..options() };
    assert!(logs.read(&source, certain(0)).is_ok());
    assert_eq!(error(&source, certain(1)), "container \"c\" has no earlier log");
}
