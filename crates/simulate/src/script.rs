//! Scenario files: commands and what comes of them, as text that documents and tests at once.
//!
//! A scenario is a list of blocks, parted by blank lines. Lines that begin with `#` are remarks. A block is a command,
//! perhaps with input on the lines below it, a line `----`, and what came of it, if anything did:
//!
//! ```text
//! cronjob hello "*/5 * * * *" concurrencyPolicy=Forbid pod.restartPolicy=Never
//! ----
//! cronjob.batch/hello created
//!
//! advance 6m
//! ----
//! 12:05:00 cronjob/hello SuccessfulCreate: Created job hello-29926785
//! ```
//!
//! `docs/simulation.md` lists the commands. Playing a scenario gives the text as it would be if it were true, so that a
//! test compares two texts, and a person who writes one need not write what comes of it.

mod command;
mod stage;
mod tell;

use std::fmt::Write as _;

use self::{command::Command, stage::Stage};

/// What parts a command from what comes of it.
const SEPARATOR: &str = "----";

/// A command that is not understood, or that cannot be carried out in a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// The line of the scenario, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// A block of a scenario.
struct Block<'a> {
    /// Where it begins, counted from 1.
    line: usize,
    /// Its remarks.
    remarks: Vec<&'a str>,
    /// Its command and the input below; empty for a block of remarks.
    command: Vec<&'a str>,
}

/// Plays a scenario. Returns its text with what really came of each command.
///
/// # Errors
/// The first command that is not understood.
pub fn play(text: &str) -> Result<String, ScriptError> {
    let mut stage = Stage::default();
    let mut played = String::new();
    for block in blocks(text) {
        if !played.is_empty() {
            played.push('\n');
        }
        for remark in &block.remarks {
            let _ = writeln!(played, "{remark}");
        }
        let Some((first, input)) = block.command.split_first() else { continue };
        let failed = |message: String| ScriptError { line: block.line + block.remarks.len(), message };
        let command = Command::read(first, input).map_err(failed)?;
        let outcome = stage.perform(command).map_err(failed)?;
        for line in &block.command {
            let _ = writeln!(played, "{line}");
        }
        let _ = writeln!(played, "{SEPARATOR}");
        for line in outcome {
            let _ = writeln!(played, "{line}");
        }
    }
    Ok(played)
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let (mut is_open, mut is_outcome) = (false, false);
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            (is_open, is_outcome) = (false, false);
            continue;
        }
        if !is_open {
            blocks.push(Block { line: number + 1, remarks: Vec::new(), command: Vec::new() });
            is_open = true;
        }
        let Some(block) = blocks.last_mut() else { continue };
        match line {
            SEPARATOR => is_outcome = true,
            _ if is_outcome => {}
            _ if line.starts_with('#') && block.command.is_empty() => block.remarks.push(line),
            _ => block.command.push(line),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_true_stays_as_it_is() {
        let text = "# A remark.\nstart 2026-03-01T12:00:00Z\n----\n\nadvance 1h\n----\n";
        assert_eq!(play(text).unwrap(), text);
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        let error = play("start 2026-03-01T12:00:00Z\n----\n\n# Now\nadvnace 1h\n").unwrap_err();
        assert_eq!((error.line, error.message.contains("advnace")), (5, true), "{error}");
    }
}
