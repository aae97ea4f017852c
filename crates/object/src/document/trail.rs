//! The way from the root of a document to a value, kept on the stack and put into words only when needed.

use std::fmt;

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trail<'a> {
    Root,
    /// A field of a struct, below the place of the struct.
    Field(&'a Trail<'a>, &'a str),
    /// An entry of a map with free keys.
    Key(&'a Trail<'a>, &'a str),
    /// An element of a list.
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    /// The names of the struct fields alone, joined by points: how Go names the place of a type error.
    pub(super) fn fields(&self) -> String {
        match self {
            Trail::Root => String::new(),
            Trail::Key(parent, _) | Trail::Index(parent, _) => parent.fields(),
            Trail::Field(parent, name) => {
                let fields = parent.fields();
                if fields.is_empty() { (*name).to_owned() } else { format!("{fields}.{name}") }
            }
        }
    }
}

/// As upstream prints it: `spec.template.spec.containers[0].image`.
impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trail::Root => Ok(()),
            Trail::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Trail::Field(Trail::Root, name) | Trail::Key(Trail::Root, name) => f.write_str(name),
            Trail::Field(parent, name) | Trail::Key(parent, name) => write!(f, "{parent}.{name}"),
        }
    }
}
