//! Tokens of service accounts: JSON web tokens that this node signs, and takes from clients in place of a certificate.
//!
//! A token names its account, whom it is for and until when; most name a pod, too, and end with it. The account, and
//! what a token is bound to, are looked up at each use: what is deleted is not believed any more.

mod request;

use std::{path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cronlet_object::{Key, Kind, Snapshot, rbac::AUTHENTICATED};
use jiff::{SignedDuration, Timestamp};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};

use crate::{
    authn::User,
    limits::TOKEN_BYTES_MAX,
    pki::{self, PkiError},
};

pub(crate) use request::create_token;

/// Who issues tokens, and whom those are for that do not say: this API.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The file of the key that signs tokens.
const KEY_FILE: &str = "sa.key";
/// How long the token of something that was deleted is still taken, as upstream has it: a pod's containers are ending.
const DELETED_TIME: SignedDuration = SignedDuration::from_secs(60);
/// Tokens that pods are given by default last this long…
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;
/// …although they ask for this much, and are replaced in time: programs that read their token only once work on.
const EXTENDABLE_SECONDS: i64 = 3607;

/// What a token is for.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// The namespace of the account.
    pub namespace: String,
    /// The account's name.
    pub account: String,
    /// The account's UID.
    pub account_uid: String,
    /// Whom it is for; this API if nobody is named.
    pub audiences: Vec<String>,
    /// How long it is to be valid, in seconds.
    pub seconds: i64,
    /// The pod or secret that it ends with, if there is one.
    pub bound: Option<Bound>,
    /// The node that the pod runs on, by name and UID.
    pub node: Option<(String, String)>,
}

/// An object that a token ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Whether it is a pod; else it is a secret.
    pub is_pod: bool,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// A token and when it ends.
#[derive(Clone, Debug)]
pub struct Token {
    /// What clients send.
    pub text: String,
    /// When it is not taken any more; as the client is told, who may be told a shorter time.
    pub expires: Timestamp,
}

/// Signs tokens, and checks those that clients send.
pub struct Tokens {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

#[derive(Deserialize, Serialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize, Serialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    private: Private,
    nbf: i64,
    sub: String,
}

#[derive(Deserialize, Serialize)]
struct Private {
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Named>,
    serviceaccount: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnafter: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Named {
    name: String,
    uid: String,
}

impl Tokens {
    /// The key in a directory that only the node's user can read; it is made if there is none.
    ///
    /// # Errors
    /// If the key cannot be read, made or used.
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join(KEY_FILE);
        let text = match pki::read(&path)? {
            Some(text) => text,
            None => {
                let text = new_key()?;
                pki::write(&path, &text, 0o600)?;
                text
            }
        };
        Self::of_key(&text).ok_or(PkiError::TokenKey { path })
    }

