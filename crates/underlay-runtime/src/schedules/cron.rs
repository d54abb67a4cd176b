//! Moments that come again and again, as `cron` writes them, in the local time of a zone.
//!
//! An expression has five fields: minute, hour, day of the month, month, day of the week. A field is `*`, a value, a
//! range `1-5`, either with a step `*/15` or `9-17/2`, or a list of these. Months and days of the week may be names:
//! `JAN`, `MON`. Sunday is 0 and 7. Where both day fields are given, a day that meets either of them is meant; a field
//! that begins with `*` is not given. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for what they say.
//!
//! When clocks are changed:
//!
//! - Where the expression names hours, every local time it names happens once on its day. A time that does not exist
//!   happens at the moment the clocks jump; a time that exists twice happens the first time.
//! - Where the hours are `*`, or `*` with a step, it means an interval, and goes with the clock on the wall: what does
//!   not exist is passed over, what exists twice happens twice.
//!
//! So a statement for half past two is made on every day of the year, and something every quarter of an hour keeps its
//! quarters through both changes.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use underlay_core::{Error, Timestamp};

/// How many days are looked through for a moment: the 29th of February is up to eight years away, and the 1st of a month
/// falls on some day of the week after twelve at most.
const DAYS_MAX: i32 = 13 * 366;
/// Longer than any change of clocks lasts, and than any zone is away from UTC.
const ZONE_REACH: SignedDuration = SignedDuration::from_hours(30);

/// What the database has a file of and is no zone: the first two are whatever this machine is set to, and another is set
/// to something else.
const NO_ZONES: [&str; 4] = ["localtime", "posixrules", "Factory", "Etc/Unknown"];
const NAMES_OF_ZONES: &str = "a zone has a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"";

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    text: String,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Whether the hours are given, and not `*`.
    names_hours: bool,
    /// Whether the days of the month are given.
    names_days: bool,
    /// Whether the days of the week are given.
    names_weekdays: bool,
}

/// Numbers from 0 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u64);

impl Set {
    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.0 >> number & 1 == 1)
    }

    fn add(&mut self, number: u8) {
        self.0 |= 1 << number;
    }

    fn iter(self) -> impl DoubleEndedIterator<Item = i8> {
        (0..64).filter(move |number| self.has(*number))
    }
}

