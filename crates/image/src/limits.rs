//! Limits on what is read from registries and archives; every name ends in its unit.

/// Longest image name without tag and digest, in bytes; docker's own limit.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest tag, in bytes; docker's own limit.
pub const TAG_BYTES_MAX: usize = 128;

/// Largest manifest or index, in bytes; what registries accept (OCI distribution specification).
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Largest image configuration, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 8 << 20;
/// Most layers of one image; docker's own limit, and well below the kernel's 500 of an overlay mount.
pub const LAYERS_MAX: usize = 127;
/// Most entries of an index (platforms of one image).
pub const INDEX_ENTRIES_MAX: usize = 1024;

/// Most entries of one layer.
pub const LAYER_ENTRIES_MAX: u64 = 1_000_000;
/// Most bytes one layer may hold once decompressed, archive headers included.
pub const LAYER_BYTES_MAX: u64 = 64 << 30;
/// Most bytes of headers before one entry: long names and extended attributes are read into memory.
pub const ENTRY_HEADER_BYTES_MAX: u64 = 1 << 20;
/// Longest path in a layer, in bytes; the kernel's `PATH_MAX`.
pub const ENTRY_PATH_BYTES_MAX: usize = 4096;
/// Longest component of a path in a layer, in bytes; the kernel's `NAME_MAX`.
pub const ENTRY_NAME_BYTES_MAX: usize = 255;
/// Largest window a zstd frame may ask for, as a power of two of bytes (128 MiB, as `zstd -d` allows).
pub const ZSTD_WINDOW_LOG2_BYTES_MAX: u32 = 27;

/// Most entries of an archive of images.
pub const ARCHIVE_ENTRIES_MAX: u64 = 10_000;
/// Most bytes of an archive of images once decompressed.
pub const ARCHIVE_BYTES_MAX: u64 = 256 << 30;

/// Most symbolic links followed while one path is looked up through the layers, as the kernel's limit.
pub const SYMLINKS_MAX: usize = 40;
/// Most bytes read of `/etc/passwd` and `/etc/group` of an image, each.
pub const ACCOUNTS_BYTES_MAX: u64 = 1 << 20;
/// Largest index of names of a store, in bytes.
pub const NAMES_BYTES_MAX: u64 = 16 << 20;

/// Layers downloaded or uploaded at the same time.
pub const TRANSFERS_MAX: usize = 2;
/// Chunks of one download that wait to be written; a chunk is what the network delivers at once.
pub const DOWNLOAD_QUEUE_CHUNKS_MAX: usize = 64;
/// How many more connections a download is given when one breaks off, each of which must bring something.
pub const RESUMPTIONS_MAX: usize = 16;
/// Longest wait for a connection to a registry, in seconds.
pub const CONNECT_SECONDS_MAX: u64 = 30;
/// Longest silence of a registry in the middle of an answer, in seconds.
pub const SILENCE_SECONDS_MAX: u64 = 60;

/// First delay of an image pull back-off, in seconds (kubelet's `backOffPeriod`).
pub const BACK_OFF_SECONDS_MIN: u64 = 10;
/// Longest delay of an image pull back-off, in seconds (kubelet's `MaxContainerBackOff`).
pub const BACK_OFF_SECONDS_MAX: u64 = 300;
