//! The bounds of this crate, each with its unit in its name.

use std::time::Duration;

use jiff::SignedDuration;

/// When a container's log file is rotated, in bytes (the kubelet's `containerLogMaxSize`).
pub const LOG_FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// How many log files a container keeps, the current one included (the kubelet's `containerLogMaxFiles`).
pub const LOG_FILES_MAX: usize = 5;

/// How much of one line a log record holds; longer lines are split (containerd's `max_container_log_line_size`).
pub const LOG_LINE_BYTES_MAX: usize = 16 * 1024;

/// How many bytes a file name may have.
pub const FILE_NAME_BYTES_MAX: usize = 255;

/// How long a path may be, in bytes (the kernel's `PATH_MAX`).
pub const PATH_MAX_BYTES: usize = 4096;

/// How much is read from a container's output at once, in bytes.
pub const OUTPUT_READ_BYTES: usize = 64 * 1024;

/// How much of a log is handed to its reader at once, in bytes.
pub const LOG_READ_BYTES: usize = 64 * 1024;

/// How long a container's termination message may be, in bytes (upstream's bound).
pub const TERMINATION_MESSAGE_BYTES_MAX: usize = 4096;

/// How much a container may write to its termination message, of which the end counts, in bytes.
pub const TERMINATION_FILE_BYTES_MAX: u64 = 64 * 1024;

/// How long the termination messages of a pod may be together, in bytes (upstream's bound).
pub const TERMINATION_MESSAGES_BYTES_MAX: usize = 12 * 1024;

/// How much of the log stands in for a missing termination message, in lines and bytes (upstream's bounds).
pub const TERMINATION_LOG_LINES_MAX: usize = 80;
/// See [`TERMINATION_LOG_LINES_MAX`].
pub const TERMINATION_LOG_BYTES_MAX: usize = 2048;

