//! Who is asking: the subject of the client's certificate, or nobody.

use std::sync::Arc;

use cronlet_object::rbac::AUTHENTICATED;
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// An authenticated client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name: the certificate's common name, or `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// The UID of a service account; empty for others.
    pub uid: String,
    /// The user's groups: the certificate's organizations or those of all service accounts, and `system:authenticated`.
    pub groups: Vec<String>,
    /// What else is known of a service account: the pod that its token is for.
    pub extra: Vec<(String, String)>,
}

/// Who sends a request. Without this extension a request is anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Nobody known: may ask for health and version only.
    #[default]
    Anonymous,
    /// Somebody known: may do what their roles allow.
    User(Arc<User>),
}

impl Identity {
    /// A known user.
    pub fn user(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain([AUTHENTICATED]).map(str::to_owned).collect();
        Identity::User(Arc::new(User {
            name: name.to_owned(),
            uid: String::new(),
            groups,
            extra: Vec::new(),
        }))
    }

    /// The subject of a certificate that the handshake has verified. A certificate without a common name names nobody.
    pub(crate) fn of_certificate(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Identity::Anonymous };
        let subject = certificate.subject();
        let Some(name) = subject.iter_common_name().find_map(|name| name.as_str().ok()) else {
            return Identity::Anonymous;
        };
        let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
        Identity::user(name, &groups)
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject as _;

    use super::*;
    use crate::pki::Pki;

    #[test]
    fn the_administrator_is_known_by_certificate() {
        let pki = Pki::ephemeral(&["localhost".to_owned()], "2026-11-23T02:00:00Z".parse().unwrap()).unwrap();
        let der = CertificateDer::from_pem_slice(pki.admin.certificate.as_bytes()).unwrap();
        assert_eq!(Identity::of_certificate(&der), Identity::user("kubernetes-admin", &["system:masters"]));
        assert_eq!(Identity::of_certificate(&CertificateDer::from(vec![1, 2, 3])), Identity::Anonymous);
    }
}
