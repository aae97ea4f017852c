//! What to write instead, for the mistakes people make.

use super::ParseError;

impl ParseError {
    /// How to mend the expression, where the message alone does not say it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            ParseError::Empty | ParseError::FieldCount(_) => {
                "the fields are minute, hour, day-of-month, month, day-of-week; there are neither seconds nor a year"
            }
            ParseError::BadLocation { .. } => {
                "zones have IANA names such as `Europe/Berlin`, and case counts"
            }
            ParseError::AboveMaximum { end: 7, max: 6, .. } => {
                "Sunday is 0 (or SUN); 7 is no day of the week here"
            }
            ParseError::Reversed { .. } => {
                "a range does not wrap around: write two ranges, such as `22-23,0-5`"
            }
            ParseError::NotANumber { text, .. } if text.ends_with(['L', 'W', 'H', '#']) => {
                "`L`, `W`, `#` and `H` of other crons are not part of the syntax"
            }
            ParseError::NotANumber { .. } => {
                "fields hold numbers, `*`, `,`, `-` and `/`; months and weekdays also names such as `JAN` or `MON`"
            }
            ParseError::UnknownDescriptor(_) => {
                "there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and `@every DURATION`"
            }
            ParseError::BadDuration { .. } => "durations are such as `90s`, `15m` or `1h30m`; a day is `24h`",
            _ => return None,
        })
    }
}
