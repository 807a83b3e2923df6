//! Moments, by the civil calendar and in UTC, so that they sort and compare wherever they are read.

/// `2026-11-23 05:42 UTC`.
pub(crate) fn utc(unix_s: u64) -> String {
    let minutes = unix_s % 86_400 / 60;
    format!(
        "{} {:02}:{:02} UTC",
        date(unix_s / 86_400),
        minutes / 60,
        minutes % 60
    )
}

/// `2026-11-23T05:42:07.123Z`.
pub(crate) fn stamp(unix_us: u64) -> String {
    let (seconds, millis) = (unix_us / 1_000_000, unix_us / 1000 % 1000);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let date = date(seconds / 86_400);
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date so many days after 1970-01-01.
fn date(days: u64) -> String {
    // Days since 0000-03-01, whose years end with the day that leap years add.
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(utc(1_795_412_520), "2026-11-23 05:42 UTC");
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_782_399_999_000), "2000-02-28T23:59:59.999Z");
        assert_eq!(stamp(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
    }
}
