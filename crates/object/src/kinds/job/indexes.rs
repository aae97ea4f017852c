//! Lists of indexes as Jobs write them: `1,3-5,7`.

/// Reads a list: increasing, disjoint, below `completions`. Returns the intervals, both ends included.
///
/// # Errors
/// What is wrong, in upstream's words.
pub(super) fn parse(text: &str, completions: i32) -> Result<Vec<(i32, i32)>, String> {
    let mut intervals: Vec<(i32, i32)> = Vec::new();
    if text.is_empty() {
        return Ok(intervals);
    }
    for part in text.split(',') {
        let (first, last) = parse_interval(part, completions)?;
        if let Some((_, previous)) = intervals.last().filter(|(_, previous)| *previous >= first) {
            return Err(format!("non-increasing order, previous: {previous}, current: {first}"));
        }
        intervals.push((first, last));
    }
    Ok(intervals)
}

/// How many indexes the intervals hold.
pub(super) fn count(intervals: &[(i32, i32)]) -> i64 {
    intervals.iter().map(|(first, last)| i64::from(*last) - i64::from(*first) + 1).sum()
}

/// The first index that both lists hold. What cannot be read is passed over: it is an error of its own.
pub(super) fn overlap(completed: &str, failed: &str, completions: i32) -> Option<i32> {
    let readable = |text: &str| -> Vec<(i32, i32)> {
        text.split(',').filter_map(|part| parse_interval(part, completions).ok()).collect()
    };
    let failed = readable(failed);
    let shared = |(first, last): (i32, i32)| {
        let other =
            failed.iter().find(|(other_first, other_last)| first <= *other_last && *other_first <= last);
        other.map(|(other_first, _)| first.max(*other_first))
    };
    readable(completed).into_iter().find_map(shared)
}

fn parse_interval(text: &str, completions: i32) -> Result<(i32, i32), String> {
    let mut limits = text.split('-');
    let (first, last) = (limits.next().unwrap_or_default(), limits.next());
    if limits.next().is_some() {
        return Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two \
             parts separated by '-'"
        ));
    }
    let first = parse_index(first, completions)?;
    let Some(last) = last else { return Ok((first, first)) };
    let last = parse_index(last, completions)?;
    if first >= last {
        return Err(format!("non-increasing order, previous: {first}, current: {last}"));
    }
    Ok((first, last))
}

fn parse_index(text: &str, completions: i32) -> Result<i32, String> {
    let index: i64 =
        text.parse().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
    match i32::try_from(index) {
        Ok(index) if index < completions => Ok(index),
        _ => Err(format!("too large index: {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_must_increase_and_stay_below_completions() {
        assert_eq!(parse("0,2-4", 5), Ok(vec![(0, 0), (2, 4)]));
        assert_eq!(parse("", 5), Ok(vec![]));
        let error = |text| parse(text, 6).unwrap_err();
        assert_eq!(error("1-3,0,5"), "non-increasing order, previous: 3, current: 0");
        assert_eq!(error("0,1-1,5"), "non-increasing order, previous: 1, current: 1");
        assert_eq!(error("6"), "too large index: \"6\"");
        assert_eq!(error("0-"), "cannot convert string to integer for index: \"\"");
        assert!(error("1-2-3").starts_with("the fragment \"1-2-3\" violates"));
        assert_eq!(count(&[(0, 0), (2, 4)]), 4);
    }

    #[test]
    fn the_first_shared_index_is_found() {
        assert_eq!(overlap("0-2,5-9", "3,7-8", 10), Some(7));
        assert_eq!(overlap("0-2,x", "3,4", 10), None);
        assert_eq!(overlap("", "", 10), None);
    }
}
