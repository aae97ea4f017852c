//! The scenarios of `tests/scenarios`: each is played, and must come out as it stands there.

use std::{fs, path::PathBuf};

use cronlet_simulate::script;

/// With this variable set, the files are brought up to date instead.
const REWRITE: &str = "CRONLET_REWRITE_SCENARIOS";

#[test]
fn scenarios_come_out_as_they_stand() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut failed = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).unwrap();
        match script::play(&text) {
            Ok(played) if played == text => {}
            Ok(played) if std::env::var_os(REWRITE).is_some() => fs::write(file, played).unwrap(),
            Ok(played) => {
                failed.push(format!("{name} comes out differently:\n{}", difference(&text, &played)))
            }
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "{}\n(set {REWRITE}=1 to rewrite)", failed.join("\n"));
    assert!(files.len() >= 60, "only {} scenarios", files.len());
}

/// The first lines that differ.
fn difference(stands: &str, played: &str) -> String {
    let same = stands.lines().zip(played.lines()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| text.lines().skip(same).take(6).collect::<Vec<_>>().join("\n    ");
    format!("  from line {}, it stands:\n    {}\n  it is:\n    {}", same + 1, from(stands), from(played))
}
