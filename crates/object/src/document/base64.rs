//! Base64 as Go reads it in `data` of Secrets and `binaryData` of ConfigMaps.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Go minds the padding, but not stray bits in the last character before it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The canonical form of `text`: line breaks, which YAML block scalars bring along, are passed over.
pub(super) fn canonical(text: &str) -> Result<String, String> {
    let characters: Vec<u8> = text.bytes().filter(|byte| !is_break(*byte)).collect();
    match LENIENT.decode(&characters) {
        Ok(bytes) => Ok(LENIENT.encode(bytes)),
        Err(_) => Err(format!("illegal base64 data at input byte {}", fault(text.as_bytes()))),
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The place that Go names: the first character that cannot stand where it does, or the start of a last
/// group that is cut short.
fn fault(text: &[u8]) -> usize {
    let mut in_group = 0;
    let mut places = text.iter().enumerate().filter(|(_, byte)| !is_break(**byte));
    while let Some((at, &byte)) = places.next() {
        match byte {
            b'=' if in_group < 2 => return at,
            b'=' if in_group == 2 => {
                return match places.next() {
                    Some((_, b'=')) => places.next().map_or(text.len(), |(at, _)| at),
                    Some((at, _)) => at,
                    None => text.len(),
                };
            }
            b'=' => return places.next().map_or(text.len(), |(at, _)| at),
            b'+' | b'/' => in_group = (in_group + 1) % 4,
            byte if byte.is_ascii_alphanumeric() => in_group = (in_group + 1) % 4,
            _ => return at,
        }
    }
    text.len() - in_group
}
