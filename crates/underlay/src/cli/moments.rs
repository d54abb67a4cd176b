//! Times as a person writes them.

use std::time::Duration;

use underlay_core::Timestamp;

/// Reads how long: a number of days, hours, minutes or seconds.
pub(super) fn read_span(text: &str) -> Option<Duration> {
    let seconds_each = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    seconds_each.into_iter().find_map(|(unit, seconds)| {
        let digits = text.strip_suffix(unit)?;
        // Without the check, a sign would be taken as part of the number.
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // What no number holds is longer than any moment is away.
        let number: u64 = is_number.then(|| digits.parse().unwrap_or(u64::MAX))?;
        Some(Duration::from_secs(number.saturating_mul(seconds)))
    })
}

/// Reads a time, or how long from now.
pub(super) fn read_moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    match read_span(text) {
        Some(span) => now.checked_add(span).ok(),
        None => text.parse().ok(),
    }
}

/// Reads a time, or how long ago.
pub(super) fn read_past(text: &str, now: Timestamp) -> Option<Timestamp> {
    match read_span(text) {
        Some(span) => now.checked_sub(span).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_span_from_now() {
        let now = Timestamp::UNIX_EPOCH;
        let moment = |text| read_moment(text, now).map(Timestamp::as_second);
        assert_eq!(moment("1d"), Some(86_400));
        assert_eq!(moment("12h"), Some(43_200));
        assert_eq!(moment("30m"), Some(1_800));
        assert_eq!(moment("45s"), Some(45));
        assert_eq!(moment("1970-01-02T00:00:00Z"), Some(86_400));
        for wrong in ["", "d", "1", "-1d", "+1d", "1y", "tomorrow", "99999999999999999999d", "9999999999999d"]
        {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
        let past = |text| read_past(text, now).map(Timestamp::as_second);
        assert_eq!((past("1h"), past("1970-01-02T00:00:00Z")), (Some(-3_600), Some(86_400)));
        assert_eq!((past("-1h"), past("9999999999999d")), (None, None));
    }
}
