//! What a certificate says.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

/// The parts of a certificate that decide whether it still fits.
pub(super) struct Inspected {
    der: CertificateDer<'static>,
    pub(super) public_key: Vec<u8>,
    /// Host names and addresses, sorted.
    pub(super) names: Vec<String>,
    not_before: i64,
    not_after: i64,
}

impl Inspected {
    /// Reads a certificate from PEM text; none if it is damaged.
    pub(super) fn new(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let public_key = certificate.public_key().subject_public_key.data.to_vec();
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let names = names(&certificate);
        Some(Inspected { der, public_key, names, not_before, not_after })
    }

    /// Whether it is valid now and for at least `left`.
    pub(super) fn is_valid(&self, now: Timestamp, left: Duration) -> bool {
        let left = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        self.not_before <= now.as_second() && now.as_second().saturating_add(left) <= self.not_after
    }

    /// Whether the holder of the other certificate has signed it.
    pub(super) fn is_signed_by(&self, authority_pem: &str) -> bool {
        let Some(authority) = Inspected::new(authority_pem) else { return false };
        match (X509Certificate::from_der(&self.der), X509Certificate::from_der(&authority.der)) {
            (Ok((_, signed)), Ok((_, authority))) => {
                signed.verify_signature(Some(authority.public_key())).is_ok()
            }
            _ => false,
        }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    let mut names: Vec<String> = extension.value.general_names.iter().filter_map(text).collect();
    names.sort();
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
