//! The style rules of CONTRIBUTING.md that a program can check.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// Longest source file, in lines. Generated files, which say so in their first line, are exempt.
const FILE_LINES_MAX: usize = 800;
/// Longest function, in lines from signature to closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// What the first line of a generated file contains.
const GENERATED_MARK: &str = "@generated";
/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];
/// Markers of work left undone.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore"];

/// Which crates of the house a crate may depend on. Edges go only as listed (ARCHITECTURE.md, §1).
const EDGES: &[(&str, &[&str])] = &[
    ("schedule", &[]),
    ("object", &["schedule"]),
    ("controller", &["schedule", "object"]),
    ("store", &["object"]),
    ("server", &["object", "store"]),
    ("runtime", &["object", "image"]),
    ("image", &[]),
    ("sdk", &["schedule"]),
    ("simulate", &["schedule", "object", "controller", "store"]),
    (
        "cronlet",
        &["schedule", "object", "controller", "store", "server", "image", "runtime", "sdk", "simulate"],
    ),
];

/// Crates that may know neither the time nor the world around them, and what they may therefore not name.
const PURE_CRATES: &[&str] = &["schedule", "object", "controller", "simulate"];
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::process", "std::thread", "std::env", "tokio", "async fn"];

/// Checks the checkout and lists every broken rule.
///
/// # Errors
/// If a rule is broken or a file cannot be read.
pub fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the checkout")?;
    let problems = check(root)?;
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    if !problems.is_empty() {
        bail!("{} style rules are broken; CONTRIBUTING.md explains them", problems.len());
    }
    Ok(())
}

fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in rust_files(root)? {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(root)?.display().to_string();
        problems.extend(check_source(&name, &text));
    }
    for (name, allowed) in EDGES {
        let manifest = root.join("crates").join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        problems.extend(check_edges(name, allowed, &text));
    }
    Ok(problems)
}

fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![root.join("crates"), root.join("xtask"), root.join("tests")];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn check_source(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.lines().next().is_some_and(|line| line.contains(GENERATED_MARK)) {
        return problems;
    }
    let stem = Path::new(name).file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        problems.push(format!("{name}: a file is named for what it holds, not `{stem}`"));
    }
    if stem == "mod" {
        problems.push(format!("{name}: modules are `foo.rs` beside `foo/`, not `mod.rs`"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        problems.push(format!("{name}: {lines} lines; at most {FILE_LINES_MAX}"));
    }
    // A test module needs no introduction: it stands beside what it tests.
    let tests = name.contains("/tests/") || stem == "tests";
    if !tests && !text.starts_with("//!") {
        problems.push(format!("{name}: the first line must say what the module is for (`//! …`)"));
    }
    if !name.starts_with("xtask/src/tidy") {
        problems.extend(unfinished(name, text));
    }
    problems.extend(long_functions(name, text));
    problems.extend(impurities(name, text, tests));
    problems
}

fn unfinished(name: &str, text: &str) -> Vec<String> {
    let found = text.lines().enumerate().filter_map(|(i, line)| {
        let mark = UNFINISHED.iter().find(|mark| line.contains(**mark))?;
        Some(format!("{name}:{}: `{mark}` marks unfinished work", i + 1))
    });
    found.collect()
}

/// Functions are found by indentation, which rustfmt guarantees: from a line with `fn` to the line that closes its
/// brace at the same depth.
fn long_functions(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        if words.starts_with("//") || !words.split('(').next().is_some_and(is_fn) {
            continue;
        }
        // What ends in a semicolon before any brace opens is a declaration without a body.
        let signature_end =
            lines[start..].iter().find(|l| l.ends_with('{') || l.ends_with(';') || l.ends_with('}'));
        if !signature_end.is_some_and(|l| l.ends_with('{')) {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|l| *l == closing).map_or(start, |offset| start + offset);
        let length = end - start + 1;
        if length > FUNCTION_LINES_MAX {
            problems.push(format!(
                "{name}:{}: {length} lines in a function; at most {FUNCTION_LINES_MAX}",
                start + 1
            ));
        }
    }
    problems
}

fn is_fn(head: &str) -> bool {
    let mut words = head.split_whitespace();
    words.by_ref().any(|word| word == "fn") && words.next().is_some()
}

fn impurities(name: &str, text: &str, tests: bool) -> Vec<String> {
    let pure = PURE_CRATES.iter().any(|c| name.starts_with(&format!("crates/{c}/src/")));
    if !pure || tests {
        return Vec::new();
    }
    let source = text.split("#[cfg(test)]").next().unwrap_or_default();
    let found =
        source.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).filter_map(
            |(i, line)| {
                let word = IMPURE.iter().find(|word| line.contains(**word))?;
                Some(format!("{name}:{}: `{word}` in a crate of pure functions", i + 1))
            },
        );
    found.collect()
}

fn check_edges(name: &str, allowed: &[&str], manifest: &str) -> Vec<String> {
    let mut section = String::new();
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in manifest.lines() {
        if let Some(title) = line.strip_prefix('[') {
            title.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(['.', '=']) {
            sections.entry(section.clone()).or_default().push(key.trim().to_owned());
        }
    }
    let used = sections.get("dependencies").into_iter().flatten().filter_map(|d| d.strip_prefix("cronlet-"));
    used.filter(|dependency| !allowed.contains(dependency))
        .map(|dependency| format!("crates/{name}/Cargo.toml: `{name}` may not depend on `{dependency}`"))
        .collect()
}
