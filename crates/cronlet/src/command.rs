//! What each word on the command line does.

pub mod apply;
mod attempts;
pub mod completion;
pub mod delete;
pub mod describe;
pub mod exec;
pub mod get;
pub mod image;
pub mod kubeconfig;
pub mod logs;
pub mod next;
pub mod run;
pub mod simulate;
pub mod up;
pub mod version;

use std::future::Future;

/// Runs one command's future to its end on this thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
