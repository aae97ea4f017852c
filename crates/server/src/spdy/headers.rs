//! Blocks of headers: names and values, as one compressed text for all blocks of a connection's direction.

use flate2::{Decompress, FlushDecompress, Status};

use super::dictionary::DICTIONARY;
use crate::limits::{SPDY_HEADERS_BYTES_MAX, SPDY_HEADERS_MAX};

/// What the compressed text begins with: the method, that there is a dictionary, and that dictionary's checksum.
const HEAD_BYTES: usize = 6;
const DICTIONARY_ID: [u8; 4] = [0xe3, 0xc6, 0xa7, 0xc2];
/// Another such head: the fastest compression, which is none. The first two bytes are a multiple of 31.
const HEAD: [u8; HEAD_BYTES] = [0x78, 0x20, 0xe3, 0xc6, 0xa7, 0xc2];
/// A block of compressed text that holds nothing: after it all that came before can be read.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Names, in lower case, and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// The value of a header, by its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Reads what a block says: the number of headers, and for each the lengths and texts of name and value.
    fn decode(mut block: &[u8]) -> Option<Self> {
        let number = |block: &mut &[u8]| {
            let (number, rest) = block.split_first_chunk()?;
            *block = rest;
            usize::try_from(u32::from_be_bytes(*number)).ok()
        };
        let text = |block: &mut &[u8]| {
            let length = number(block)?;
            let (text, rest) = block.split_at_checked(length)?;
            *block = rest;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let count = number(&mut block).filter(|count| *count <= SPDY_HEADERS_MAX)?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            headers.push((text(&mut block)?.to_ascii_lowercase(), text(&mut block)?));
        }
        block.is_empty().then_some(Headers(headers))
    }
}

/// Reads the blocks of one direction.
#[derive(Debug)]
pub(super) struct Inflater {
    /// Of the text without its head.
    text: Decompress,
    /// What has come of the head.
    head: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        // The dictionary is what the text may refer to as if it had come before: so it does, as one block that is not
        // compressed. All decompressors can be told that way.
        let mut text = Decompress::new(false);
        let mut nowhere = Vec::with_capacity(DICTIONARY.len());
        let told =
            text.decompress_vec(&stored(DICTIONARY), &mut nowhere, FlushDecompress::Sync).map(|_| nowhere);
        debug_assert!(
            told.is_ok_and(|read| read == DICTIONARY),
            "a block that is not compressed can be read"
        );
        Inflater { text, head: Vec::new() }
    }

    /// Reads the next block; nothing if it is damaged or too large.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Option<Headers> {
        let missing = HEAD_BYTES - self.head.len();
        if missing > 0 {
            let (head, rest) = block.split_at_checked(missing)?;
            self.head.extend_from_slice(head);
            block = rest;
            let [method, flags, id @ ..] = *self.head.first_chunk::<HEAD_BYTES>()?;
            let is_whole = u16::from_be_bytes([method, flags]).is_multiple_of(31);
            if method & 0x0f != 8 || flags & 0x20 == 0 || !is_whole || id != DICTIONARY_ID {
                return None;
            }
        }
        // One byte more than there may be, so that there is always room for what there may be.
        let mut read = Vec::with_capacity(SPDY_HEADERS_BYTES_MAX + 1);
        let before = self.text.total_in();
        loop {
            let taken = usize::try_from(self.text.total_in() - before).ok()?;
            let (left, length) = (block.get(taken..)?, read.len());
            let status = self.text.decompress_vec(left, &mut read, FlushDecompress::Sync).ok()?;
            if read.len() > SPDY_HEADERS_BYTES_MAX || status == Status::StreamEnd {
                return None;
            }
            let taken_now = usize::try_from(self.text.total_in() - before).ok()?;
            if taken_now == block.len() && (read.len() == length || read.len() < read.capacity()) {
                return Headers::decode(&read);
            }
            if taken_now == taken && read.len() == length {
                return None;
            }
        }
    }
}

/// A compressed text's block that is not compressed, of less than 64 KiB.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("it is short");
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

/// A block without headers, the first of its direction or a later one.
pub(super) fn empty_block(is_first: bool) -> Vec<u8> {
    block(&[0; 4], is_first)
}

/// A block of headers that is not compressed.
fn block(content: &[u8], is_first: bool) -> Vec<u8> {
    let head: &[u8] = if is_first { &HEAD } else { &[] };
    [head, &stored(content), &FLUSH].concat()
}

#[cfg(test)]
pub(super) fn encode(headers: &Headers, is_first: bool) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut content = length(headers.0.len()).to_vec();
    for text in headers.0.iter().flat_map(|(name, value)| [name, value]) {
        content.extend(length(text.len()));
        content.extend(text.bytes());
    }
    block(&content, is_first)
}
