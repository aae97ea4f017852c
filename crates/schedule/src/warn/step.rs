//! Steps that do not divide their field: the pace breaks where the field starts again.

use crate::{
    Schedule,
    describe::plural,
    field::{Bounds, DAY, HOUR, MINUTE, MONTH, Range, WEEKDAY},
    warn::{Warning, WarningCode},
};

struct Place {
    field: &'static str,
    unit: &'static str,
    bounds: Bounds,
    /// The unit of a Go duration that keeps the pace, and how many of it are in one of ours.
    pace: Option<(&'static str, u64)>,
}

const PLACES: [Place; 5] = [
    Place { field: "minute", unit: "minute", bounds: MINUTE, pace: Some(("m", 1)) },
    Place { field: "hour", unit: "hour", bounds: HOUR, pace: Some(("h", 1)) },
    Place { field: "day-of-month", unit: "day", bounds: DAY, pace: Some(("h", 24)) },
    Place { field: "month", unit: "month", bounds: MONTH, pace: None },
    Place { field: "day-of-week", unit: "day", bounds: WEEKDAY, pace: None },
];

/// A warning for each field that is one range with a step which does not come out even.
pub(super) fn uneven_steps(schedule: &Schedule) -> Vec<Warning> {
    let fields = schedule.as_str().split_whitespace().filter(|word| !word.contains('='));
    fields.zip(&PLACES).filter_map(|(text, place)| uneven_step(text, place)).collect()
}

fn uneven_step(text: &str, place: &Place) -> Option<Warning> {
    let range = Range::parse(text, &place.bounds).ok()?;
    let Bounds { min, max, .. } = place.bounds;
    // A range that stops early, or starts late, does not mean to go round the field.
    let goes_round = range.step > 1 && range.end == max && range.start - min < range.step;
    let values = max - min + 1;
    // Months differ in length, so that no step keeps its pace from one to the next.
    let even = values.is_multiple_of(range.step) && place.field != "day-of-month";
    if !goes_round || even {
        return None;
    }
    let Place { field, unit, .. } = place;
    let last = range.start + (max - range.start) / range.step * range.step;
    let message = if last == range.start {
        format!(
            "`{text}` in the {field} field matches {unit} {last} alone: the step is longer than the field"
        )
    } else {
        let gap = plural((max - last + 1 + range.start - min) as i64, unit);
        let start = range.start;
        let months = if *field == "day-of-month" { " in a month of 31 days" } else { "" };
        format!(
            "`{text}` in the {field} field starts again at {unit} {start}, {gap} after {unit} {last}{months}"
        )
    };
    Some(Warning { code: WarningCode::UnevenStep, message, hint: hint(place, values, range.step) })
}

fn hint(place: &Place, values: u64, step: u64) -> String {
    let divide = format!("a step that divides {values} is even");
    match (place.pace, place.field) {
        (Some((unit, times)), "day-of-month") => format!("`@every {}{unit}` keeps the pace", step * times),
        (Some((unit, times)), _) => format!("{divide}; `@every {}{unit}` keeps the pace", step * times),
        (None, "day-of-week") => "list the days that are meant, such as `MON,WED,FRI`".to_owned(),
        (None, _) => divide,
    }
}
