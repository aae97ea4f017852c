//! Connections to the ports of pods, as the server sees them.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream},
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
};

use tokio::net::TcpStream;

use crate::{
    fork_server::ForkServer,
    journal, limits, processes,
    shim::connect::{Request, listen},
    state::State,
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No container of the pod runs.
    #[error("no container of the pod is running")]
    NotRunning,
    /// Nothing listens there, or it does not answer.
    #[error("failed to connect to localhost:{port} inside the pod's network, IPv4: {source}")]
    Refused {
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The network of the pod cannot be entered.
    #[error("cannot enter the pod's network: {0}")]
    System(#[from] io::Error),
}

/// Connects to a port of a pod. Waits for that, so it must be called where that is allowed; from within an async runtime.
pub(crate) fn start(server: &ForkServer, pod_dir: PathBuf, port: u16) -> Result<TcpStream, ConnectError> {
    let (container, pid) = running(&pod_dir).ok_or(ConnectError::NotRunning)?;
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
    let connection = if network(&pid.to_string())? == network("self")? {
        connect_local(port)
    } else {
        let (report, child_report) = UnixStream::pair()?;
        report.set_read_timeout(Some(2 * limits::CONNECT_PATIENCE))?;
        server.start_connect(&Request { pod_dir, container, port }, child_report.as_fd())?;
        drop(child_report);
        listen(&report).map(StdStream::from)
    };
    let connection = connection.map_err(|source| ConnectError::Refused { port, source })?;
    connection.set_nonblocking(true)?;
    Ok(TcpStream::from_std(connection)?)
}

/// Connects to a port of this process's own network, by IPv4 first.
pub(crate) fn connect_local(port: u16) -> io::Result<StdStream> {
    let to = |address: SocketAddr| StdStream::connect_timeout(&address, limits::CONNECT_PATIENCE);
    to((Ipv4Addr::LOCALHOST, port).into())
        .or_else(|error| to((Ipv6Addr::LOCALHOST, port).into()).map_err(|_| error))
}

/// A container that runs, and its process.
fn running(pod_dir: &Path) -> Option<(String, i32)> {
    let records = journal::Reader::open(pod_dir).and_then(|mut reader| reader.read()).ok()?;
    let pod = journal::specification(&records)?;
    let state = State::replay(&pod, &records);
    state.containers.iter().filter(|container| container.is_running()).find_map(|container| {
        let process = container.current.as_ref()?.process?;
        (processes::start_ticks(process.pid) == Some(process.ticks))
            .then(|| (container.name.clone(), process.pid))
    })
}
