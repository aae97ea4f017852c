//! The file that tells kubectl and every other client where the server is and who they are.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::pki::{ADMIN_USER, Pki};

/// The name of the context and the cluster in the file.
const CONTEXT: &str = "cronlet";

impl Pki {
    /// A kubeconfig for the administrator, complete in itself: certificates and key are part of the text, which is
    /// therefore as secret as the key. `server` is the server's URL: `https://127.0.0.1:7443`.
    pub fn kubeconfig(&self, server: &str) -> String {
        let authority = STANDARD.encode(&self.authority);
        let certificate = STANDARD.encode(&self.admin.certificate);
        let key = STANDARD.encode(&self.admin.key);
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: {CONTEXT}\n\
             \x20 cluster:\n\
             \x20   server: {server}\n\
             \x20   certificate-authority-data: {authority}\n\
             users:\n\
             - name: {ADMIN_USER}\n\
             \x20 user:\n\
             \x20   client-certificate-data: {certificate}\n\
             \x20   client-key-data: {key}\n\
             contexts:\n\
             - name: {CONTEXT}\n\
             \x20 context:\n\
             \x20   cluster: {CONTEXT}\n\
             \x20   user: {ADMIN_USER}\n\
             current-context: {CONTEXT}\n\
             preferences: {{}}\n"
        )
    }
}
