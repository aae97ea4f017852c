use proptest::prelude::*;

use super::*;

#[test]
fn tokens_that_were_never_given_out_are_refused() {
    let written = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for text in [
        "???".to_owned(),
        written("not json"),
        written(r#"{"v":"meta.k8s.io/v2","rv":1,"start":"a/b"}"#),
        written(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"b"}"#),
        written(r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"a/b"}"#),
    ] {
        let error = Token::decode(&text).unwrap_err();
        assert_eq!(error.code(), 400);
        assert!(
            error.message().starts_with("invalid continue token: continue key is not valid: "),
            "{error}"
        );
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn snapshot(revision: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.advance(revision);
    snapshot
}

#[test]
fn only_the_latest_snapshots_are_kept() {
    let mut snapshots = Snapshots::default();
    for revision in 1..=LIST_SNAPSHOTS_MAX as u64 + 2 {
        snapshots.keep(&snapshot(revision), at(0));
        snapshots.keep(&snapshot(revision), at(0));
    }
    assert_eq!(snapshots.0.len(), LIST_SNAPSHOTS_MAX);
    assert!(snapshots.get(2).is_none());
    assert!(snapshots.get(3).is_some());
}

#[test]
fn old_snapshots_are_forgotten_also_if_the_clock_was_set_back() {
    let mut snapshots = Snapshots::default();
    snapshots.keep(&snapshot(1), at(9_000));
    snapshots.keep(&snapshot(2), at(1_000));
    snapshots.keep(&snapshot(3), at(1_100));
    snapshots.forget_old(at(1_300));
    assert!(snapshots.get(1).is_none());
    assert!(snapshots.get(2).is_none());
    assert!(snapshots.get(3).is_some());
}

proptest! {
    #[test]
    fn tokens_come_back_as_they_were(revision: u64, namespace in "[a-z0-9-]{0,63}", name in "[a-z0-9.-]{1,80}") {
        let token = Token { revision, namespace, name };
        prop_assert_eq!(Token::decode(&token.encode()).unwrap(), token);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}") {
        let _ = Token::decode(&text);
    }
}
