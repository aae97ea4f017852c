//! The civil times a five-field expression selects, searched as sets of bits; no time zone in here.
//!
//! Civil time is counted in minutes since 1970-01-01 00:00 on the clock on the wall.

use crate::field::{DAY, Field, HOUR, MINUTE, MONTH, WEEKDAY};

const MINUTES_A_DAY: i64 = 24 * 60;

/// Days of each month (January is 1) in a leap year.
const LONGEST: [u64; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The five fields, with what a search asks for again and again worked out once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub minute: Field,
    pub hour: Field,
    pub day: Field,
    pub month: Field,
    pub weekday: Field,
    /// The weekdays of 42 days on end, the first of them a Sunday.
    weekdays_of_six_weeks: u64,
    every_day: bool,
    /// First and last selected minute of a day; `None` if no minute or no day of any year is selected.
    daily: Option<(i64, i64)>,
}

impl Calendar {
    pub fn new(minute: Field, hour: Field, day: Field, month: Field, weekday: Field) -> Calendar {
        let mut weekdays_of_six_weeks = 0;
        for week in 0..6 {
            weekdays_of_six_weeks |= weekday.bits << (7 * week);
        }
        let mut calendar = Calendar {
            minute,
            hour,
            day,
            month,
            weekday,
            weekdays_of_six_weeks,
            every_day: false,
            daily: None,
        };
        let by_day = month.values().any(|month| day.bits & days_up_to(LONGEST[month as usize]) != 0);
        let possible = if calendar.either_day() {
            month.bits != 0 && (by_day || weekday.bits != 0)
        } else {
            by_day && weekday.bits != 0
        };
        if possible && minute.bits != 0 && hour.bits != 0 {
            let first = lowest(hour.bits) * 60 + lowest(minute.bits);
            let last = highest(hour.bits) * 60 + highest(minute.bits);
            calendar.daily = Some((first, last));
        }
        let all_days = if calendar.either_day() {
            day.is_full(&DAY) || weekday.is_full(&WEEKDAY)
        } else {
            day.is_full(&DAY) && weekday.is_full(&WEEKDAY)
        };
        calendar.every_day = all_days && month.is_full(&MONTH);
        calendar
    }

    /// Whether a day is selected when *either* day field selects it: the rule when neither has a star.
    pub fn either_day(&self) -> bool {
        !self.day.star && !self.weekday.star
    }

    /// Whether no date, or no time of day, is ever selected.
    pub fn is_never(&self) -> bool {
        self.daily.is_none()
    }

    /// Whether every hour of the day is selected, so that a change of the clocks is not noticed.
    pub fn is_every_hour(&self) -> bool {
        self.hour.is_full(&HOUR)
    }

    /// Whether every month is selected.
    pub fn is_every_month(&self) -> bool {
        self.month.is_full(&MONTH)
    }

    /// Whether every minute of the hour is selected.
    pub fn is_every_minute(&self) -> bool {
        self.minute.is_full(&MINUTE)
    }

    /// The first selected minute at or after `from`, no later than the end of `last_year`.
    pub fn at_or_after(&self, from: i64, last_year: i64) -> Option<i64> {
        let (first_of_day, last_of_day) = self.daily?;
        let (day, minute) = (from.div_euclid(MINUTES_A_DAY), from.rem_euclid(MINUTES_A_DAY));
        if minute <= last_of_day && self.selects_day(day) {
            return Some(day * MINUTES_A_DAY + self.time_at_or_after(minute));
        }
        Some(self.day_at_or_after(day + 1, last_year)? * MINUTES_A_DAY + first_of_day)
    }

    /// The last selected minute at or before `until`, no earlier than the start of `first_year`.
    pub fn at_or_before(&self, until: i64, first_year: i64) -> Option<i64> {
        let (first_of_day, last_of_day) = self.daily?;
        let (day, minute) = (until.div_euclid(MINUTES_A_DAY), until.rem_euclid(MINUTES_A_DAY));
        if minute >= first_of_day && self.selects_day(day) {
            return Some(day * MINUTES_A_DAY + self.time_at_or_before(minute));
        }
        Some(self.day_at_or_before(day - 1, first_year)? * MINUTES_A_DAY + last_of_day)
    }

    /// Whether the day `day` (days since 1970-01-01) is selected.
    pub fn selects_day(&self, day: i64) -> bool {
        if self.every_day {
            return true;
        }
        let date = Date::of_day(day);
        self.month.bits >> date.month & 1 == 1
            && self.days_of_month(day + 1 - date.day as i64) >> date.day & 1 == 1
    }

    /// The time of day at or after `minute`, which is no later than the day's last.
    fn time_at_or_after(&self, minute: i64) -> i64 {
        let (hour, minute) = (minute / 60, minute % 60);
        let this_hour = self.minute.bits & (u64::MAX << minute);
        if self.hour.bits >> hour & 1 == 1 && this_hour != 0 {
            return hour * 60 + lowest(this_hour);
        }
        let later_hours = self.hour.bits & (u64::MAX << (hour + 1));
        lowest(later_hours) * 60 + lowest(self.minute.bits)
    }