    /// A key that is kept in memory only.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn ephemeral() -> Result<Self, PkiError> {
        let text = new_key()?;
        Self::of_key(&text).ok_or_else(|| PkiError::TokenKey { path: KEY_FILE.into() })
    }

    fn of_key(pem: &str) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let random = SystemRandom::new();
        let der = der.secret_pkcs8_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).ok()?;
        let digest = digest::digest(&digest::SHA256, key.public_key().as_ref());
        Some(Tokens { key_id: URL_SAFE_NO_PAD.encode(digest.as_ref()), key, random })
    }

    /// Makes a token. `id` tells it from others.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn issue(&self, spec: &TokenSpec, id: String, now: Timestamp) -> Result<Token, String> {
        let now = now.as_second();
        let is_extended = spec.seconds == EXTENDABLE_SECONDS
            && spec.bound.as_ref().is_some_and(|bound| bound.is_pod)
            && is_for_this_api(&spec.audiences);
        let seconds = if is_extended { EXTENDED_SECONDS } else { spec.seconds };
        let named = |bound: &Bound| Named { name: bound.name.clone(), uid: bound.uid.clone() };
        let bound = |is_pod| spec.bound.as_ref().filter(|bound| bound.is_pod == is_pod).map(named);
        let audiences =
            if spec.audiences.is_empty() { vec![ISSUER.to_owned()] } else { spec.audiences.clone() };
        let claims = Claims {
            aud: audiences,
            exp: now.saturating_add(seconds),
            iat: now,
            iss: ISSUER.to_owned(),
            jti: id,
            private: Private {
                namespace: spec.namespace.clone(),
                node: spec.node.clone().map(|(name, uid)| Named { name, uid }),
                pod: bound(true),
                secret: bound(false),
                serviceaccount: Named { name: spec.account.clone(), uid: spec.account_uid.clone() },
                warnafter: is_extended.then(|| now.saturating_add(spec.seconds)),
            },
            nbf: now,
            sub: format!("system:serviceaccount:{}:{}", spec.namespace, spec.account),
        };
        let header = Header { alg: "ES256".to_owned(), kid: self.key_id.clone() };
        let part = |value: String| URL_SAFE_NO_PAD.encode(value);
        let json = |value: serde_json::Result<String>| value.map_err(|error| error.to_string());
        let signed = format!(
            "{}.{}",
            part(json(serde_json::to_string(&header))?),
            part(json(serde_json::to_string(&claims))?)
        );
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| "the system has no random numbers".to_owned())?;
        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let expires = Timestamp::from_second(now.saturating_add(spec.seconds)).unwrap_or(Timestamp::MAX);
        Ok(Token { text, expires })
    }

    /// Whose token it is, and for whom of `audiences`, of which one must be named in it.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check(
        &self,
        token: &str,
        audiences: &[&str],
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(Arc<User>, Vec<String>), &'static str> {
        let claims = self.claims(token)?;
        if claims.iss != ISSUER {
            return Err("the token is another issuer's");
        }
        let second = now.as_second();
        if second >= claims.exp {
            return Err("the token has expired");
        }
        if second < claims.nbf {
            return Err("the token is not valid yet");
        }
        let met: Vec<String> =
            claims.aud.iter().filter(|audience| audiences.contains(&audience.as_str())).cloned().collect();
        if met.is_empty() {
            return Err("the token is for another audience");
        }
        check_bound(&claims.private, snapshot, now)?;
        Ok((Arc::new(user(claims)), met))
    }

    fn claims(&self, token: &str) -> Result<Claims, &'static str> {
        const MALFORMED: &str = "the token is malformed";
        if token.len() > TOKEN_BYTES_MAX {
            return Err(MALFORMED);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
        // The algorithm is the key's, not for the token to choose.
        if header.alg != "ES256" || header.kid != self.key_id {
            return Err("the token is signed with another key");
        }
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "the token's signature is not right")?;
        serde_json::from_slice(&decode(claims)?).map_err(|_| MALFORMED)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

fn new_key() -> Result<String, PkiError> {
    let subject = "the tokens' key";
    let key =
        rcgen::KeyPair::generate().map_err(|source| PkiError::Issue { subject: subject.into(), source })?;
    Ok(key.serialize_pem())
}

fn is_for_this_api(audiences: &[String]) -> bool {
    audiences.iter().all(|audience| audience == ISSUER)
}

/// The account, and what a token is bound to, must still be there.
fn check_bound(private: &Private, snapshot: &Snapshot, now: Timestamp) -> Result<(), &'static str> {
    // Something may hold back what has been deleted for long.
    let is_there = |kind, named: &Named| {
        let found = snapshot.get(&Key::new(kind, private.namespace.as_str(), named.name.as_str()));
        found.is_some_and(|found| {
            let ended = found.meta().deleted.and_then(|at| at.checked_add(DELETED_TIME).ok());
            found.meta().uid.as_ref() == named.uid && ended.is_none_or(|at| at >= now)
        })
    };
    if !is_there(Kind::ServiceAccount, &private.serviceaccount) {
        return Err("the token's service account is gone");
    }
    if private.secret.as_ref().is_some_and(|named| !is_there(Kind::Secret, named)) {
        return Err("the secret that the token is bound to is gone");
    }
    if private.pod.as_ref().is_some_and(|named| !is_there(Kind::Pod, named)) {
        return Err("the pod that the token is bound to is gone");
    }
    Ok(())
}

fn user(claims: Claims) -> User {
    let private = claims.private;
    let mut groups = User::account_groups(&private.namespace).to_vec();
    groups.push(AUTHENTICATED.to_owned());
    let key = |name: &str| format!("authentication.kubernetes.io/{name}");
    let mut extra = vec![(key("credential-id"), format!("JTI={}", claims.jti))];
    for (what, named) in [("node", private.node), ("pod", private.pod)] {
        if let Some(Named { name, uid }) = named {
            extra.extend([(key(&format!("{what}-name")), name), (key(&format!("{what}-uid")), uid)]);
        }
    }
    User { name: claims.sub, uid: private.serviceaccount.uid, groups, extra }
}

#[cfg(test)]
mod tests;
