//! What others build on: every public item is shown in an example, and none changes unnoticed.
//!
//! Both are read off the source, which rustfmt has formatted: an item begins with `pub `, and nothing in this crate is
//! `pub` that others cannot reach.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// The listing of what is public, beside `Cargo.toml`.
const LISTING: &str = "public-api.txt";
/// With this variable the listing is written instead of compared.
const REWRITE: &str = "CRONLET_REWRITE_PUBLIC_API";

/// The source files without their tests, by their path below `src`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut directories) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let (nested, found): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        directories.extend(nested.into_iter().filter(|path| !path.ends_with("tests")));
        files.extend(found.into_iter().filter(|path| !path.ends_with("tests.rs")));
    }
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Words, and what stands between them.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name that a line declares for others, and whether it is a constant.
fn declared(line: &str) -> Option<(&str, bool)> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let rest = if rest.starts_with("const fn") { &rest["const ".len()..] } else { rest };
    let (keyword, rest) = rest.split_once(' ')?;
    let is_item = ["fn", "struct", "enum", "trait", "const", "type"].contains(&keyword);
    is_item.then_some((rest.split(|c| !is_word(c)).next()?, keyword == "const"))
}

/// The code of all examples that are compiled.
fn examples(sources: &[(String, String)]) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    for (_, text) in sources {
        let mut inside = false;
        for line in text.lines() {
            let line = line.trim_start();
            let Some(line) = line.strip_prefix("///").or(line.strip_prefix("//!")) else {
                inside = false;
                continue;
            };
            match line.trim_start().strip_prefix("```") {
                Some(kind) => inside = !inside && kind != "text",
                None if inside => words.extend(line.split(|c| !is_word(c))),
                None => {}
            }
        }
    }
    words
}

