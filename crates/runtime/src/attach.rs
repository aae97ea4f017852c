//! Streams of a container that runs, as the server sees them.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{oneshot, watch},
    task::JoinSet,
};

use crate::{
    journal, limits,
    runtime::link,
    shim::attach::{
        ATTACHED, END_INPUT, ENDED, HEAD_BYTES, REFUSED, RESIZE, STDERR, STDIN, STDOUT, head, read_head,
    },
};

/// Whose streams are wanted.
#[derive(Clone, Debug)]
pub struct AttachRequest {
    /// UID of the pod.
    pub uid: String,
    /// Name of one of its containers.
    pub container: String,
    /// Whether there may be input. Its end is the end of the container's if that is to have one client only, and of the
    /// attachment otherwise.
    pub stdin: bool,
}

/// The streams of a container, from now on. It is let go of when [`Attachment::end`] is dropped.
#[derive(Debug)]
pub struct Attachment {
    /// To be written to; input ends when this is dropped.
    pub stdin: DuplexStream,
    /// To be read: what the container writes; with a terminal, all of it.
    pub stdout: DuplexStream,
    /// To be read: the container's errors.
    pub stderr: DuplexStream,
    /// The columns and rows of the terminal, if the container has one.
    pub size: watch::Sender<(u16, u16)>,
    /// When it is over.
    pub end: End,
}

/// Why nobody is attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The container does not run, or has enough clients. In the kubelet's words.
    #[error("{0}")]
    Refused(String),
    /// The pod's shim does not answer.
    #[error("cannot reach the container: {0}")]
    System(#[from] io::Error),
}

/// How an attachment ends.
#[derive(Debug)]
pub struct End {
    ended: oneshot::Receiver<()>,
    _tasks: JoinSet<()>,
}

impl End {
    /// Waits for the end. Whether it was that of the container or of the input; otherwise the shim was killed.
    pub async fn reached(&mut self) -> bool {
        (&mut self.ended).await.is_ok()
    }
}

/// Has the shim of a pod attach a client.
pub(crate) fn start(pod_dir: &Path, request: AttachRequest) -> Result<Attachment, AttachError> {
    let AttachRequest { container, stdin, .. } = request;
    let absent = || AttachError::Refused(format!("container not found ({container:?})"));
    let journal = match journal::Reader::open(pod_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
        opened => opened?,
    };
    let mut commands = link::commands(&journal)?.ok_or_else(absent)?;
    let place = Place::new(pod_dir)?;
    let command = format!("attach {container} {} {}\n", place.name, u8::from(stdin));
    match commands.write_all(command.as_bytes()) {
        // It has just ended.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(absent()),
        written => written?,
    }
    let socket = place.accept(&commands)?.ok_or_else(absent)?;
    socket.set_read_timeout(Some(limits::ATTACH_PATIENCE))?;
    match read_frame(&socket)? {
        (ATTACHED, _) => {}
        (REFUSED, why) => return Err(AttachError::Refused(String::from_utf8_lossy(&why).into_owned())),
        _ => return Err(io::Error::other("its shim says something else").into()),
    }
    socket.set_nonblocking(true)?;
    let (from, to) = UnixStream::from_std(socket)?.into_split();
    let (stdin, input) = duplex(limits::ATTACH_FRAME_BYTES_MAX);
    let (output, stdout) = duplex(limits::ATTACH_FRAME_BYTES_MAX);
    let (errors, stderr) = duplex(limits::ATTACH_FRAME_BYTES_MAX);
    let (size, sizes) = watch::channel((0, 0));
    let (end, ended) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Without that last word the receiver sees that there will be none.
        if let Ok(()) = hear(from, output, errors).await {
            let _ = end.send(());
        }
    });
    tasks.spawn(async move { drop(tell(to, input, sizes).await) });
    Ok(Attachment { stdin, stdout, stderr, size, end: End { ended, _tasks: tasks } })
}

/// A socket in the directory of a pod, at which its shim is waited for. Removed when dropped.
struct Place {
    listener: UnixListener,
    /// The path of a socket cannot be long; this is one through the descriptor of the directory.
    path: PathBuf,
    name: String,
    _dir: File,
}

impl Place {
    fn new(pod_dir: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("attach-{}-{number}", process::id());
        let dir = File::open(pod_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()));
        // What an earlier server with the same process ID left.
        let _ = fs::remove_file(&path);
        Ok(Place { listener: UnixListener::bind(&path)?, path, name, _dir: dir })
    }

    /// The shim that takes these commands; nothing if it has ended.
    fn accept(&self, commands: &File) -> io::Result<Option<StdStream>> {
        let patience = Timespec::try_from(limits::ATTACH_PATIENCE).expect("it is short");
        // That nobody reads any more is told whatever is asked for.
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(commands, PollFlags::empty())];
        if poll(&mut fds, Some(&patience))? == 0 {
            let why = "its shim does not answer: it may be of an earlier version, which attaches nobody";
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        if fds[0].revents().is_empty() {
            return Ok(None);
        }
        Ok(Some(self.listener.accept()?.0))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It goes with the pod otherwise.
        let _ = fs::remove_file(&self.path);
    }
}

fn read_frame(mut socket: &StdStream) -> io::Result<(u8, Vec<u8>)> {
    let mut bytes = [0; HEAD_BYTES];
    socket.read_exact(&mut bytes)?;
    let (channel, length) = read_head(bytes);
    let mut content = vec![0; length];
    socket.read_exact(&mut content)?;
    Ok((channel, content))
}

/// Hands on what the shim sends until it says that this is the end.
async fn hear(mut from: OwnedReadHalf, output: DuplexStream, errors: DuplexStream) -> io::Result<()> {
    let (mut output, mut errors) = (Some(output), Some(errors));
    let mut content = Vec::new();
    loop {
        let mut bytes = [0; HEAD_BYTES];
        from.read_exact(&mut bytes).await?;
        let (channel, length) = read_head(bytes);
        content.resize(length, 0);
        from.read_exact(&mut content).await?;
        let to = match channel {
            STDOUT => &mut output,
            STDERR => &mut errors,
            ENDED => return Ok(()),
            _ => continue,
        };
        if let Some(stream) = to
            && stream.write_all(&content).await.is_err()
        {
            // Nobody reads it any more.
            *to = None;
        }
    }
}

/// Sends the shim input and sizes until there will be none.
async fn tell(
    mut to: OwnedWriteHalf,
    mut input: DuplexStream,
    mut sizes: watch::Receiver<(u16, u16)>,
) -> io::Result<()> {
    let mut buffer = vec![0; limits::ATTACH_FRAME_BYTES_MAX];
    let (mut has_input, mut has_sizes) = (true, true);
    while has_input || has_sizes {
        tokio::select! {
            read = input.read(&mut buffer), if has_input => {
                let length = read?;
                has_input = length > 0;
                let channel = if has_input { STDIN } else { END_INPUT };
                to.write_all(&head(channel, length)).await?;
                to.write_all(&buffer[..length]).await?;
            }
            changed = sizes.changed(), if has_sizes => {
                has_sizes = changed.is_ok();
                if has_sizes {
                    let (columns, rows) = *sizes.borrow_and_update();
                    let size = [columns.to_be_bytes(), rows.to_be_bytes()].concat();
                    to.write_all(&head(RESIZE, size.len())).await?;
                    to.write_all(&size).await?;
                }
            }
        }
    }
    // The connection is the other task's, too.
    to.forget();
    Ok(())
}
