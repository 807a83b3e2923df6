//! Which name was probably meant. Pure.

/// How alike two names must be for one to be taken for the other: 1 is the same.
const ALIKE: f64 = 0.7;

/// How much of a name is looked at: what comes from outside costs no more.
const CHARS_MAX: usize = 64;

/// The name that was probably meant; `None` where none is like it.
///
/// ```
/// use nn_tensor::nearest;
/// assert_eq!(nearest(["images", "sizes"], "imgaes"), Some("images"));
/// assert_eq!(nearest(["images", "sizes"], "labels"), None);
/// ```
#[must_use]
pub fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let name = head(name);
    let likeness = |known: &str| strsim::jaro_winkler(head(known), name);
    known
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, nearest)| nearest)
}

fn head(name: &str) -> &str {
    let end = name.char_indices().nth(CHARS_MAX).map(|(end, _)| end);
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        assert_eq!(
            nearest(["pixel_values", "mask"], "pixel_value"),
            Some("pixel_values")
        );
        assert_eq!(nearest(["Input3"], "input3"), Some("Input3"));
    }

    #[test]
    fn a_name_like_none_finds_none() {
        assert_eq!(nearest(["pixel_values", "mask"], "x"), None);
        assert_eq!(nearest([], "x"), None);
    }

    #[test]
    fn a_name_of_any_length_is_looked_at_by_its_head() {
        let long = "ö".repeat(CHARS_MAX + 1);
        let longer = format!("{long}x").repeat(1 << 10);
        assert_eq!(nearest(["x", &long], &longer), Some(long.as_str()));
    }
}