/// How long one record of a journal may be, in bytes: a pod whose environment is made of many large ConfigMaps fits.
pub const JOURNAL_RECORD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The first delay before a crashed container is restarted again, in seconds (upstream's).
pub const RESTART_DELAY_FIRST_SECONDS: i64 = 10;

/// The longest delay before a crashed container is restarted again, in seconds (upstream's).
pub const RESTART_DELAY_MAX_SECONDS: i64 = 300;

/// After a container has not crashed for so long its delays start over, in seconds (upstream's).
pub const RESTART_DELAY_FORGOTTEN_SECONDS: i64 = 2 * RESTART_DELAY_MAX_SECONDS;

/// The first delay before volumes that could not be mounted are tried again, in milliseconds (upstream's).
pub const MOUNT_DELAY_FIRST_MILLIS: i64 = 500;

/// The longest delay before volumes that could not be mounted are tried again, in milliseconds (upstream's).
pub const MOUNT_DELAY_MAX_MILLIS: i64 = 122_000;

/// The least time a container has between SIGTERM and SIGKILL, in seconds (the kubelet's).
pub const GRACE_SECONDS_MIN: i64 = 2;

/// How long to wait for the end of processes that a container left behind and that were killed, and for the end of
/// its output. Only a process that the kernel cannot end takes longer.
pub const LEFTOVERS_WAIT: Duration = Duration::from_secs(10);

/// How soon a shim looks again for what a container left behind whose end nobody tells it: that of a pod whose
/// containers share their processes.
pub const LEFTOVERS_LOOK: Duration = Duration::from_millis(20);

/// How large the shared memory of a pod may grow, in bytes (the runtimes' default).
pub const SHARED_MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The longest sleep of a shim that has an appointment: wall time may step.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// How many bytes of one command a shim reads.
pub const COMMAND_BYTES_MAX: usize = 1024;

/// How much of the reason of an eviction a shim is told, in bytes: a command has to hold it.
pub const EVICTION_MESSAGE_BYTES_MAX: usize = 960;

/// How long after one look at the node's disk the next is, while pods run: the kubelet's housekeeping.
pub const DISK_LOOK: Duration = Duration::from_secs(10);

/// How many entries a directory may have that a missing mount point is added to.
pub const MIRROR_ENTRIES_MAX: usize = 1024;

/// How many bytes may be written directly into a directory that a mount point was added to.
pub const MIRROR_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much a volume made of API objects may hold, in bytes: the largest Secret or ConfigMap is 1 MiB.
pub const PROJECTED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long the kernel may take to answer a request about networks, in seconds; it answers at once.
pub const NETLINK_SECONDS_MAX: u64 = 10;
/// How much the kernel is told at once about networks, in bytes: some ten thousand ports of pods.
pub const NETLINK_SEND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long one answer of the kernel about networks may be, in bytes (its own bound).
pub const NETLINK_RECEIVE_BYTES_MAX: usize = 32 * 1024;

/// How long a pod's host name may be, in bytes: longer ones are cut (upstream's bound).
pub const HOSTNAME_BYTES_MAX: usize = 63;
/// How long it may be together with its domain for the kernel to have it, in bytes (the kernel's bound).
pub const KERNEL_HOSTNAME_BYTES_MAX: usize = 64;

/// How many servers a pod's `/etc/resolv.conf` names (upstream's bound).
pub const DNS_SERVERS_MAX: usize = 3;
/// How many domains it searches (upstream's bound).
pub const DNS_SEARCHES_MAX: usize = 32;
/// How long these domains may be together, in bytes (upstream's bound).
pub const DNS_SEARCH_BYTES_MAX: usize = 2048;
/// How long one of them may be, in bytes (upstream's bound).
pub const DNS_NAME_BYTES_MAX: usize = 253;

/// How many images are pulled at once.
pub const PULLS_MAX: usize = 3;

/// How many pods may run at once unless the configuration says otherwise.
pub const PODS_MAX: usize = 2000;

/// How many threads start and observe pods.
pub const WORKERS_MAX: usize = 8;

/// How many pod events are taken from the kernel at once.
pub const POLL_EVENTS_MAX: usize = 256;

/// How often the same complaint of a probe is written down, in seconds: each goes into the journal.
pub const COMPLAINT_SECONDS: i64 = 60;
/// How often another complaint of the same probe is, in seconds: some never say the same twice.
pub const COMPLAINT_CHANGE_SECONDS: i64 = 10;
/// How much of a complaint is written down, in bytes.
pub const COMPLAINT_BYTES_MAX: usize = 1024;

/// How much is kept of what a probe or a hook hears, in bytes (the kubelet's).
pub const CALL_OUTPUT_BYTES_MAX: usize = 10 * 1024;

/// How many redirections a probe over HTTP follows (the kubelet's).
pub const CALL_REDIRECTS_MAX: usize = 10;

/// How much longer than its own time a call over the network is waited for before its process is ended.
pub const CALL_PATIENCE: Duration = Duration::from_secs(1);

/// How long a program that a probe or a hook executes may take to be executed.
pub const CALL_START_PATIENCE: Duration = Duration::from_secs(5);

/// How long a hook that makes an HTTP request may wait for the answer, in seconds.
pub const HOOK_HTTP_SECONDS_MAX: u32 = 60;

/// How long after a pod's start it is first measured what it keeps on the disk; the pause doubles from time to time.
pub const STORAGE_PAUSE_FIRST: SignedDuration = SignedDuration::from_secs(1);

/// The longest pause between such measurements (the kubelet's).
pub const STORAGE_PAUSE_MAX: SignedDuration = SignedDuration::from_secs(10);

/// How deeply the directories of a volume may be nested that is given to a group.
pub const VOLUME_DEPTH_MAX: usize = 200;

/// How long a request to the process that forks shims may be, in bytes: a program with its arguments fits.
pub const FORK_REQUEST_BYTES_MAX: usize = 128 * 1024;

/// How long the parent of a program in a container may take to start it.
pub const EXEC_START_PATIENCE: Duration = Duration::from_secs(30);

/// How many clients may be attached to the containers of one pod at once.
pub const ATTACHED_MAX: usize = 16;

/// How much output waits for a client that is attached, in bytes. What comes then is left out for it: no client holds a
/// container up.
pub const ATTACH_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// How much output or input goes to or comes from a client at once, in bytes; less than 64 KiB.
pub const ATTACH_FRAME_BYTES_MAX: usize = 32 * 1024;

/// How long a shim may take to answer who wants to be attached.
pub const ATTACH_PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection to a pod's port may take.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a shim waits at the end of its pod for clients to take what is left for them.
pub const ATTACH_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// How large a profile for system calls may be, in bytes; the longest in use have some 20 KiB.
pub const SECCOMP_PROFILE_BYTES_MAX: u64 = 1024 * 1024;

/// How long an OCI runtime may take to make, start or remove a container before it is ended.
pub const RUNTIME_PATIENCE: Duration = Duration::from_secs(60);
/// How much of an OCI runtime's log is read for what went wrong, in bytes.
pub const RUNTIME_LOG_BYTES_MAX: u64 = 64 * 1024;

const _: () = assert!(ATTACH_FRAME_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(PATH_MAX_BYTES < FORK_REQUEST_BYTES_MAX);

/// How old a service account token in a volume becomes at most, in seconds (the kubelet's bound).
pub const TOKEN_AGE_SECONDS_MAX: i64 = 24 * 3600;
