//! The process that runs one pod, on its own, so that pods outlive the server.
//!
//! It starts the pod's containers, restarts and ends them as [`crate::lifecycle`] says, writes their logs, and keeps
//! the journal. The server only watches: whatever it missed, it finds in the files. A shim that takes over from one
//! that died goes on from the journal.

pub(crate) mod attach;
mod call;
pub(crate) mod changes;
pub(crate) mod connect;
mod control;
mod enter;
pub(crate) mod exec;
mod external;
mod launch;
mod live;
mod pause;
pub(crate) mod storage;
mod supervisor;
pub(crate) mod terminal;

use std::{io, path::Path};

use self::supervisor::Supervisor;
use crate::{
    clock,
    journal::{self, Event},
    spec,
    status::SANDBOX_FAILED,
};

/// Why a shim cannot do its work.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    /// The journal does not begin with a specification.
    #[error("the journal does not say what to run")]
    Unspecified,
    /// The specification is of a version that this program does not know.
    #[error(
        "the pod is of version {0}, but this program knows versions {oldest} to {newest}",
        oldest = spec::VERSION_OLDEST,
        newest = spec::VERSION
    )]
    Version(u32),
    /// The pod cannot have its network.
    #[error("{SANDBOX_FAILED}: {0}")]
    Network(String),
    /// A system call failed without which there is no shim.
    #[error("cannot {step}: {source}")]
    System {
        /// What was tried.
        step: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Runs the pod whose directory is `pod_dir` to its end, with this process for its shim: one thread, and the pipe that
/// commands come from as its standard input. Returns the exit code of the process.
pub(crate) fn run(pod_dir: &Path) -> i32 {
    let opened = std::env::set_current_dir(pod_dir)
        .and_then(|()| std::env::current_dir())
        .and_then(|dir| Ok((journal::Writer::open(&dir)?, dir)));
    let (mut journal, records, dir) = match opened {
        Ok((Some((journal, records)), dir)) => (journal, records, dir),
        // Another shim was faster.
        Ok((None, _)) => return 0,
        // There is no place to say why.
        Err(_) => return 1,
    };
    match supervise(&dir, &mut journal, &records) {
        Ok(()) => 0,
        Err(error) => {
            journal.push(clock::now(), Event::GaveUp { message: error.to_string() });
            // If this cannot be written either, the end of the process says enough.
            let _ = journal.flush();
            1
        }
    }
}

fn supervise(
    dir: &Path,
    journal: &mut journal::Writer,
    records: &[journal::Record],
) -> Result<(), ShimError> {
    let pod = journal::specification(records).ok_or(ShimError::Unspecified)?;
    if !pod.is_understood() {
        return Err(ShimError::Version(pod.version));
    }
    Supervisor::new(dir, pod, journal, records)?.run()
}
