//! The certificates of a node: its own authority, the server's certificate and the administrator's.
//!
//! They are made on the first start and kept in a directory only the node's user can read. Clients trust the authority
//! by its copy in their kubeconfig, so it outlives everything else; the two certificates it signs are replaced
//! whenever they no longer fit.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use thiserror::Error;

mod inspect;

use inspect::Inspected;

/// How long a new certificate is valid. A node may run for years without a restart, at which certificates are renewed.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// A certificate that is valid for less than this is replaced.
const VALIDITY_LEFT_MIN: Duration = Duration::from_secs(365 * 24 * 3600);
/// How far before now validity begins, for clients whose clock is behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The user that the administrator's certificate names.
pub const ADMIN_USER: &str = "kubernetes-admin";
/// The group that the administrator's certificate names.
pub const ADMIN_GROUP: &str = "system:masters";

/// A certificate and its private key, both as PEM text.
#[derive(Clone)]
pub struct KeyedCertificate {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// The certificates of a node.
#[derive(Clone)]
pub struct Pki {
    /// The authority's certificate as PEM text: what clients trust.
    pub authority: String,
    /// What the server shows its clients.
    pub server: KeyedCertificate,
    /// What the administrator's client shows the server.
    pub admin: KeyedCertificate,
}

/// The certificates could not be read or made.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A file or the directory cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The authority's files are there but cannot be used.
    #[error(
        "the certificate authority {} cannot be used: {why}; restore both it and ca.key from a backup, or remove the \
         directory to make a new authority (every kubeconfig then has to be written anew)",
        path.display()
    )]
    Authority {
        /// The file of the certificate.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key that signs tokens is there but cannot be used.
    #[error(
        "the key of service account tokens {} is damaged; restore it from a backup, or remove it to make a new one \
         (all tokens then have to be issued anew)",
        path.display()
    )]
    TokenKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("cannot make the certificate of {subject}: {source}")]
    Issue {
        /// Whom the certificate is for.
        subject: String,
        /// Why it failed.
        source: rcgen::Error,
    },
}

/// The names and addresses under which clients on this machine reach a server that listens on `listen`.
pub fn server_names(hostname: &str, listen: IpAddr) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec();
    if !hostname.is_empty() && hostname.is_ascii() {
        names.push(hostname.to_ascii_lowercase());
    }
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    names.sort();
    names.dedup();
    names
}

/// A certificate to be issued.
struct Request<'a> {
    subject: &'a str,
    file: &'static str,
    organization: Option<&'a str>,
    names: &'a [String],
    usage: ExtendedKeyUsagePurpose,
}

struct Authority {
    certificate: String,
    key: KeyPair,
}

impl Pki {
    /// Reads the certificates in a directory, and makes those that are missing, about to expire or no longer fitting.
    /// `server_names` are the host names and IP addresses the server's certificate is for.
    ///
    /// # Errors
    /// If the directory cannot be read or written, or holds an authority that cannot be used.
    pub fn open(dir: &Path, server_names: &[String], now: Timestamp) -> Result<Pki, PkiError> {
        create_private_dir(dir)?;
        let authority = match Authority::load(dir, now)? {
            Some(authority) => authority,
            None => Authority::create(Some(dir), now)?,
        };
        Pki::issue(&authority, Some(dir), server_names, now)
    }

    /// Makes certificates that are kept in memory only.
    ///
    /// # Errors
    /// If one of the names cannot stand in a certificate.
    pub fn ephemeral(server_names: &[String], now: Timestamp) -> Result<Pki, PkiError> {
        Pki::issue(&Authority::create(None, now)?, None, server_names, now)
    }

    /// A certificate of the authority in a directory for a user, and the authority's own. Nothing of it is kept.
    ///
    /// # Errors
    /// If there is no authority in the directory, or it cannot be used.
    pub fn issue_user(
        dir: &Path,
        user: &str,
        now: Timestamp,
    ) -> Result<(KeyedCertificate, String), PkiError> {
        let path = dir.join("ca.crt");
        let missing = || PkiError::Authority { path, why: "there is none yet".to_owned() };
        let authority = Authority::load(dir, now)?.ok_or_else(missing)?;
        let request = Request {
            subject: user,
            file: "",
            organization: None,
            names: &[],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        };
        Ok((authority.sign(&request, now)?, authority.certificate))
    }

