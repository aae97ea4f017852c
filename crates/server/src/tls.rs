//! TLS as the server speaks it: its own certificate, client certificates of its own authority, HTTP/2 or 1.1.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};
use thiserror::Error;

use crate::pki::Pki;

/// The certificates cannot be used for TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate or key is not PEM text.
    #[error("the server's certificates cannot be read: {0}")]
    Pem(#[from] pem::Error),
    /// The certificate or key is refused.
    #[error("the server's certificate cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
    /// Client certificates cannot be verified with the authority.
    #[error("the certificate authority cannot verify clients: {0}")]
    Authority(#[from] VerifierBuilderError),
}

/// How connections are secured. A client without a certificate is let in and stays anonymous.
///
/// # Errors
/// If the certificates do not fit together.
pub fn server_config(pki: &Pki) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.authority.as_bytes())?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let chain = vec![CertificateDer::from_pem_slice(pki.server.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(pki.server.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
