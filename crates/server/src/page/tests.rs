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
        assert!(error.message().starts_with("invalid continue token: continue key is not valid: "), "{error}");
    }
}

#[test]
fn only_the_latest_snapshots_are_kept() {
    let mut snapshots = Snapshots::default();
    for revision in 1..=LIST_SNAPSHOTS_MAX as u64 + 2 {
        let mut snapshot = Snapshot::default();
        snapshot.advance(revision);
        snapshots.keep(&snapshot);
        snapshots.keep(&snapshot);
    }
    assert_eq!(snapshots.0.len(), LIST_SNAPSHOTS_MAX);
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
