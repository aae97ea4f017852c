//! `cronlet next --stdin`: a question a line, an answer a line.

use std::io::{self, BufRead, Read, Write};

use anyhow::{Context, bail};
use cronlet_schedule::load_time_zone;
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::json;

use super::{COUNT_DEFAULT, parse_schedule, rfc3339};
use crate::limits::{OCCURRENCES_MAX, QUESTION_BYTES_MAX};

/// A question. Unknown keys are passed over, so that lines can carry the asker's own.
#[derive(Deserialize)]
struct Question {
    expr: String,
    tz: Option<String>,
    from: Option<String>,
    count: Option<u32>,
}

/// Answers every line of `input`, whatever it holds, until there are no more.
///
/// # Errors
/// If reading or writing fails; a question that cannot be answered is not an error.
pub(super) fn answer(now: Timestamp, mut input: impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while read_line(&mut input, &mut line)? {
        let answer = match occurrences(&line, now) {
            Ok(occurrences) => json!({"occurrences": occurrences}),
            Err(error) => json!({"error": format!("{error:#}")}),
        };
        writeln!(out, "{answer}")?;
        // Who asks may wait for the answer before the next question.
        out.flush()?;
    }
    Ok(())
}

/// Reads a line without its end; what is beyond [`QUESTION_BYTES_MAX`] is dropped but for one byte, which tells.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = input.by_ref().take(QUESTION_BYTES_MAX as u64 + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read > QUESTION_BYTES_MAX {
        input.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

fn occurrences(line: &[u8], now: Timestamp) -> anyhow::Result<Vec<String>> {
    if line.len() > QUESTION_BYTES_MAX {
        bail!("the line is longer than {QUESTION_BYTES_MAX} bytes");
    }
    let question: Question = serde_json::from_slice(line).context("the line is not a question")?;
    // Programs ask about any schedule there is, stored ones with a zone in front included.
    let schedule = parse_schedule(&question.expr)?;
    let zone = match question.tz.as_deref() {
        None | Some("") => TimeZone::UTC,
        Some(name) => load_time_zone(name).with_context(|| format!("time zone {name:?}"))?,
    };
    let from = match &question.from {
        None => now,
        Some(text) => text.parse().with_context(|| format!("from {text:?}"))?,
    };
    let count = question.count.unwrap_or(COUNT_DEFAULT);
    if count > OCCURRENCES_MAX {
        bail!("count {count} is above {OCCURRENCES_MAX}");
    }
    Ok(schedule.after(from, &zone).take(count as usize).map(|at| rfc3339(at, &zone)).collect())
}
