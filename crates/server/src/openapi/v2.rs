//! The OpenAPI v2 document in protobuf, the only form of it that kubectl reads.
//!
//! Versions up to 1.28 refuse to create anything without it, later ones ask for it about kinds that are not served
//! here. Both want to know no more than which kinds have PATCH with `fieldValidation`. The field numbers are those of
//! gnostic's `openapi.v2.Document`.

use cronlet_object::{Descriptor, Kind};

use super::{QUERY_PARAMETERS, TITLE, VERSION, object_path};

/// Writes a protobuf message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Adds a field that holds text or another message. Its number is at most 15.
    fn with(mut self, number: u8, content: impl AsRef<[u8]>) -> Self {
        const LENGTH_DELIMITED: u8 = 2;
        let content = content.as_ref();
        self.0.push(number << 3 | LENGTH_DELIMITED);
        let mut length = content.len();
        while length > 0x7f {
            self.0.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(content);
        self
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The whole document.
pub(super) fn document() -> Vec<u8> {
    let info = Message::default().with(1, TITLE).with(2, VERSION);
    let paths = Kind::ALL.iter().map(|kind| kind.descriptor()).fold(Message::default(), |paths, d| {
        let item = Message::default().with(8, patch_operation(d));
        paths.with(2, Message::default().with(1, object_path(d)).with(2, item))
    });
    Message::default().with(1, "2.0").with(2, info).with(8, paths).0
}

fn patch_operation(d: &Descriptor) -> Message {
    let operation = QUERY_PARAMETERS.iter().fold(Message::default(), |operation, name| {
        let query = Message::default().with(2, "query").with(4, name).with(6, "string");
        let non_body = Message::default().with(3, query);
        let parameter = Message::default().with(2, non_body);
        operation.with(8, Message::default().with(1, parameter))
    });
    let yaml = format!("group: {:?}\nkind: {}\nversion: {}\n", d.group, d.kind, d.version);
    let extension = Message::default()
        .with(1, "x-kubernetes-group-version-kind")
        .with(2, Message::default().with(2, yaml));
    operation.with(13, extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_fields_have_lengths_of_several_bytes() {
        let short = Message::default().with(1, "ab");
        assert_eq!(short.0, [0x0a, 2, b'a', b'b']);
        let long = Message::default().with(15, "x".repeat(300));
        assert_eq!(long.0[..3], [0x7a, 0xac, 0x02]);
        assert_eq!(long.0.len(), 303);
    }
}