    /// The time of day at or before `minute`, which is no earlier than the day's first.
    fn time_at_or_before(&self, minute: i64) -> i64 {
        let (hour, minute) = (minute / 60, minute % 60);
        let this_hour = self.minute.bits & (u64::MAX >> (63 - minute));
        if self.hour.bits >> hour & 1 == 1 && this_hour != 0 {
            return hour * 60 + highest(this_hour);
        }
        let earlier_hours = self.hour.bits & !(u64::MAX << hour);
        highest(earlier_hours) * 60 + highest(self.minute.bits)
    }

    fn day_at_or_after(&self, day: i64, last_year: i64) -> Option<i64> {
        if self.every_day {
            return Some(day);
        }
        let Date { mut year, mut month, day: of_month } = Date::of_day(day);
        let mut first = day + 1 - of_month as i64;
        let mut open = u64::MAX << of_month;
        while year <= last_year {
            if self.month.bits >> month & 1 == 1 {
                let days = self.days_of_month(first) & open;
                if days != 0 {
                    return Some(first + lowest(days) - 1);
                }
            }
            open = u64::MAX;
            let later = self.month.bits & (u64::MAX << (month + 1));
            (year, month) = if later != 0 {
                (year, lowest(later) as u64)
            } else {
                (year + 1, lowest(self.month.bits) as u64)
            };
            first = first_of_month(year, month);
        }
        None
    }

    fn day_at_or_before(&self, day: i64, first_year: i64) -> Option<i64> {
        if self.every_day {
            return Some(day);
        }
        let Date { mut year, mut month, day: of_month } = Date::of_day(day);
        let mut first = day + 1 - of_month as i64;
        let mut open = u64::MAX >> (63 - of_month);
        while year >= first_year {
            if self.month.bits >> month & 1 == 1 {
                let days = self.days_of_month(first) & open;
                if days != 0 {
                    return Some(first + highest(days) - 1);
                }
            }
            open = u64::MAX;
            let earlier = self.month.bits & !(u64::MAX << month);
            (year, month) = if earlier != 0 {
                (year, highest(earlier) as u64)
            } else {
                (year - 1, highest(self.month.bits) as u64)
            };
            first = first_of_month(year, month);
        }
        None
    }

    /// The selected days (bits 1 to 31) of the month whose first day is `first`, by the day fields alone.
    fn days_of_month(&self, first: i64) -> u64 {
        let by_weekday = self.weekdays_of_six_weeks >> weekday_of_day(first) << 1;
        let days = if self.either_day() { self.day.bits | by_weekday } else { self.day.bits & by_weekday };
        days & days_up_to(days_in_month(first))
    }
}

/// A date of the Gregorian calendar, extended to all years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub year: i64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

/// Days in 400 years, after which the calendar repeats.
const DAYS_AN_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_FROM_MARCH_0: i64 = 719_468;

impl Date {
    /// The date `day` days after 1970-01-01. Years are counted from March, so that the leap day is the last.
    pub fn of_day(day: i64) -> Date {
        let day = day + EPOCH_FROM_MARCH_0;
        let (era, of_era) = (day.div_euclid(DAYS_AN_ERA), day.rem_euclid(DAYS_AN_ERA));
        let leap_days_before = of_era / 1_460 - of_era / 36_524 + of_era / 146_096;
        let year_of_era = (of_era - leap_days_before) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Date { year, month: month as u64, day: day as u64 }
    }
}

/// Days from 1970-01-01 to the first of a month; months beyond 12 run on into later years.
pub(crate) fn first_of_month(year: i64, month: u64) -> i64 {
    let months = year * 12 + month as i64 - 1;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let month_from_march = if month <= 2 { month + 9 } else { month - 3 };
    let (era, of_era) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
    let of_year = (153 * month_from_march + 2) / 5;
    era * DAYS_AN_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_FROM_MARCH_0
}

/// Bits 1 to `last`.
fn days_up_to(last: u64) -> u64 {
    (2 << last) - 2
}

fn days_in_month(first: i64) -> u64 {
    // 31 days after the first it is the 1st of the next month, or later by what this month is short of 31.
    32 - Date::of_day(first + 31).day
}

/// 0 for Sunday to 6 for Saturday. 1970-01-01 was a Thursday.
pub(crate) fn weekday_of_day(day: i64) -> u64 {
    (day + 4).rem_euclid(7) as u64
}

fn lowest(bits: u64) -> i64 {
    i64::from(bits.trailing_zeros())
}

fn highest(bits: u64) -> i64 {
    63 - i64::from(bits.leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_jiff_over_eight_centuries() {
        let epoch = jiff::civil::date(1970, 1, 1);
        for date in jiff::civil::date(1600, 1, 1).series(jiff::Span::new().days(1)).take(800 * 366) {
            let day = i64::from(epoch.until(date).unwrap().get_days());
            let got = Date::of_day(day);
            let want = (i64::from(date.year()), date.month() as u64, date.day() as u64);
            assert_eq!((got.year, got.month, got.day), want);
            assert_eq!(first_of_month(got.year, got.month) + got.day as i64 - 1, day);
            assert_eq!(weekday_of_day(day), date.weekday().to_sunday_zero_offset() as u64);
            assert_eq!(days_in_month(day + 1 - got.day as i64), date.days_in_month() as u64);
        }
    }
}
