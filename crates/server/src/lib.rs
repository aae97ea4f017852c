//! The Kubernetes API over HTTPS: what kubectl and every other client talk to.
//!
//! An [`Api`] answers requests from a [`Store`](cronlet_store::Store): its [`Api::router`] is a service that needs no
//! socket, and [`serve`] puts it behind TLS. Requests become transactions, answers are cut from snapshots; the rules
//! for what may be written are `cronlet-object`'s. Which paths, parameters and media types there are: `docs/api.md`.

mod api;
mod audit;
mod authn;
mod authz;
mod body;
mod discovery;
mod document;
mod exec;
mod filter;
mod kubeconfig;
pub mod limits;
mod log;
mod metrics;
mod negotiate;
mod openapi;
mod page;
mod path;
mod pki;
mod port_forward;
mod query;
mod render;
mod reply;
mod review;
mod router;
mod serve;
mod spdy;
mod tls;
mod token;
mod upgrade;
mod verb;

pub use api::{Api, Pods, Version};
pub use audit::AuditLog;
pub use authn::{Identity, User};
pub use exec::{AttachRequest, ExecRequest, PodAttach, PodExec, Session};
pub use kubeconfig::kubeconfig;
pub use log::{LogRequest, LogStream, PodLogs};
pub use metrics::{Gauge, Usage, Used};
pub use pki::{KeyedCertificate, Pki, PkiError, server_names};
pub use port_forward::{ConnectRequest, PodConnect, PodConnection};
pub use serve::serve;
pub use tls::{TlsError, server_config};
pub use token::{Bound, ISSUER, Token, TokenSpec, Tokens};
