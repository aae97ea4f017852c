//! A schedule in plain English.

use crate::{
    calendar::Calendar,
    field::{DAY, Field, MONTH, WEEKDAY},
    parse::{Parsed, Timing},
};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Times of day that are written out one by one; above, they are summed up by minute and hour.
const TIMES_LISTED_MAX: usize = 6;
/// Values of an evenly spaced field that are written out one by one.
const SPACED_VALUES_LISTED_MAX: usize = 4;

pub(crate) fn describe(parsed: &Parsed) -> String {
    let mut words = match &parsed.timing {
        Timing::Every { seconds } => interval(*seconds),
        Timing::Calendar(calendar) => civil(calendar),
    };
    if let (Some(prefix), Timing::Calendar(_)) = (&parsed.prefix, &parsed.timing) {
        words.push_str(" in ");
        words.push_str(if prefix.name.is_empty() { "UTC" } else { &prefix.name });
    }
    words
}

fn interval(seconds: i64) -> String {
    let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let parts: Vec<_> = parts.into_iter().filter(|(count, _)| *count > 0).collect();
    if let [(1, unit)] = parts[..] {
        return format!("every {unit}");
    }
    let counted = parts.iter().map(|(count, unit)| plural(*count, unit));
    format!("every {}", counted.collect::<Vec<_>>().join(" "))
}

fn civil(calendar: &Calendar) -> String {
    if calendar.minute.bits == 0 || calendar.hour.bits == 0 || calendar.month.bits == 0 {
        return "never".to_owned();
    }
    let time = time_of_day(calendar);
    match days(calendar) {
        Some(days) => format!("{time} {days}"),
        // A time of day alone leaves open that it is meant for each day.
        None if time.starts_with("at ") => format!("{time} every day"),
        None => time,
    }
}

fn time_of_day(calendar: &Calendar) -> String {
    let minutes: Vec<u64> = calendar.minute.values().collect();
    let hours: Vec<u64> = calendar.hour.values().collect();
    let (first_hour, last_hour) = (hours[0], hours[hours.len() - 1]);
    let in_a_row = last_hour - first_hour + 1 == hours.len() as u64;
    let pace = minute_pace(calendar, &minutes);

    if calendar.is_every_hour() {
        return match (pace, &minutes[..]) {
            (Some(pace), _) => pace,
            (None, [0]) => "every hour".to_owned(),
            (None, _) => format!("every hour at {}", counted("minute", &minutes)),
        };
    }
    if let (Some(pace), true) = (&pace, in_a_row) {
        let last_minute = minutes[minutes.len() - 1];
        return format!("{pace} from {first_hour:02}:00 through {last_hour:02}:{last_minute:02}");
    }
    if let ([minute], Some(step)) = (&minutes[..], even_step(&hours, 24)) {
        let at = if *minute == 0 { String::new() } else { format!(" at minute {minute}") };
        return format!("every {step} hours{at}");
    }
    if let ([minute], true) = (&minutes[..], in_a_row && hours.len() > 2) {
        return format!("every hour from {first_hour:02}:{minute:02} through {last_hour:02}:{minute:02}");
    }
    if minutes.len() * hours.len() <= TIMES_LISTED_MAX {
        let times = hours.iter().flat_map(|hour| minutes.iter().map(move |m| format!("{hour:02}:{m:02}")));
        return format!("at {}", enumerate(&times.collect::<Vec<_>>()));
    }
    let minutes = pace.unwrap_or_else(|| format!("at {}", counted("minute", &minutes)));
    format!("{minutes} during {}", counted("hour", &hours))
}

/// `every minute` or `every 5 minutes`, if that is what the minutes amount to.
fn minute_pace(calendar: &Calendar, minutes: &[u64]) -> Option<String> {
    if calendar.is_every_minute() {
        return Some("every minute".to_owned());
    }
    Some(format!("every {} minutes", even_step(minutes, 60)?))
}