    /// Writes the administrator's kubeconfig to a file that only this user can read; what was there is replaced.
    /// `server` is the server's URL: `https://127.0.0.1:7443`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, server: &str) -> Result<(), PkiError> {
        write(path, &self.kubeconfig(server), 0o600)
    }

    fn issue(
        authority: &Authority,
        dir: Option<&Path>,
        server_names: &[String],
        now: Timestamp,
    ) -> Result<Pki, PkiError> {
        let server = Request {
            subject: "cronlet",
            file: "server",
            organization: None,
            names: server_names,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        };
        let admin = Request {
            subject: ADMIN_USER,
            file: "admin",
            organization: Some(ADMIN_GROUP),
            names: &[],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        };
        Ok(Pki {
            authority: authority.certificate.clone(),
            server: authority.certify(&server, dir, now)?,
            admin: authority.certify(&admin, dir, now)?,
        })
    }
}

impl Authority {
    /// The authority in a directory; none if there is none, or if it is no longer valid.
    fn load(dir: &Path, now: Timestamp) -> Result<Option<Self>, PkiError> {
        let path = dir.join("ca.crt");
        let refuse = |why: &str| PkiError::Authority { path: path.clone(), why: why.to_owned() };
        let Some(certificate) = read(&path)? else { return Ok(None) };
        let key = read(&dir.join("ca.key"))?.ok_or_else(|| refuse("its private key ca.key is missing"))?;
        let key = KeyPair::from_pem(&key).map_err(|_| refuse("its private key ca.key is damaged"))?;
        let inspected = Inspected::new(&certificate).ok_or_else(|| refuse("it is damaged"))?;
        if inspected.public_key != key.public_key_raw() {
            return Err(refuse("ca.key is not its private key"));
        }
        if !inspected.is_valid(now, VALIDITY_LEFT_MIN) {
            tracing::warn!(file = %path.display(), "the certificate authority has expired and is replaced");
            return Ok(None);
        }
        Ok(Some(Authority { certificate, key }))
    }

    fn create(dir: Option<&Path>, now: Timestamp) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Issue { subject: "the authority".to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = validity(CertificateParams::default(), now);
        params.distinguished_name = name("cronlet-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        if let Some(dir) = dir {
            // The key first: a certificate without a key is refused, a key without a certificate is overwritten.
            write(&dir.join("ca.key"), &key.serialize_pem(), 0o600)?;
            write(&dir.join("ca.crt"), &certificate, 0o644)?;
        }
        Ok(Authority { certificate, key })
    }

    /// The certificate in the directory if it still fits the request, else a new one.
    fn certify(
        &self,
        request: &Request<'_>,
        dir: Option<&Path>,
        now: Timestamp,
    ) -> Result<KeyedCertificate, PkiError> {
        let Some(dir) = dir else { return self.sign(request, now) };
        let (certificate_file, key_file) =
            (dir.join(format!("{}.crt", request.file)), dir.join(format!("{}.key", request.file)));
        if let (Some(certificate), Some(key)) = (read(&certificate_file)?, read(&key_file)?) {
            let stored = KeyedCertificate { certificate, key };
            if self.still_fits(&stored, request, now) {
                return Ok(stored);
            }
            tracing::info!(file = %certificate_file.display(), "the certificate no longer fits and is replaced");
        }
        let fresh = self.sign(request, now)?;
        write(&key_file, &fresh.key, 0o600)?;
        write(&certificate_file, &fresh.certificate, 0o644)?;
        Ok(fresh)
    }

    fn still_fits(&self, stored: &KeyedCertificate, request: &Request<'_>, now: Timestamp) -> bool {
        let Some(inspected) = Inspected::new(&stored.certificate) else { return false };
        let Ok(key) = KeyPair::from_pem(&stored.key) else { return false };
        inspected.public_key == key.public_key_raw()
            && inspected.is_signed_by(&self.certificate)
            && inspected.is_valid(now, VALIDITY_LEFT_MIN)
            && inspected.names == request.names
    }

    fn sign(&self, request: &Request<'_>, now: Timestamp) -> Result<KeyedCertificate, PkiError> {
        let failed = |source| PkiError::Issue { subject: request.subject.to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = validity(CertificateParams::new(request.names).map_err(failed)?, now);
        params.distinguished_name = name(request.subject, request.organization);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![request.usage.clone()];
        // Strict verifiers, Python's among them, want to see which key signed.
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, &self.key).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.pem();
        Ok(KeyedCertificate { certificate, key: key.serialize_pem() })
    }
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common);
    name
}

fn validity(mut params: CertificateParams, now: Timestamp) -> CertificateParams {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + VALIDITY;
    params
}

fn create_private_dir(dir: &Path) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { action: "create the directory", path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    // It may have existed with other permissions.
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)
}

pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Bytes that are not text are damage, which the caller finds when parsing.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
        Err(source) => Err(PkiError::File { action: "read", path: path.to_owned(), source }),
    }
}

/// Replaces a file as a whole: a crash leaves the old content or the new.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { action: "write", path: path.to_owned(), source };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.cronlet-new"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

#[cfg(test)]
mod tests;