#[test]
fn every_public_item_is_shown_in_an_example() {
    let sources = sources();
    let shown = examples(&sources);
    let mut missing = Vec::new();
    for (file, text) in &sources {
        // A bound is said by its value.
        let bounds = file == "limits.rs";
        for (number, line) in text.lines().enumerate() {
            // What a macro declares has `$` for a name.
            let exempt = |name: &str, constant| name.is_empty() || (bounds && constant);
            let names = declared(line).filter(|(name, constant)| !exempt(name, *constant));
            if let Some((name, _)) = names.filter(|(name, _)| !shown.contains(name)) {
                missing.push(format!("src/{file}:{}: {name}", number + 1));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no example shows these; add one to the item, or to the type it belongs to:\n{}",
        missing.join("\n")
    );
}

/// What is public in a file: whole signatures, variants, fields that others see, and what traits are implemented.
fn public(text: &str, types: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    // The types and traits that lines stand in, each with its indentation and whether all in it is public.
    let mut within: Vec<(usize, bool)> = Vec::new();
    // What was said of the item that follows.
    let mut attributes = Vec::new();
    while let Some(line) = lines.next() {
        let (words, indent) = (line.trim_start(), line.len() - line.trim_start().len());
        if words.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let attributes: Vec<&str> = std::mem::take(&mut attributes);
        // The tests come last, or stand beside.
        if words.is_empty()
            || words.starts_with('}')
            || attributes.iter().any(|said| said.contains("cfg(test)"))
        {
            continue;
        }
        while within.last().is_some_and(|(outer, _)| indent <= *outer) {
            within.pop();
        }
        let all_is_public = within.last().is_some_and(|(outer, all)| *all && indent == outer + 4);
        let is_impl = words.starts_with("impl");
        if !(all_is_public || words.starts_with("pub ") || is_impl) {
            continue;
        }
        let mut whole = line.to_owned();
        while !is_over(&whole) {
            let Some(next) = lines.next() else { break };
            whole = format!("{whole} {}", next.trim_start());
        }
        if whole.ends_with('{') {
            let fields = all_is_public && !words.contains("fn ");
            within.push((indent, fields || words.starts_with("pub enum") || words.starts_with("pub trait")));
        }
        // What types of its own can do is nobody else's business.
        if is_impl && !whole.split(|c| !is_word(c)).any(|word| types.contains(word)) {
            continue;
        }
        let counts = |said: &&&str| said.contains("derive(") || said.contains("non_exhaustive");
        found.extend(attributes.iter().filter(counts).map(|said| (*said).to_owned()));
        found.push(whole.trim_end_matches(['{', ';', ',', ' ']).replace("( ", "(").replace(", )", ")"));
    }
    found
}

/// The types and traits that others see.
fn types(sources: &[(String, String)]) -> BTreeSet<String> {
    let lines = sources.iter().flat_map(|(_, text)| text.lines());
    let names = lines.filter(|line| !line.contains(" fn ")).filter_map(declared);
    names.filter(|(name, constant)| !name.is_empty() && !constant).map(|(name, _)| name.to_owned()).collect()
}

/// Whether a signature, a variant or a field has come to its end.
fn is_over(text: &str) -> bool {
    let listed = text.contains("fn ") || text.contains("impl");
    let ends = if listed { ['{', ';', '}'].as_slice() } else { &['{', ';', '}', ','] };
    ends.iter().any(|end| text.ends_with(*end)) && balanced(text)
}

/// Whether all parentheses that a text opens are closed in it.
fn balanced(text: &str) -> bool {
    text.matches('(').count() == text.matches(')').count()
}

#[test]
fn what_is_public_is_what_is_listed() {
    let mut listing = String::from(
        "# What cronlet-sdk promises, by file. Whoever changes or takes away a line breaks programs that use it: raise the\n\
         # version (0.x: the minor one), and say so in CHANGELOG.md. Lines that are added need neither.\n",
    );
    let sources = sources();
    let types = types(&sources);
    for (file, text) in &sources {
        let public = public(text, &types);
        if !public.is_empty() {
            listing.push_str(&format!("\n{file}\n    {}\n", public.join("\n    ")));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LISTING);
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, &listing).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&listed), lines(&listing));
    let gone: Vec<_> =
        old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}")).collect();
    let added: Vec<_> =
        new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}")).collect();
    assert!(
        old == new,
        "what is public has changed:\n{}\nLines with `-` break programs that use them: raise the version in Cargo.toml \
         and say so in CHANGELOG.md. Then write the listing anew: {REWRITE}=1 cargo test -p cronlet-sdk --test \
         public_items",
        [gone, added].concat().join("\n")
    );
}

#[test]
fn signatures_are_read_whole() {
    let text = "//! A module.\n\n/// Says.\n#[derive(Debug)]\n#[non_exhaustive]\npub enum A {\n    /// One.\n    One,\n    Two {\n        /// Why.\n        \
                why: u8,\n    },\n}\n\nimpl A {\n    pub fn long<T>(\n        &self,\n        t: T,\n    ) -> u8\n    where\n        \
                T: Copy,\n    {\n        let x = 1;\n        x\n    }\n\n    fn hidden(&self) {}\n}\n\npub struct S {\n    pub a: u8,\n    \
                b: u8,\n}\n\nimpl Drop for S {\n    fn drop(&mut self) {}\n}\n\nimpl Drop for Own {\n    fn drop(&mut self) {}\n}\n\npub(crate) fn own() {}\npub const N: u8 = 3;\n";
    let expected = [
        "#[derive(Debug)]",
        "#[non_exhaustive]",
        "pub enum A",
        "    One",
        "    Two",
        "        why: u8",
        "impl A",
        "    pub fn long<T>(&self, t: T) -> u8 where T: Copy",
        "pub struct S",
        "    pub a: u8",
        "impl Drop for S",
        "pub const N: u8 = 3",
    ];
    let types = types(&[(String::new(), text.to_owned())]);
    assert_eq!(public(text, &types), expected);
}