/// The step of values that start at 0 and divide `cycle` evenly.
fn even_step(values: &[u64], cycle: u64) -> Option<u64> {
    let step = spacing(values)?;
    (values[0] == 0 && step > 1 && step * values.len() as u64 == cycle).then_some(step)
}

/// The distance between neighbours if it is the same throughout (two values or more).
fn spacing(values: &[u64]) -> Option<u64> {
    let step = values.get(1)? - values[0];
    values.windows(2).all(|pair| pair[1] - pair[0] == step).then_some(step)
}

/// Which days, unless all of them.
fn days(calendar: &Calendar) -> Option<String> {
    let (day_full, weekday_full) = (calendar.day.is_full(&DAY), calendar.weekday.is_full(&WEEKDAY));
    let all_months = calendar.month.is_full(&MONTH);
    let in_months = if all_months { String::new() } else { format!(" in {}", months(calendar.month)) };
    if calendar.either_day() && !day_full && !weekday_full {
        let month = if all_months { " of every month" } else { "" };
        let days = format!("on {}{month}", counted_days(calendar));
        return Some(format!("{days} and on every {}{in_months}", weekdays(calendar.weekday, "or")));
    }
    if calendar.either_day() || (day_full && weekday_full) {
        return (!all_months).then(|| format!("every day{in_months}"));
    }
    if weekday_full {
        return Some(days_of_months(calendar, all_months));
    }
    Some(format!("on {}{in_months}", weekdays(calendar.weekday, "and")))
}

fn days_of_months(calendar: &Calendar, all_months: bool) -> String {
    let days: Vec<u64> = calendar.day.values().collect();
    match (&days[..], calendar.month.values().count()) {
        ([day], 1) => format!("on {day} {}", months(calendar.month)),
        _ if all_months => format!("on {} of every month", counted_days(calendar)),
        _ => format!("on {} of {}", counted_days(calendar), months(calendar.month)),
    }
}

fn counted_days(calendar: &Calendar) -> String {
    counted("day", &calendar.day.values().collect::<Vec<_>>())
}

fn months(field: Field) -> String {
    let values: Vec<u64> = field.values().collect();
    enumerate(&runs(&values, |month| MONTHS[month as usize - 1].to_owned()))
}

fn weekdays(field: Field, conjunction: &str) -> String {
    let values: Vec<u64> = field.values().collect();
    if values.is_empty() {
        return "no weekday".to_owned();
    }
    enumerate_with(&runs(&values, |weekday| WEEKDAYS[weekday as usize].to_owned()), conjunction)
}

/// `minute 5`, `minutes 5 and 35`, `minutes 10 through 20`, `every 7th minute from 0 through 56`.
fn counted(unit: &str, values: &[u64]) -> String {
    if let (Some(step), [first, .., last]) = (spacing(values), values)
        && step > 1
        && values.len() > SPACED_VALUES_LISTED_MAX
    {
        return format!("every {} {unit} from {first} through {last}", ordinal(step));
    }
    match values {
        [] => format!("no {unit}"),
        [only] => format!("{unit} {only}"),
        _ => format!("{unit}s {}", enumerate(&runs(values, |value| value.to_string()))),
    }
}

/// The values by name, three or more in a row drawn together as `a through c`.
fn runs(values: &[u64], name: impl Fn(u64) -> String) -> Vec<String> {
    let mut out = Vec::new();
    for run in values.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [first, _, .., last] if run.len() > 2 => {
                out.push(format!("{} through {}", name(*first), name(*last)));
            }
            _ => out.extend(run.iter().map(|value| name(*value))),
        }
    }
    out
}

fn enumerate(items: &[String]) -> String {
    enumerate_with(items, "and")
}

