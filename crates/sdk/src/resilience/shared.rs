//! What guards have learnt, kept in a directory: it outlives the process, and other processes learn it too.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    WallClock, event,
    limits::{SHARED_BYTES_MAX, SHARED_LOCK_TRIES_MAX, SHARED_NAME_BYTES_MAX},
    sync,
};

/// The variable that names the directory.
const DIRECTORY_VARIABLE: &str = "CRONLET_STATE_DIR";
/// What a file begins and ends with: one that was not written to its end, or is another's, tells nothing.
const BEGIN: &str = "cronlet-state 1";
const END: &str = "end\n";

/// A directory where guards of a name keep what they know, for as long as it is there: a job that runs for seconds then
/// has the breaker and the rate of all runs before it, and shares them with those beside it.
///
/// The directory is on a volume that the runs share, on one machine: a claim, or a `hostPath`. Each guard has a small
/// file there, which is locked, read and written whenever the guard is asked (some tens of microseconds, blocking).
/// Nothing in it is worth a backup; it can be removed at any time.
///
/// If a file cannot be used, its guard goes on alone, with what it knows itself; [`fault`](SharedState::fault) says so,
/// and with the feature `tracing` an event does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// # let directory = tempfile::tempdir().unwrap();
/// use cronlet_sdk::resilience::{BreakerConfig, BreakerState, CircuitBreaker, SharedState, Window};
///
/// let shared = SharedState::in_directory(directory.path());
/// let config = BreakerConfig { window: Window::Count(2), ..BreakerConfig::default() };
/// let first = CircuitBreaker::new("stock", config).shared(&shared);
/// for _ in 0..2 {
///     let _: Result<(), _> = first.call(|| async { Err("refused") }).await;
/// }
/// // Another process, later:
/// let second = CircuitBreaker::new("stock", config).shared(&shared);
/// assert_eq!(second.state(), BreakerState::Open);
/// assert_eq!(shared.fault(), None);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SharedState {
    directory: PathBuf,
    clock: WallClock,
    fault: Arc<Mutex<Option<String>>>,
}

impl SharedState {
    /// Keeps state in this directory, which is made when it is needed.
    ///
    /// ```
    /// let shared = cronlet_sdk::resilience::SharedState::in_directory("/data/state");
    /// assert_eq!(shared.fault(), None);
    /// ```
    pub fn in_directory(directory: impl AsRef<Path>) -> SharedState {
        let directory = directory.as_ref().to_owned();
        SharedState { directory, clock: WallClock::system(), fault: Arc::default() }
    }

    /// The directory that `CRONLET_STATE_DIR` names, read through `variable`; nothing if it names none.
    ///
    /// ```
    /// use cronlet_sdk::resilience::SharedState;
    /// let shared = SharedState::from_environment(|name| std::env::var(name).ok());
    /// assert!(shared.is_none(), "nobody has set it here");
    /// ```
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<SharedState> {
        variable(DIRECTORY_VARIABLE).filter(|path| !path.is_empty()).map(SharedState::in_directory)
    }

    /// Goes by another clock, which all who use the directory have to share.
    ///
    /// ```
    /// use cronlet_sdk::{WallClock, resilience::SharedState};
    /// let shared = SharedState::in_directory("/data/state").clock(WallClock::system());
    /// # drop(shared);
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> SharedState {
        self.clock = clock;
        self
    }

    /// Why a guard had to go on alone when one was last asked; nothing if none had to.
    ///
    /// ```
    /// use cronlet_sdk::resilience::{BreakerConfig, CircuitBreaker, SharedState};
    /// let shared = SharedState::in_directory("/dev/null/no such directory");
    /// let breaker = CircuitBreaker::new("stock", BreakerConfig::default()).shared(&shared);
    /// assert!(breaker.state() == cronlet_sdk::resilience::BreakerState::Closed);
    /// assert!(shared.fault().is_some_and(|fault| fault.contains("keeps its state to itself")));
    /// ```
    pub fn fault(&self) -> Option<String> {
        sync::lock(&self.fault).clone()
    }