/// A field of an expression.
struct Field {
    what: &'static str,
    min: u8,
    max: u8,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { what: "minute", min: 0, max: 59, names: &[] },
    Field { what: "hour", min: 0, max: 23, names: &[] },
    Field { what: "day of the month", min: 1, max: 31, names: &[] },
    Field {
        what: "month",
        min: 1,
        max: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field {
        what: "day of the week",
        min: 0,
        max: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

impl Field {
    fn parse(&self, text: &str) -> Result<Set, Error> {
        let mut set = Set::default();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.parse_step(step)?)),
                None => (part, None),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.min, self.max),
                Some((first, last)) => (self.parse_value(first)?, self.parse_value(last)?),
                None if step.is_some() => {
                    return Err(self.wrong(part, "a step needs a range: `*/5` or `10-50/5`"));
                }
                None => self.parse_value(range).map(|value| (value, value))?,
            };
            if first > last {
                return Err(self.wrong(part, "a range goes up"));
            }
            (first..=last).step_by(usize::from(step.unwrap_or(1))).for_each(|value| set.add(value));
        }
        Ok(set)
    }

    fn parse_value(&self, text: &str) -> Result<u8, Error> {
        let name = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        // A list of names is short.
        let named = name.map(|place| self.min + place as u8);
        let number = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match named.or_else(number) {
            Some(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ => Err(self.wrong(text, &format!("it is {} to {}", self.min, self.max))),
        }
    }

    fn parse_step(&self, text: &str) -> Result<u8, Error> {
        match text.parse() {
            Ok(step @ 1..) if text.bytes().all(|byte| byte.is_ascii_digit()) && step <= self.max => Ok(step),
            _ => Err(self.wrong(text, &format!("a step is 1 to {}", self.max))),
        }
    }

    fn wrong(&self, text: &str, right: &str) -> Error {
        Error::invalid(format!("{text:?} does not fit the {} of a cron expression: {right}", self.what))
    }
}

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let spelled = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = spelled.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(Error::invalid(format!(
                "the cron expression {text:?} has {} fields; it has five: minute, hour, day of the month, month and \
                 day of the week, such as \"0 6 1 * *\"",
                fields.len()
            )));
        };
        let mut weekdays = FIELDS[4].parse(weekday)?;
        if weekdays.has(7) {
            weekdays.add(0);
        }
        let cron = Self {
            text: text.trim().to_owned(),
            minutes: FIELDS[0].parse(minute)?,
            hours: FIELDS[1].parse(hour)?,
            days: FIELDS[2].parse(day)?,
            months: FIELDS[3].parse(month)?,
            weekdays,
            names_hours: !hour.starts_with('*'),
            names_days: !day.starts_with('*'),
            names_weekdays: !weekday.starts_with('*'),
        };
        match cron.has_a_day() {
            true => Ok(cron),
            false => {
                Err(Error::invalid(format!("the cron expression {text:?} names days that no month has")))
            }
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// The first moment after one; `None` where there is none before the end of time.
    pub(crate) fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.to_datetime(after).date();
        // Clocks that are put back over midnight make the end of yesterday come again.
        let mut day = today.yesterday().unwrap_or(today);
        for _ in 0..DAYS_MAX {
            let on = |day: Date| self.moments_of(day, zone).filter(|moment| *moment > after).min();
            if let Some(moment) = on(day) {
                // For the same reason, one of the next day may come before it.
                let next = day.tomorrow().ok().and_then(on);
                return Some(next.map_or(moment, |next| next.min(moment)));
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The last moment at or before one.
    pub(crate) fn last_until(&self, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.to_datetime(until).date();
        let mut day = today.tomorrow().unwrap_or(today);
        for _ in 0..DAYS_MAX {
            let on = |day: Date| self.moments_of(day, zone).filter(|moment| *moment <= until).max();
            if let Some(moment) = on(day) {
                let before = day.yesterday().ok().and_then(on);
                return Some(before.map_or(moment, |before| before.max(moment)));
            }
            day = day.yesterday().ok()?;
        }
        None
    }

    /// Whether there is a day at all.
    fn has_a_day(&self) -> bool {
        let days_of = |month: i8| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let by_date = || self.months.iter().any(|month| self.days.iter().any(|day| day <= days_of(month)));
        // Where days of the week are named too, one of those will do.
        self.names_weekdays || !self.names_days || by_date()
    }

    fn means(&self, day: Date) -> bool {
        let by_date = self.days.has(day.day());
        let by_weekday = self.weekdays.has(day.weekday().to_sunday_zero_offset());
        let by_either = match (self.names_days, self.names_weekdays) {
            (true, true) => by_date || by_weekday,
            _ => by_date && by_weekday,
        };
        by_either && self.months.has(day.month())
    }

    /// The moments of a local day, in no order.
    fn moments_of<'a>(&'a self, day: Date, zone: &'a TimeZone) -> impl Iterator<Item = Timestamp> + 'a {
        let times = self
            .hours
            .iter()
            .flat_map(move |hour| self.minutes.iter().map(move |minute| day.at(hour, minute, 0, 0)));
        let is_meant = self.means(day);
        // Nearly no day has a change of clocks near it.
        let steady = if is_meant { steady_offset(day, zone) } else { None };
        let times = is_meant.then_some(times).into_iter().flatten();
        times
            .flat_map(move |time| match steady {
                Some(offset) => [offset.to_timestamp(time).ok(), None],
                None => self.moments_at(time, zone),
            })
            .flatten()
    }

    /// The moments of a local time on a day on which clocks may be changed.
    fn moments_at(&self, time: DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
        match zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(time).ok(), None],
            AmbiguousOffset::Gap { .. } if !self.names_hours => [None, None],
            AmbiguousOffset::Gap { after, .. } => {
                // By the later offset it is just before the clocks jump.
                let before = after.to_timestamp(time).ok();
                let jump = before.and_then(|before| zone.following(before).next());
                [jump.map(|jump| jump.timestamp()), None]
            }
            AmbiguousOffset::Fold { before, after } => {
                let second = (!self.names_hours).then(|| after.to_timestamp(time).ok()).flatten();
                [before.to_timestamp(time).ok(), second]
            }
        }
    }
}

