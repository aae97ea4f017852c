//! The process that runs one pod: this program executed again, on its own, so that pods outlive the server.
//!
//! It starts the pod's containers, restarts and ends them as [`crate::lifecycle`] says, writes their logs, and keeps
//! the journal. The server only watches: whatever it missed, it finds in the files. A shim that takes over from one
//! that died goes on from the journal.

mod control;
mod launch;
mod live;
mod supervisor;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use self::{control::Control, supervisor::Supervisor};
use crate::{
    journal,
    spec::{self, Pod},
};

/// The first argument of a program that is executed as a shim. The second is the pod's directory.
pub const ARGUMENT: &str = "__shim";

/// Why a shim cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// The specification is not there, or cannot be understood.
    #[error("cannot read {path}: {source}", path = path.display())]
    Spec {
        /// The specification file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The specification is of a version that this program does not know.
    #[error("{path} has version {version}, but this program knows version {known}", path = path.display(), known = spec::VERSION)]
    Version {
        /// The specification file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A system call failed without which there is no shim.
    #[error("cannot {step}: {source}")]
    System {
        /// What was tried.
        step: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Turns this process into a shim if that is what it was executed for, and does not return then.
///
/// This must be the first statement of `main`: a shim has one thread and little memory.
pub fn main_if_requested() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ARGUMENT) {
        let code = arguments.next().map_or(2, run);
        std::process::exit(code);
    }
}

fn run(pod_dir: OsString) -> i32 {
    let mut control = Control::new();
    match open(Path::new(&pod_dir)).and_then(|supervisor| supervisor.run(&mut control)) {
        Ok(()) => 0,
        Err(error) => {
            control.fail(&error.to_string());
            1
        }
    }
}

fn open(pod_dir: &Path) -> Result<Supervisor, ShimError> {
    let system = |step| move |source| ShimError::System { step, source };
    std::env::set_current_dir(pod_dir).map_err(system("enter the pod's directory"))?;
    let dir = std::env::current_dir().map_err(system("name the pod's directory"))?;
    let pod = read_spec(&dir)?;
    let (journal, records) = journal::Writer::open(&dir).map_err(system("open the journal"))?;
    Supervisor::new(dir, pod, journal, &records)
}

fn read_spec(dir: &Path) -> Result<Pod, ShimError> {
    let path = dir.join(spec::FILE_NAME);
    let parsed = fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Pod>(&text)?));
    match parsed {
        Ok(pod) if pod.version == spec::VERSION => Ok(pod),
        Ok(pod) => Err(ShimError::Version { path, version: pod.version }),
        Err(source) => Err(ShimError::Spec { path, source }),
    }
}
