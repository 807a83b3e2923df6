//! Numbers as people read them. Pure; JSON never goes through here.

/// `17.7 MiB`; exact below 1 KiB.
pub(crate) fn bytes(count: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match units.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{} {unit}", tenths(count, size)),
        None => format!("{count} B"),
    }
}

/// `1 site`, `2 sites`.
pub(crate) fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('y') => format!("{number} {}ies", what.trim_end_matches('y')),
        _ => format!("{number} {what}s"),
    }
}

/// `123 ms`, `1.2 s`, `3 min 20 s`, `2 d 4 h`.
pub(crate) fn micros(count: u64) -> String {
    let seconds = count / 1_000_000;
    match seconds {
        0 if count < 1000 => format!("{count} us"),
        0 if count < 10_000 => format!("{} ms", tenths(count, 1000)),
        0 => format!("{} ms", count / 1000),
        1..60 => format!("{} s", tenths(count, 1_000_000)),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `count / unit` with one decimal, cut off.
fn tenths(count: u64, unit: u64) -> String {
    let rest = u128::from(count % unit) * 10 / u128::from(unit);
    format!("{}.{rest}", count / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_has_no_plural() {
        let read = [
            (0, "time"),
            (1, "time"),
            (1, "repository"),
            (2, "repository"),
        ];
        let read = read.map(|(number, what)| count(number, what));
        assert_eq!(
            read,
            ["0 times", "1 time", "1 repository", "2 repositories"]
        );
    }

    #[test]
    fn bytes_are_in_the_largest_unit_that_fits() {
        let read = [0, 1023, 1024, 18_554_880, u64::MAX].map(bytes);
        assert_eq!(
            read,
            ["0 B", "1023 B", "1.0 KiB", "17.6 MiB", "16777215.9 TiB"]
        );
    }

    #[test]
    fn durations_are_in_units_of_their_size() {
        let read = [
            7,
            3_400,
            123_456,
            1_250_000,
            200_000_000,
            9_000_000_000,
            187_200_000_000,
        ]
        .map(micros);
        assert_eq!(
            read,
            [
                "7 us",
                "3.4 ms",
                "123 ms",
                "1.2 s",
                "3 min 20 s",
                "2 h 30 min",
                "2 d 4 h"
            ]
        );
    }
}
