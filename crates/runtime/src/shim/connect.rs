//! A connection to a port of a pod that has a network of its own: made there by a process of its own, and handed over.

use std::{
    io::{self, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

use rustix::{
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Pid, PidfdFlags, pidfd_open, setsid},
};
use serde::{Deserialize, Serialize};

use super::{enter, exec, launch};
use crate::{connect::connect_local, processes};

/// Where to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) pod_dir: PathBuf,
    /// A container that runs.
    pub(crate) container: String,
    pub(crate) port: u16,
}

/// Makes a connection and hands it over. Returns the exit code of this process, which has one thread.
pub(crate) fn run(request: &Request, report: OwnedFd) -> i32 {
    let mut report = UnixStream::from(report);
    // Interrupts of the terminal that the server was started from are not for it.
    let _ = setsid();
    match connect(request) {
        Ok(connection) => i32::from(launch::tell_files(&report, &[&connection.into()]).is_err()),
        Err(why) => {
            // If nobody hears it, nobody wants to.
            let _ = report.write_all(why.as_bytes());
            1
        }
    }
}

fn connect(request: &Request) -> Result<OwnedFd, String> {
    let words = |error: io::Error| launch::words(&error);
    let (_, process) = exec::find(&request.pod_dir, &request.container)?;
    let pid = Pid::from_raw(process.pid).ok_or("the container has ended")?;
    let held = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| words(error.into()))?;
    if processes::start_ticks(process.pid) != Some(process.ticks) {
        return Err("the container has ended".to_owned());
    }
    enter::join(process.pid, held.as_fd()).map_err(words)?;
    connect_local(request.port).map(OwnedFd::from).map_err(words)
}

/// Waits for the connection, or why there is none.
pub(crate) fn listen(mut report: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0];
    let received =
        recvmsg(report, &mut [IoSliceMut::new(&mut first)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let connection = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    if let Some(connection) = connection {
        return Ok(connection);
    }
    let mut why = first[..received.bytes].to_vec();
    report.read_to_end(&mut why)?;
    Err(match String::from_utf8_lossy(&why) {
        why if why.is_empty() => io::Error::other("the process that was to connect has ended"),
        why => io::Error::other(why.into_owned()),
    })
}
