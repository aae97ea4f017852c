//! Manifest files: reading them, and showing where in a file something is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anyhow::{Context, bail};
use cronlet_object::manifest::{Manifest, Span, read_manifests as parse};
use serde_json::Value;

use crate::{client::Refused, print};

/// The endings of files that a directory of manifests is searched for, as kubectl's.
const MANIFEST_ENDINGS: &[&str] = &["yaml", "yml", "json"];

/// One object of a file.
#[derive(Clone)]
pub struct FileManifest {
    file: Rc<File>,
    manifest: Manifest,
}

struct File {
    path: String,
    text: String,
}

impl FileManifest {
    /// The object as it was written.
    pub fn value(&self) -> &Value {
        &self.manifest.value
    }

    /// `apiVersion`
    pub fn api_version(&self) -> &str {
        self.value()["apiVersion"].as_str().unwrap_or_default()
    }

    /// `kind`
    pub fn kind(&self) -> &str {
        self.value()["kind"].as_str().unwrap_or_default()
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        self.value()["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.generateName`
    pub fn generate_name(&self) -> &str {
        self.value()["metadata"]["generateName"].as_str().unwrap_or_default()
    }

    /// Whether this is a Job, or what makes Jobs.
    pub fn is_runnable(&self) -> bool {
        ["Job", "CronJob"].contains(&self.kind())
    }

    /// `metadata.namespace`
    pub fn namespace(&self) -> Option<&str> {
        self.value()["metadata"]["namespace"].as_str()
    }

    /// Shows why the server did not take this object: each cause under the field it is about.
    pub fn refusal(&self, error: &anyhow::Error) -> String {
        let Some(refused) = error.downcast_ref::<Refused>() else {
            return self.problem(&print::causes(error), "");
        };
        let strict = strict_faults(&refused.message);
        if !strict.is_empty() {
            let faults = strict.iter().map(|(fault, field)| {
                render(&self.file, self.manifest.span_of_key(field), &format!("{STRICT}{fault}"))
            });
            return faults.collect();
        }
        if refused.causes.is_empty() {
            return self.problem(&refused.message, mistyped_field(&refused.message).unwrap_or_default());
        }
        refused
            .causes
            .iter()
            .map(|cause| self.problem(&format!("{}: {}", cause.field, cause.message), &cause.field))
            .collect()
    }

    /// Shows a problem with the value at `path`, or with the whole object if the path is empty.
    fn problem(&self, message: &str, path: &str) -> String {
        let kind_at_fault = path.is_empty() && message.contains("no matches for kind");
        let span = match (path, kind_at_fault) {
            (_, true) => self.manifest.span_of("kind"),
            ("", false) => self.manifest.span_of_key("metadata"),
            (path, _) => self.manifest.span_of(path),
        };
        render(&self.file, span, message)
    }
}

/// How a message begins that tells of fields that strict decoding does not take.
const STRICT: &str = "strict decoding error: ";

/// What strict decoding found, and the field it is about: `unknown field "spec.x", duplicate field "spec.y"`.
fn strict_faults(message: &str) -> Vec<(String, &str)> {
    let Some((_, list)) = message.split_once(STRICT) else { return Vec::new() };
    let faults = list.split("\", ").filter_map(|fault| {
        let (kind, field) = fault.split_once(" \"")?;
        let field = field.trim_end_matches('"');
        Some((format!("{kind} \"{field}\""), field))
    });
    faults.collect()
}

/// The field whose value has the wrong type: messages name it behind Go's name of the type that has it.
fn mistyped_field(message: &str) -> Option<&str> {
    let rest = message.split_once("into Go struct field ")?.1;
    let (field, _) = rest.split_once(" of type ")?;
    field.split_once('.').map(|(_, path)| path)
}

/// Reads manifest files and the manifest files of directories, in the order given and then by name.
///
/// # Errors
/// If a file cannot be read or is no manifest. All faults of all files are shown at once.
pub fn read_manifests(paths: &[PathBuf]) -> anyhow::Result<Vec<FileManifest>> {
    read(paths, |_| false)
}

/// Reads manifests as [`read_manifests`] does, of which the Jobs and CronJobs are to be run once: these may leave it to the
/// server to name them.
///
/// # Errors
/// As [`read_manifests`].
pub fn read_manifests_to_run(paths: &[PathBuf]) -> anyhow::Result<Vec<FileManifest>> {
    read(paths, |manifest| manifest.is_runnable() && !manifest.generate_name().is_empty())
}

fn read(paths: &[PathBuf], needs_no_name: fn(&FileManifest) -> bool) -> anyhow::Result<Vec<FileManifest>> {
    let mut manifests = Vec::new();
    let mut faults = String::new();
    for path in paths {
        for path in files_of(path)? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let file = Rc::new(File { path: path.display().to_string(), text });
            let read = parse(&file.text);
            for error in &read.errors {
                faults.push_str(&render(&file, &error.span, &error.message));
            }
            for manifest in read.manifests {
                let manifest = FileManifest { file: file.clone(), manifest };
                faults.push_str(&missing(&manifest, needs_no_name(&manifest)));
                manifests.push(manifest);
            }
        }
    }
    if !faults.is_empty() {
        eprint!("{faults}");
        bail!("the manifests cannot be used; nothing was sent");
    }
    if manifests.is_empty() && !paths.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("no manifests in {}\nhint: files end in .yaml, .yml or .json", names.join(", "));
    }
    Ok(manifests)
}