fn enumerate_with(items: &[String], conjunction: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} {conjunction} {last}", init.join(", ")),
    }
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// `1 run`, `2 runs`.
pub(crate) fn plural(count: i64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use crate::Schedule;

    #[test]
    fn says_it_in_plain_words() {
        for (expression, want) in [
            ("* * * * *", "every minute"),
            ("*/5 * * * *", "every 5 minutes"),
            ("0,30 * * * *", "every 30 minutes"),
            ("*/7 * * * *", "every hour at every 7th minute from 0 through 56"),
            ("0 * * * *", "every hour"),
            ("*/60 * * * *", "every hour"),
            ("5 * * * *", "every hour at minute 5"),
            ("5/15 * * * *", "every hour at minutes 5, 20, 35 and 50"),
            ("10-20 * * * *", "every hour at minutes 10 through 20"),
            ("1,5-7,9 * * * *", "every hour at minutes 1, 5 through 7 and 9"),
            ("30 2 * * *", "at 02:30 every day"),
            ("0 9 * * 1-5", "at 09:00 on Monday through Friday"),
            ("0 9,17 * * *", "at 09:00 and 17:00 every day"),
            ("0,30 9-10 * * *", "every 30 minutes from 09:00 through 10:30"),
            ("15,45 9,17 * * *", "at 09:15, 09:45, 17:15 and 17:45 every day"),
            ("*/15 9-17 * * MON-FRI", "every 15 minutes from 09:00 through 17:45 on Monday through Friday"),
            ("* 9 * * *", "every minute from 09:00 through 09:59"),
            ("30 9-17 * * *", "every hour from 09:30 through 17:30"),
            ("0 */6 * * *", "every 6 hours"),
            ("15 */6 * * *", "every 6 hours at minute 15"),
            ("0 */5 * * *", "at 00:00, 05:00, 10:00, 15:00 and 20:00 every day"),
            ("*/20 */6 * * *", "every 20 minutes during hours 0, 6, 12 and 18"),
            (
                "5,35 3,7,11,15,19 * * *",
                "at minutes 5 and 35 during every 4th hour from 3 through 19 every day",
            ),
            ("0 0 13 * 5", "at 00:00 on day 13 of every month and on every Friday"),
            ("0 0 13 1-3 5,6", "at 00:00 on day 13 and on every Friday or Saturday in January through March"),
            ("0 0 1-31 * 1", "at 00:00 every day"),
            ("0 0 29 2 *", "at 00:00 on 29 February"),
            ("0 0 31 2 *", "at 00:00 on 31 February"),
            ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of every month"),
            ("0 0 1-7 6 *", "at 00:00 on days 1 through 7 of June"),
            ("0 0 */2 * *", "at 00:00 on every 2nd day from 1 through 31 of every month"),
            ("0 0 1 */3 *", "at 00:00 on day 1 of January, April, July and October"),
            ("0 0 * 12 *", "at 00:00 every day in December"),
            ("*/5 * * 12 *", "every 5 minutes every day in December"),
            ("0 12 * * 0,6", "at 12:00 on Sunday and Saturday"),
            ("0 0 ? * MON", "at 00:00 on Monday"),
            (", * * * *", "never"),
            ("0 0 , * *", "at 00:00 on no day of every month"),
            ("@yearly", "at 00:00 on 1 January"),
            ("@monthly", "at 00:00 on day 1 of every month"),
            ("@weekly", "at 00:00 on Sunday"),
            ("@midnight", "at 00:00 every day"),
            ("@hourly", "every hour"),
            ("@every 1h", "every hour"),
            ("@every 90m", "every 1 hour 30 minutes"),
            ("@every 36h", "every 36 hours"),
            ("@every 1ms", "every second"),
            ("@every 61s", "every 1 minute 1 second"),
            ("TZ=Asia/Tokyo 0 9 * * *", "at 09:00 every day in Asia/Tokyo"),
            ("CRON_TZ= 0 9 * * *", "at 09:00 every day in UTC"),
        ] {
            assert_eq!(Schedule::parse(expression).unwrap().describe(), want, "{expression}");
        }
    }
}
