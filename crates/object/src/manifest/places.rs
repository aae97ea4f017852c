//! Where in a text the parts of an object stand.

use std::collections::BTreeMap;

use super::Span;

/// A value's place, and those of what it contains.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The key before the value, for an entry of a map.
    pub(super) key: Option<Span>,
    /// The value; of a map or list its first character.
    pub(super) value: Span,
    pub(super) children: Children,
}

#[derive(Clone, Debug)]
pub(super) enum Children {
    None,
    Map(BTreeMap<String, Node>),
    List(Vec<Node>),
}

impl Node {
    /// The node at `path`, or the last one on the way there and `false`.
    ///
    /// A path does not tell a point in a key from the point before a key
    /// (`metadata.annotations.example.com/x`), so the longest key that fits is taken.
    pub(super) fn find(&self, path: &str) -> (&Node, bool) {
        let path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return (self, true);
        }
        let next = match &self.children {
            Children::None => None,
            Children::List(elements) => element_at(elements, path),
            Children::Map(entries) => entry_at(entries, path),
        };
        match next {
            Some((node, rest)) => node.find(rest),
            None => (self, false),
        }
    }

    /// The elements of the list at `key`.
    pub(super) fn into_elements_of(self, key: &str) -> Vec<Node> {
        let Children::Map(mut entries) = self.children else { return Vec::new() };
        match entries.remove(key).map(|list| list.children) {
            Some(Children::List(elements)) => elements,
            _ => Vec::new(),
        }
    }
}

fn element_at<'a, 'p>(elements: &'a [Node], path: &'p str) -> Option<(&'a Node, &'p str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((elements.get(index.parse::<usize>().ok()?)?, rest))
}

fn entry_at<'a, 'p>(entries: &'a BTreeMap<String, Node>, path: &'p str) -> Option<(&'a Node, &'p str)> {
    let fitting = entries.iter().filter_map(|(key, node)| {
        let rest = match path.strip_prefix('[') {
            Some(path) => path.strip_prefix(key.as_str())?.strip_prefix(']')?,
            None => path.strip_prefix(key.as_str())?,
        };
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((key.len(), node, rest))
    });
    fitting.max_by_key(|(length, ..)| *length).map(|(_, node, rest)| (node, rest))
}
