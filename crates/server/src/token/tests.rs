use cronlet_object::Draft;
use cronlet_object::api::{Pod, ServiceAccount};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn spec() -> TokenSpec {
    TokenSpec {
        namespace: "a".to_owned(),
        account: "robot".to_owned(),
        account_uid: "account-uid".to_owned(),
        audiences: Vec::new(),
        seconds: 600,
        bound: Some(Bound { is_pod: true, name: "p".to_owned(), uid: "pod-uid".to_owned() }),
        node: Some(("n".to_owned(), "node-uid".to_owned())),
    }
}

/// The account and the pod, the latter deleted or not there at will.
fn snapshot(account_uid: &str, pod: Option<Option<Timestamp>>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut account = ServiceAccount::default();
    account.metadata.namespace = Some("a".into());
    account.metadata.name = Some("robot".into());
    account.metadata.uid = Some(account_uid.into());
    snapshot.insert(Arc::new(Draft::of(&account).seal(1)));
    if let Some(deleted) = pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("a".into());
        pod.metadata.name = Some("p".into());
        pod.metadata.uid = Some("pod-uid".into());
        pod.metadata.deletion_timestamp = deleted.map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time);
        snapshot.insert(Arc::new(Draft::of(&pod).seal(2)));
    }
    snapshot
}

fn why(tokens: &Tokens, token: &str, snapshot: &Snapshot, now: Timestamp) -> &'static str {
    tokens.check(token, &[ISSUER], snapshot, now).unwrap_err()
}

#[test]
fn a_token_says_whose_it_is() {
    let tokens = Tokens::ephemeral().unwrap();
    let token = tokens.issue(&spec(), "id".to_owned(), at(0)).unwrap();
    assert_eq!(token.expires, at(600));
    let (user, audiences) =
        tokens.check(&token.text, &["other", ISSUER], &snapshot("account-uid", Some(None)), at(599)).unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:a:robot", "account-uid"));
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    let extra: Vec<&str> = user.extra.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(extra, ["JTI=id", "n", "node-uid", "p", "pod-uid"]);
    assert_eq!(audiences, [ISSUER]);
}

#[test]
fn a_token_ends_in_time_and_with_what_it_is_bound_to() {
    let tokens = Tokens::ephemeral().unwrap();
    let token = tokens.issue(&spec(), "id".to_owned(), at(0)).unwrap().text;
    let here = snapshot("account-uid", Some(None));
    assert_eq!(why(&tokens, &token, &here, at(600)), "the token has expired");
    assert_eq!(why(&tokens, &token, &here, at(-1)), "the token is not valid yet");
    let other = snapshot("other-uid", Some(None));
    assert_eq!(why(&tokens, &token, &other, at(1)), "the token's service account is gone");
    let alone = snapshot("account-uid", None);
    assert_eq!(why(&tokens, &token, &alone, at(1)), "the pod that the token is bound to is gone");
    let ending = snapshot("account-uid", Some(Some(at(100))));
    assert!(tokens.check(&token, &[ISSUER], &ending, at(159)).is_ok());
    assert_eq!(why(&tokens, &token, &ending, at(161)), "the pod that the token is bound to is gone");
}

#[test]
fn what_is_not_signed_here_is_not_believed() {
    let tokens = Tokens::ephemeral().unwrap();
    let token = tokens.issue(&spec(), "id".to_owned(), at(0)).unwrap().text;
    let here = snapshot("account-uid", Some(None));
    assert_eq!(
        why(&Tokens::ephemeral().unwrap(), &token, &here, at(1)),
        "the token is signed with another key"
    );
    let parts: Vec<&str> = token.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let other = URL_SAFE_NO_PAD.encode(claims.replace("robot", "admin"));
    let forged = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(why(&tokens, &forged, &here, at(1)), "the token's signature is not right");
    let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"none\",\"kid\":{:?}}}", tokens.key_id));
    let unsigned = format!("{header}.{}.", parts[1]);
    assert_eq!(why(&tokens, &unsigned, &here, at(1)), "the token is signed with another key");
    for garbage in ["", "a", "a.b.c", "....", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
        assert_eq!(why(&tokens, garbage, &here, at(1)), "the token is malformed", "{garbage}");
    }
}

#[test]
fn tokens_are_for_those_they_name() {
    let tokens = Tokens::ephemeral().unwrap();
    let vault = TokenSpec { audiences: vec!["vault".to_owned()], ..spec() };
    let token = tokens.issue(&vault, "id".to_owned(), at(0)).unwrap().text;
    let here = snapshot("account-uid", Some(None));
    assert_eq!(why(&tokens, &token, &here, at(1)), "the token is for another audience");
    assert!(tokens.check(&token, &["vault"], &here, at(1)).is_ok());
}

#[test]
fn what_pods_get_by_default_outlives_programs_that_read_it_once() {
    let tokens = Tokens::ephemeral().unwrap();
    let usual = TokenSpec { seconds: EXTENDABLE_SECONDS, ..spec() };
    let token = tokens.issue(&usual, "id".to_owned(), at(0)).unwrap();
    let here = snapshot("account-uid", Some(None));
    assert_eq!(token.expires, at(EXTENDABLE_SECONDS), "it is to be replaced by then");
    assert!(tokens.check(&token.text, &[ISSUER], &here, at(EXTENDED_SECONDS - 1)).is_ok());
    let unbound = TokenSpec { bound: None, ..usual };
    let token = tokens.issue(&unbound, "id".to_owned(), at(0)).unwrap().text;
    assert_eq!(why(&tokens, &token, &here, at(EXTENDABLE_SECONDS)), "the token has expired");
}

#[test]
fn the_key_stays_and_is_for_the_node_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let first = Tokens::open(dir.path()).unwrap();
    let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = first.issue(&spec(), "id".to_owned(), at(0)).unwrap().text;
    let again = Tokens::open(dir.path()).unwrap();
    assert!(again.check(&token, &[ISSUER], &snapshot("account-uid", Some(None)), at(1)).is_ok());
    std::fs::write(dir.path().join(KEY_FILE), "nothing").unwrap();
    assert!(Tokens::open(dir.path()).unwrap_err().to_string().contains("sa.key"));
}
