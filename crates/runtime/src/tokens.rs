//! Tokens of service accounts in the volumes of pods: asked for when they are needed, and kept while they are fresh.
//!
//! What is fresh is read from the token that lies in the volume, which outlives the server: nothing is remembered.

use std::{borrow::Cow, fmt, fs, net::SocketAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    limits::TOKEN_AGE_SECONDS_MAX,
    resolve::{FileEntry, Plan, Volume},
};

/// Issues tokens; the error is told in an event.
pub type TokenIssuer = Arc<dyn Fn(&TokenRequest) -> Result<String, String> + Send + Sync>;

/// Where pods find the API, and who gives them tokens for it.
#[derive(Clone)]
pub struct Tokens {
    /// Issues them.
    pub issuer: TokenIssuer,
    /// Where the API listens.
    pub api: SocketAddr,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("api", &self.api).finish_non_exhaustive()
    }
}

/// What a token is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The namespace of the pod and its account.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// Its UID.
    pub pod_uid: String,
    /// The account.
    pub account: String,
    /// Whom it is for; the API if nobody is named.
    pub audience: Option<String>,
    /// How long it is to be valid, in seconds.
    pub seconds: i64,
}

/// A file with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// Relative path, without `..`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The token.
    pub request: TokenRequest,
}

/// The volume with the tokens that it is to have as files like others.
///
/// # Errors
/// If a token cannot be had.
pub(crate) fn fill<'a>(
    volume: &'a Volume,
    tokens: Option<&Tokens>,
    now: Timestamp,
) -> Result<Cow<'a, Volume>, String> {
    let Plan::FilesAndTokens { files, tokens: wanted } = &volume.plan else {
        return Ok(Cow::Borrowed(volume));
    };
    let mut files = files.clone();
    for TokenFile { path, mode, request } in wanted {
        let old = fs::read_to_string(volume.source.join(path)).ok();
        let fresh = old.filter(|token| is_fresh(token, now));
        let token = fresh.map_or_else(|| issue(tokens, request), Ok)?;
        files.push(FileEntry { path: path.clone(), data: token.into_bytes(), mode: *mode });
    }
    Ok(Cow::Owned(Volume { plan: Plan::Files(files), ..volume.clone() }))
}

fn issue(tokens: Option<&Tokens>, request: &TokenRequest) -> Result<String, String> {
    let tokens = tokens.ok_or("this node issues no service account tokens")?;
    (tokens.issuer)(request)
        .map_err(|why| format!("failed to fetch token: serviceaccounts {:?}: {why}", request.account))
}

/// Whether a token need not be replaced yet. The rule is the kubelet's: four fifths of its time, and a day at most.
fn is_fresh(token: &str, now: Timestamp) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        iat: i64,
        exp: i64,
        #[serde(rename = "kubernetes.io", default)]
        private: Private,
    }
    #[derive(Default, Deserialize)]
    struct Private {
        warnafter: Option<i64>,
    }
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    claims.is_some_and(|Claims { iat, exp, private }| {
        let lifetime = private.warnafter.unwrap_or(exp).saturating_sub(iat);
        let age = now.as_second().saturating_sub(iat);
        (0..(lifetime - lifetime / 5).min(TOKEN_AGE_SECONDS_MAX)).contains(&age)
    })
}

/// When the tokens of a pod's volumes are to be looked at again, in seconds: before the first that a pod could ask for
/// is too old.
pub const LOOK_SECONDS: i64 = 60;

/// Whether a volume of a pod has a token.
pub(crate) fn is_wanted(spec: &cronlet_object::api::PodSpec) -> bool {
    let projected = spec.volumes.iter().flatten().filter_map(|volume| volume.projected.as_ref());
    projected
        .flat_map(|projected| projected.sources.iter().flatten())
        .any(|source| source.service_account_token.is_some())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn token(claims: &serde_json::Value) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn issued(second: i64, seconds: i64) -> String {
        let from = at(second).as_second();
        token(&json!({"iat": from, "exp": from + seconds}))
    }

    #[test]
    fn a_token_is_replaced_in_time() {
        assert!(is_fresh(&issued(0, 600), at(479)) && !is_fresh(&issued(0, 600), at(480)));
        assert!(!is_fresh(&issued(0, 1_000_000), at(TOKEN_AGE_SECONDS_MAX)), "a day is enough");
        assert!(!is_fresh(&issued(10, 600), at(0)), "the clock was set back");
        let from = at(0).as_second();
        let extended = token(
            &json!({"iat": from, "exp": from + 31_536_000, "kubernetes.io": {"warnafter": from + 3607}}),
        );
        assert!(is_fresh(&extended, at(2000)) && !is_fresh(&extended, at(3000)));
        for garbage in ["", "a.b.c", "a", "..", &token(&json!({}))] {
            assert!(!is_fresh(garbage, at(0)), "{garbage}");
        }
    }

    #[test]
    fn a_fresh_token_in_the_volume_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let request = TokenRequest {
            namespace: "a".into(),
            pod: "p".into(),
            pod_uid: "u".into(),
            account: "robot".into(),
            audience: None,
            seconds: 600,
        };
        let volume = Volume {
            name: "v".into(),
            source: dir.path().to_owned(),
            read_only: true,
            gid: None,
            plan: Plan::FilesAndTokens {
                files: Vec::new(),
                tokens: vec![TokenFile { path: "token".into(), mode: 0o644, request }],
            },
        };
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let issuer: TokenIssuer = Arc::new(move |request: &TokenRequest| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            Ok(issued(i64::try_from(number).unwrap() * 500, request.seconds))
        });
        let tokens = Tokens { issuer, api: "127.0.0.1:7443".parse().unwrap() };
        let filled = |second: i64| {
            let filled = fill(&volume, Some(&tokens), at(second)).unwrap();
            let Plan::Files(files) = &filled.plan else { panic!("{filled:?}") };
            fs::write(dir.path().join("token"), &files[0].data).unwrap();
            asked.load(Ordering::Relaxed)
        };
        assert_eq!((filled(0), filled(479), filled(500), filled(501)), (1, 1, 2, 2));
        let refused = fill(&volume, None, at(2000)).unwrap_err();
        assert_eq!(refused, "this node issues no service account tokens");
    }
}
