//! Layer archives decompressed: gzip, zstd or plain, told apart by their first bytes.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;

use crate::{Digest, digest::Hasher, limits::ZSTD_WINDOW_LOG2_BYTES_MAX};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 64 << 10;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

impl Compression {
    /// Reads the first bytes of an archive.
    pub fn of(archive: &mut impl Read) -> io::Result<Self> {
        let mut magic = Vec::new();
        archive.take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        Ok(Self::by_magic(&magic))
    }

    /// What it adds to the media type of a layer.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => "+gzip",
            Self::Zstd => "+zstd",
        }
    }

    fn by_magic(head: &[u8]) -> Self {
        if head.starts_with(GZIP_MAGIC) {
            Self::Gzip
        } else if head.starts_with(ZSTD_MAGIC) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }
}

/// The archive inside, whatever it is compressed with.
pub(crate) fn decompressed<'a>(archive: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = BufReader::with_capacity(BUFFER_BYTES, archive);
    Ok(match Compression::by_magic(head.fill_buf()?) {
        Compression::Plain => Box::new(head),
        Compression::Gzip => Box::new(MultiGzDecoder::new(head)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(head)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG2_BYTES_MAX)?;
            Box::new(decoder)
        }
    })
}

/// How many more bytes may be read; shared by the reader and whoever sets the bound.
#[derive(Clone, Default)]
pub(crate) struct Budget(Rc<Cell<u64>>);

impl Budget {
    pub fn set(&self, bytes: u64) {
        self.0.set(bytes);
    }
}

/// A reader that digests what it delivers, and refuses to deliver more than is budgeted.
pub(crate) struct Metered<R> {
    inner: R,
    hasher: Hasher,
    budget: Budget,
    bytes: u64,
    bytes_max: u64,
}

impl<R: Read> Metered<R> {
    /// A reader of at most `bytes_max` bytes in all, and of what the budget allows at any time.
    pub fn new(inner: R, budget: Budget, bytes_max: u64) -> Self {
        Self { inner, hasher: Hasher::default(), budget, bytes: 0, bytes_max }
    }

    /// Reads to the end and gives the digest and length of everything.
    pub fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.budget.set(u64::MAX);
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hasher.finish(), self.bytes))
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bytes += length as u64;
        if self.bytes > self.bytes_max {
            return Err(io::Error::other(format!("more than {} bytes once decompressed", self.bytes_max)));
        }
        let left = self.budget.0.get().checked_sub(length as u64);
        let left = left.ok_or_else(|| io::Error::other("names and attributes of an entry are too long"))?;
        self.budget.set(left);
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}
