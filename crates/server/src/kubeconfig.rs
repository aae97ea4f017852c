//! The file that tells kubectl and every other client where the server is and who they are.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::pki::{ADMIN_USER, KeyedCertificate, Pki};

/// The name of the context and the cluster in the file.
const CONTEXT: &str = "cronlet";

impl Pki {
    /// A kubeconfig for the administrator, complete in itself: certificates and key are part of the text, which is
    /// therefore as secret as the key. `server` is the server's URL: `https://127.0.0.1:7443`.
    pub fn kubeconfig(&self, server: &str) -> String {
        kubeconfig(server, &self.authority, ADMIN_USER, &self.admin, None)
    }
}

/// A kubeconfig for a user with a certificate of the authority; `namespace` is the one of commands that name none.
pub fn kubeconfig(
    server: &str,
    authority: &str,
    user: &str,
    own: &KeyedCertificate,
    namespace: Option<&str>,
) -> String {
    let authority = STANDARD.encode(authority);
    let certificate = STANDARD.encode(&own.certificate);
    let key = STANDARD.encode(&own.key);
    // Quoted as JSON, which YAML reads: a user's name may be anything.
    let user = serde_json::Value::from(user);
    let namespace =
        namespace.map_or_else(String::new, |namespace| format!("\x20   namespace: {namespace:?}\n"));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: {CONTEXT}\n\
         \x20 cluster:\n\
         \x20   server: {server}\n\
         \x20   certificate-authority-data: {authority}\n\
         users:\n\
         - name: {user}\n\
         \x20 user:\n\
         \x20   client-certificate-data: {certificate}\n\
         \x20   client-key-data: {key}\n\
         contexts:\n\
         - name: {CONTEXT}\n\
         \x20 context:\n\
         \x20   cluster: {CONTEXT}\n\
         \x20   user: {user}\n\
         {namespace}\
         current-context: {CONTEXT}\n\
         preferences: {{}}\n"
    )
}