/// What every manifest must say, and this one does not.
fn missing(manifest: &FileManifest, needs_no_name: bool) -> String {
    let mut faults = String::new();
    for (field, value) in [("apiVersion", manifest.api_version()), ("kind", manifest.kind())] {
        if value.is_empty() {
            faults.push_str(&render(
                &manifest.file,
                manifest.manifest.document(),
                &format!("{field} is not set"),
            ));
        }
    }
    if manifest.name().is_empty() && !needs_no_name {
        let span = manifest.manifest.span_of_key("metadata");
        faults.push_str(&render(&manifest.file, span, "metadata.name is not set"));
    }
    faults
}

fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let path = entry?.path();
        if path.extension().and_then(|e| e.to_str()).is_some_and(|e| MANIFEST_ENDINGS.contains(&e)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The message over the lines it is about, with a caret under the place.
fn render(file: &File, span: &Span, message: &str) -> String {
    // A long span would show the whole document; its first line tells the place.
    let first_line = file.text[span.bytes.start..span.bytes.end].lines().next().map_or(0, str::len);
    let range = span.bytes.start..span.bytes.start + first_line;
    let snippet =
        Snippet::source(&file.text).path(&file.path).annotation(AnnotationKind::Primary.span(range));
    let report: &[Group] = &[Level::ERROR.primary_title(message).element(snippet)];
    format!("{}\n\n", Renderer::plain().render(report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Cause;

    fn manifest(text: &str) -> FileManifest {
        let file = Rc::new(File { path: "job.yaml".into(), text: text.into() });
        let manifest = parse(text).manifests.remove(0);
        FileManifest { file, manifest }
    }

    #[test]
    fn refusals_point_at_the_field() {
        let manifest =
            manifest("apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: x\nspec:\n  parallelism: -1\n");
        let refused = Refused {
            code: 422,
            reason: "Invalid".into(),
            message: "Job.batch \"x\" is invalid".into(),
            causes: vec![Cause {
                field: "spec.parallelism".into(),
                message: "Invalid value: -1: must be ≥ 0".into(),
            }],
        };
        insta::assert_snapshot!(manifest.refusal(&refused.into()).trim_end(), @r"
        error: spec.parallelism: Invalid value: -1: must be ≥ 0
         --> job.yaml:6:16
          |
        6 |   parallelism: -1
          |                ^^
        ");
    }

    #[test]
    fn fields_are_found_in_messages() {
        assert_eq!(
            strict_faults("strict decoding error: unknown field \"spec.x\", duplicate field \"y\""),
            [("unknown field \"spec.x\"".to_owned(), "spec.x"), ("duplicate field \"y\"".to_owned(), "y")]
        );
        assert_eq!(strict_faults("no such thing"), []);
        let mistyped =
            "json: cannot unmarshal string into Go struct field CronJobSpec.spec.suspend of type bool";
        assert_eq!(mistyped_field(mistyped), Some("spec.suspend"));
    }
}
