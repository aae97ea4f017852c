//! What names an object: its kind, namespace and name.

use std::{cmp::Ordering, fmt, sync::Arc};

use crate::Kind;

/// Names one object. Ordered by kind, then as the bytes of `namespace/name`, which is the order of lists.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The object's kind.
    pub kind: Kind,
    /// The object's namespace; empty for kinds without one.
    pub namespace: Arc<str>,
    /// The object's name; unique within kind and namespace.
    pub name: Arc<str>,
}

impl Key {
    /// A key of its parts. `namespace` is empty for kinds without one.
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Key { kind, namespace: namespace.into(), name: name.into() }
    }

    fn path_bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.namespace.bytes().chain([b'/']).chain(self.name.bytes())
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.kind.cmp(&other.kind).then_with(|| {
            if self.namespace == other.namespace {
                self.name.cmp(&other.name)
            } else {
                self.path_bytes().cmp(other.path_bytes())
            }
        })
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_the_bytes_of_namespace_and_name() {
        let key = |ns: &str, name: &str| Key::new(Kind::Job, ns, name);
        // `-` sorts before `/`, so a longer namespace may come first.
        assert!(key("a-b", "x") < key("a", "x"));
        assert!(key("a", "x") < key("a", "y"));
        assert!(Key::new(Kind::Node, "", "z") < key("a", "x"));
    }
}
