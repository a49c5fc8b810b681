//! Days and times of day of the proleptic Gregorian calendar, in UTC.

use std::fmt;
use std::time::Duration;

use otp_grant::time::Timestamp;

/// When a day begins. A day before 1970 begins at 1970.
pub(crate) fn beginning_of_day(year: u16, month: u8, day: u8) -> Timestamp {
    // Years begin in March, so that the day that some of them lack is their last one.
    let (year, month) = (i64::from(year), i64::from(month));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = u64::try_from(365 * year + leap_days + day_of_year - MARCH_OF_YEAR_0).unwrap_or_default();
    Timestamp::from_unix_secs(days.saturating_mul(DAY))
}

/// An instant, to be read by people: `2026-11-29 13:10:29 UTC`.
#[derive(Clone, Copy)]
pub(crate) struct Utc(pub(crate) Timestamp);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = fields(self.0);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// An instant, to be read by machines: `2026-11-29T13:10:29Z` (RFC 3339).
#[derive(Clone, Copy)]
pub(crate) struct Rfc3339(pub(crate) Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = fields(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The year, month, day, hour, minute and second of an instant.
fn fields(instant: Timestamp) -> [u64; 6] {
    let seconds = instant.as_unix_secs();
    let (days, time) = (seconds / DAY + MARCH_OF_YEAR_0.unsigned_abs(), seconds % DAY);
    // 400 years always have as many days.
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, is_next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    [era * 400 + year + is_next, month, day, time / 3600, time / 60 % 60, time % 60]
}

/// A length of time, to be read by people, in its two largest units: `23 h 52 min`.
#[derive(Clone, Copy)]
pub(crate) struct Rounded(pub(crate) Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, hours, minutes) = (seconds / DAY, seconds / 3600 % 24, seconds / 60 % 60);
        match seconds {
            0..60 => write!(f, "{seconds} s"),
            60..3600 => write!(f, "{minutes} min {} s", seconds % 60),
            3600..DAY => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

const DAY: u64 = 24 * 60 * 60;

/// From the first of March of year 0 to 1970, in days.
const MARCH_OF_YEAR_0: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (year, month, day, seconds) in [
            (1970, 1, 1, 0),
            (2000, 2, 29, 951_782_400),
            (2000, 3, 1, 951_868_800),
            (2026, 11, 29, 1_795_910_400),
            (2026, 12, 31, 1_798_675_200),
            (2100, 3, 1, 4_107_542_400),
        ] {
            let begins = beginning_of_day(year, month, day);
            assert_eq!(begins.as_unix_secs(), seconds, "{year}-{month}-{day}");
            assert_eq!(Utc(begins).to_string(), format!("{year:04}-{month:02}-{day:02} 00:00:00 UTC"));
        }
        let instant = Timestamp::from_unix_secs(1_795_957_829);
        assert_eq!(Utc(instant).to_string(), "2026-11-29 13:10:29 UTC");
        assert_eq!(Rfc3339(instant).to_string(), "2026-11-29T13:10:29Z");
        for (seconds, last) in [
            (951_782_399, "2000-02-28T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(Rfc3339(Timestamp::from_unix_secs(seconds)).to_string(), last);
        }
    }

    #[test]
    fn a_length_of_time_has_two_units() {
        let told = [59, 61, 3600, 85_920, 86_400 + 7_200].map(|secs| Rounded(Duration::from_secs(secs)).to_string());
        assert_eq!(told, ["59 s", "1 min 1 s", "1 h 0 min", "23 h 52 min", "1 d 2 h"]);
    }
}