    fn set_fault(&self, fault: Option<String>) {
        let mut known = sync::lock(&self.fault);
        if let Some(fault) = fault.as_deref().filter(|fault| known.as_deref() != Some(fault)) {
            event::alone(fault);
        }
        *known = fault;
    }

    /// The file of a guard.
    pub(super) fn file(&self, kind: &'static str, name: &str) -> SharedFile {
        SharedFile { state: self.clone(), kind, name: name.to_owned() }
    }
}

/// The file of one guard.
#[derive(Debug)]
pub(super) struct SharedFile {
    state: SharedState,
    kind: &'static str,
    name: String,
}

/// A file that nobody else reads or writes until this is dropped, and what is in it.
#[derive(Debug)]
pub(super) struct Held<'a> {
    file: File,
    of: &'a SharedFile,
    now: Timestamp,
    known: Option<Known>,
}

/// What a guard knew when it was last asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// As the guard wrote it.
    pub(super) text: String,
    /// How long ago. A clock that was set back has not gone on.
    pub(super) age: Duration,
}

impl SharedFile {
    /// Locks and reads the file; nothing if that cannot be.
    pub(super) fn hold(&self) -> Option<Held<'_>> {
        match self.open() {
            Ok((file, now, known)) => Some(Held { file, of: self, now, known }),
            Err(error) => {
                self.tell(Some(error));
                None
            }
        }
    }

    fn open(&self) -> io::Result<(File, Timestamp, Option<Known>)> {
        let path = self.path()?;
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open().or_else(|_| {
            fs::create_dir_all(&self.state.directory)?;
            open()
        })?;
        lock(&file)?;
        // Now, not before: whoever had the lock may have had it for a while.
        let now = self.state.clock.now();
        let mut text = String::new();
        (&mut file).take(SHARED_BYTES_MAX).read_to_string(&mut text).or_else(|error| match error.kind() {
            // Not what a guard has written.
            io::ErrorKind::InvalidData => Ok(0),
            _ => Err(error),
        })?;
        Ok((file, now, read(&text, now)))
    }

    fn path(&self) -> io::Result<PathBuf> {
        let mut file_name = format!("{}-", self.kind);
        for byte in self.name.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => file_name.push(byte.into()),
                _ => file_name.push_str(&format!("%{byte:02X}")),
            }
        }
        if file_name.len() > SHARED_NAME_BYTES_MAX {
            let problem = format!("its name makes a file name of more than {SHARED_NAME_BYTES_MAX} bytes");
            return Err(io::Error::other(problem));
        }
        Ok(self.state.directory.join(file_name))
    }

    fn tell(&self, error: Option<io::Error>) {
        self.state.set_fault(error.map(|error| {
            let (kind, name, directory) = (self.kind, &self.name, self.state.directory.display());
            format!(
                "{kind} {name:?} keeps its state to itself: {directory}: {error}; give it a directory that this user may \
                 write to, in {DIRECTORY_VARIABLE} for instance"
            )
        }));
    }
}

impl Held<'_> {
    /// What the guard knew, if it had been asked before and that makes sense.
    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Writes down what the guard knows now, and lets go of the file.
    pub(super) fn keep(mut self, text: &str) {
        let whole = format!("{BEGIN}\nat {}\n{text}\n{END}", self.now.as_nanosecond());
        let written = self.file.rewind().and_then(|()| self.file.write_all(whole.as_bytes()));
        let cut = written.and_then(|()| self.file.set_len(u64::try_from(whole.len()).unwrap_or(u64::MAX)));
        self.of.tell(cut.err());
    }
}

/// Waits for the lock, but not for ever: whoever holds it may have been stopped.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..SHARED_LOCK_TRIES_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("another process has locked its file and does not go on"))
}

fn read(text: &str, now: Timestamp) -> Option<Known> {
    let text = text.strip_prefix(BEGIN)?.strip_prefix("\nat ")?.strip_suffix(END)?.strip_suffix('\n')?;
    let (at, text) = text.split_once('\n')?;
    let nanoseconds = now.as_nanosecond().saturating_sub(at.parse::<i128>().ok()?).max(0);
    let age = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    Some(Known { text: text.to_owned(), age })
}