/// The offset of a zone on a day, where clocks are not changed on it nor beside it.
fn steady_offset(day: Date, zone: &TimeZone) -> Option<jiff::tz::Offset> {
    let start = jiff::tz::Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).ok()?;
    let from = start.checked_sub(ZONE_REACH).ok()?;
    let to = start.checked_add(ZONE_REACH + SignedDuration::from_hours(24)).ok()?;
    let change = zone.following(from).next();
    change.is_none_or(|change| change.timestamp() > to).then(|| zone.to_offset(from))
}

/// Refuses the name of what is no zone for a new schedule. One that was stored with it goes on as it was.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn check_zone(name: &str) -> Result<(), Error> {
    match NO_ZONES.iter().any(|no_zone| no_zone.eq_ignore_ascii_case(name)) {
        true => Err(Error::invalid(format!("{name:?} is no time zone of its own; {NAMES_OF_ZONES}"))),
        false => Ok(()),
    }
}

/// Finds a time zone by its name.
///
/// # Errors
/// [`Error::Invalid`] where there is no such zone.
pub(crate) fn find_zone(name: &str) -> Result<TimeZone, Error> {
    // The database would take it for a file, whatever it is called.
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
    if name.is_empty() || name.len() > 64 || name.starts_with('/') || !name.bytes().all(of_name) {
        return Err(Error::invalid(format!("there is no time zone {name:?}; {NAMES_OF_ZONES}")));
    }
    TimeZone::get(name).map_err(|error| {
        Error::invalid(format!("there is no time zone {name:?} ({error}); {NAMES_OF_ZONES}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next moments of an expression, in local time with its offset.
    fn next(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (cron, zone): (Cron, _) = (cron.parse().unwrap(), find_zone(zone).unwrap());
        let mut moment: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        while found.len() < count {
            let Some(next) = cron.next_after(moment, &zone) else { break };
            assert!(next > moment);
            assert_eq!(cron.last_until(next, &zone), Some(next), "backwards it is the same");
            let just_before = next.checked_sub(SignedDuration::from_micros(1)).unwrap();
            assert!(cron.last_until(just_before, &zone).is_none_or(|last| last <= moment));
            moment = next;
            found.push(next.to_zoned(zone.clone()).strftime("%m-%d %H:%M%:z").to_string());
        }
        found
    }

    #[test]
    fn what_is_named_by_its_hour_happens_once_a_day_in_berlin() {
        let after = "2026-03-28T00:00:00Z";
        let spring = ["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"];
        assert_eq!(next("30 2 * * *", "Europe/Berlin", after, 3), spring);
        // Several that do not exist are one at the jump, and none of the day is lost.
        let several = ["03-28 02:00+01:00", "03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:00+02:00"];
        assert_eq!(next("0,30 2 * * *", "Europe/Berlin", after, 4), several);
        let after = "2026-10-24T00:00:00Z";
        let autumn = ["10-24 02:30+02:00", "10-25 02:30+02:00", "10-26 02:30+01:00"];
        assert_eq!(next("30 2 * * *", "Europe/Berlin", after, 3), autumn);
    }

    #[test]
    fn an_interval_goes_with_the_clock_on_the_wall_in_berlin() {
        let spring = ["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"];
        assert_eq!(next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3), spring);
        let autumn = ["10-25 02:00+02:00", "10-25 02:30+02:00", "10-25 02:00+01:00", "10-25 02:30+01:00"];
        let found = next("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 5);
        assert_eq!(found[..4], autumn);
        assert_eq!(found[4], "10-25 03:00+01:00");
        let hourly = ["10-25 02:00+02:00", "10-25 02:00+01:00", "10-25 04:00+01:00"];
        assert_eq!(next("0 */2 * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 3), hourly);
    }

    #[test]
    fn clocks_change_at_another_hour_in_new_york() {
        let spring = ["03-08 03:00-04:00", "03-09 02:15-04:00"];
        assert_eq!(next("15 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2), spring);
        let autumn = ["11-01 01:30-04:00", "11-02 01:30-05:00"];
        assert_eq!(next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2), autumn);
        let hourly = ["11-01 01:00-04:00", "11-01 01:00-05:00", "11-01 02:00-05:00"];
        assert_eq!(next("0 * * * *", "America/New_York", "2026-11-01T04:30:00Z", 3), hourly);
    }

    #[test]
    fn clocks_change_by_half_an_hour_on_lord_howe() {
        let spring = ["10-04 02:30+11:00", "10-05 02:15+11:00"];
        assert_eq!(next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2), spring);
        let autumn = ["04-05 01:45+11:00", "04-06 01:45+10:30"];
        assert_eq!(next("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2), autumn);
        let quarters = [
            "04-05 01:30+11:00",
            "04-05 01:45+11:00",
            "04-05 01:30+10:30",
            "04-05 01:45+10:30",
            "04-05 02:00+10:30",
        ];
        assert_eq!(next("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:20:00Z", 5), quarters);
        let over = ["10-04 01:45+10:30", "10-04 02:30+11:00", "10-04 02:45+11:00"];
        assert_eq!(next("*/15 * * * *", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", 3), over);
    }

    #[test]
    fn clocks_that_change_at_midnight_lose_no_day() {
        // Where midnight does not exist, and where the end of a day exists twice.
        let santiago = ["09-05 00:00-04:00", "09-06 01:00-03:00", "09-07 00:00-03:00"];
        assert_eq!(next("@daily", "America/Santiago", "2026-09-05T00:00:00Z", 3), santiago);
        let twice = ["04-04 23:30-03:00", "04-04 23:30-04:00", "04-05 00:30-04:00"];
        assert_eq!(next("30 * * * *", "America/Santiago", "2026-04-05T02:00:00Z", 3), twice);
        let once = ["04-04 23:30-03:00", "04-05 23:30-04:00"];
        assert_eq!(next("30 23 * * *", "America/Santiago", "2026-04-05T02:00:00Z", 2), once);
    }

    #[test]
    fn days_are_named_as_cron_names_them() {
        let first = ["02-01 06:00+01:00", "03-01 06:00+01:00", "04-01 06:00+02:00"];
        assert_eq!(next("0 6 1 * *", "Europe/Berlin", "2026-01-02T00:00:00Z", 3), first);
        let either = ["02-06 00:00+00:00", "02-13 00:00+00:00", "02-20 00:00+00:00"];
        assert_eq!(next("0 0 13 * FRI", "UTC", "2026-01-31T00:00:00Z", 3), either);
        let both = ["02-01 00:00+00:00", "03-01 00:00+00:00"];
        assert_eq!(next("0 0 */5 * 7", "UTC", "2026-01-31T00:00:00Z", 2), both);
        let leap = ["02-29 00:00+00:00"];
        assert_eq!(next("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), leap);
        let of_work = ["10-30 17:00+01:00", "11-02 09:00+01:00"];
        assert_eq!(next("0 9-17/4 * OCT-DEC 1-5", "Europe/Berlin", "2026-10-30T13:00:00Z", 2), of_work);
    }

    #[test]
    fn an_interval_has_no_hole_and_no_moment_twice_where_clocks_are_put_back() {
        let (cron, zone): (Cron, _) =
            ("*/5 * * * *".parse().unwrap(), find_zone("Australia/Lord_Howe").unwrap());
        let mut moment: Timestamp = "2026-03-31T00:00:00Z".parse().unwrap();
        for _ in 0..10 * 24 * 12 {
            let next = cron.next_after(moment, &zone).unwrap();
            assert_eq!(next.duration_since(moment), SignedDuration::from_mins(5), "after {moment}");
            moment = next;
        }
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_told() {
        for (text, told) in [
            ("", "0 fields"),
            ("0 0 * *", "4 fields"),
            ("0 0 0 1 * *", "6 fields"),
            ("61 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * foo *", "month"),
            ("* * * * 8", "day of the week"),
            ("5-1 * * * *", "goes up"),
            ("*/0 * * * *", "a step is 1 to 59"),
            ("+5 * * * *", "minute"),
            ("5/10 * * * *", "a step needs a range"),
            ("1,,2 * * * *", "minute"),
            ("0 0 30 2 *", "no month has"),
            ("0 0 31 4,6 *", "no month has"),
            ("@often", "1 fields"),
        ] {
            let error = text.parse::<Cron>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        for zone in ["", "Berlin", "../etc/passwd", "/etc/passwd", "Europe/Nowhere", "Europe Berlin"] {
            let error = find_zone(zone).unwrap_err().to_string();
            assert!(error.contains("there is no time zone") && error.contains("Europe/Berlin"), "{error}");
        }
        for zone in ["localtime", "posixrules", "factory", "Etc/Unknown"] {
            let error = check_zone(zone).unwrap_err().to_string();
            assert!(error.contains(zone) && error.contains("Europe/Berlin"), "{error}");
        }
        check_zone("Etc/UTC").unwrap();
    }
}
