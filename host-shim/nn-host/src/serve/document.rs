//! A file in TOML, read key by key: what is wrong with it is told by file, line and key, with what was expected, and
//! a key that means nothing by the one that was probably meant.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike a key must be to be the one that was meant: 1 is the same.
const ALIKE: f64 = 0.7;

/// How much of a key or a value is quoted.
const QUOTED_CHARS_MAX: usize = 64;

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}: {what}", path.display())]
pub(crate) struct Mistake {
    path: PathBuf,
    line: usize,
    what: String,
    /// What to do about it; may be empty.
    pub(crate) hint: String,
}

/// Where a file lies, and its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

/// One table of it.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    of: Text<'a>,
    table: &'a DeTable<'a>,
    /// `routes.2.limits.`, or nothing for the whole file.
    place: String,
    /// Where it begins.
    start: usize,
}

fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{cut:?}")
}

/// What a value is, for people.
fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        other => format!("a value of type {}", other.type_str()),
    }
}

/// The one that was probably meant.
fn nearest<'a>(known: &[&'a str], key: &str) -> Option<&'a str> {
    let likeness = |known: &&str| strsim::jaro_winkler(known, key);
    let likely = known.iter().map(|known| (likeness(known), *known));
    likely
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, nearest)| nearest)
}

// === impl Mistake ===

impl Mistake {
    /// Text that is no TOML.
    pub(super) fn unreadable(of: Text<'_>, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        of.mistake(at, error.message())
    }

    /// The same, with what to do about it.
    pub(super) fn hint(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }
}

// === impl Text ===

impl Text<'_> {
    fn mistake(&self, at: usize, what: impl Into<String>) -> Mistake {
        let before = self.text.get(..at).unwrap_or_default();
        Mistake {
            path: self.path.to_path_buf(),
            line: before.matches('\n').count().saturating_add(1),
            what: what.into(),
            hint: String::new(),
        }
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    pub(super) fn whole(of: Text<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            of,
            table,
            place: String::new(),
            start: 0,
        }
    }

    /// Something wrong with a key of this table, or with the table where it has no such key.
    pub(super) fn mistake(&self, key: &str, what: impl Into<String>) -> Mistake {
        let found = self.table.get_key_value(key);
        let at = found.map_or(self.start, |(key, _)| key.span().start);
        self.of.mistake(at, what)
    }

    fn unlike(&self, key: &str, value: &DeValue<'_>, expected: &str) -> Mistake {
        let (place, got) = (&self.place, kind(value));
        self.mistake(key, format!("{place}{key} is {got}; expected {expected}"))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Its own place, for people.
    pub(super) fn place(&self) -> &str {
        self.place.trim_end_matches('.')
    }

    /// The place of a key, for people.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.place)
    }

    /// The first of its keys that is not among those.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Mistake> {
        let mut keys = self.table.keys();
        let Some(key) = keys.find(|key| !known.contains(&key.get_ref().as_ref())) else {
            return Ok(());
        };
        let (place, key) = (&self.place, key.get_ref());
        let cut: String = key.chars().take(QUOTED_CHARS_MAX).collect();
        let what = format!("unknown key {place}{}", cut.escape_debug());
        let mut mistake = self.mistake(key, what);
        mistake.hint = match nearest(known, key) {
            Some(nearest) => format!("did you mean {place}{nearest}?"),
            None => format!("keys here are {}", known.join(", ")),
        };
        Err(mistake)
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Mistake> {
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.unlike(key, other, "a text")),
        }
    }

    /// A text that is something more.
    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, Mistake> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| self.unlike(key, &DeValue::String(text.into()), expected))
    }

    pub(super) fn number(&self, key: &str, min: u64, max: u64) -> Result<Option<u64>, Mistake> {
        let Some(value) = self.value(key).map(Spanned::get_ref) else {
            return Ok(None);
        };
        let number = match value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let within = number.filter(|number| (min..=max).contains(number));
        let unlike = || self.unlike(key, value, &format!("{min} to {max}"));
        within.ok_or_else(unlike).map(Some)
    }

    /// A list of texts that are something more.
    pub(super) fn list<T: std::str::FromStr>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<Vec<T>>, Mistake> {
        let Some(value) = self.value(key).map(Spanned::get_ref) else {
            return Ok(None);
        };
        let DeValue::Array(array) = value else {
            return Err(self.unlike(key, value, "a list"));
        };
        let element = |element: &Spanned<DeValue<'_>>| {
            let value = element.get_ref();
            let parsed = value.as_str().and_then(|text| text.parse().ok());
            parsed.ok_or_else(|| self.unlike(key, value, expected))
        };
        array
            .iter()
            .map(element)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn section(&self, key: &str) -> Result<Option<Self>, Mistake> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let section = self.below(value, format!("{}{key}.", self.place));
        let unlike = || self.unlike(key, value.get_ref(), "a table");
        section.ok_or_else(unlike).map(Some)
    }

    /// The tables of `[[key]]`, in their order.
    pub(super) fn sections(&self, key: &str) -> Result<Vec<Self>, Mistake> {
        let Some(value) = self.value(key).map(Spanned::get_ref) else {
            return Ok(Vec::new());
        };
        let tables = value.as_array().into_iter().flatten().enumerate();
        let section = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            self.below(value, format!("{}{key}.{index}.", self.place))
        };
        let sections: Option<Vec<Self>> = tables.map(section).collect();
        let is_list = value.as_array().is_some();
        let unlike = || self.unlike(key, value, &format!("tables, each begun by [[{key}]]"));
        sections.filter(|_| is_list).ok_or_else(unlike)
    }

    /// The tables below it by their names.
    pub(super) fn named(&self) -> Result<Vec<(&'a str, Self)>, Mistake> {
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &'a std::borrow::Cow<'a, str> = key.get_ref();
            let section = self.below(value, format!("{}{key}.", self.place));
            let unlike = || self.unlike(key, value.get_ref(), "a table");
            Ok((key.as_ref(), section.ok_or_else(unlike)?))
        };
        self.table.iter().map(entry).collect()
    }

    /// Its keys, whose values are texts.
    pub(super) fn texts(&self) -> Result<Vec<(String, String)>, Mistake> {
        let entry = |key: &'a Spanned<std::borrow::Cow<'a, str>>| {
            let key = key.get_ref();
            let text = self.text(key)?.unwrap_or_default();
            Ok((key.to_string(), text.to_owned()))
        };
        self.table.keys().map(entry).collect()
    }

    fn below(&self, value: &'a Spanned<DeValue<'a>>, place: String) -> Option<Self> {
        let table = value.get_ref().as_table()?;
        Some(Self {
            of: self.of,
            table,
            place,
            start: value.span().start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T: std::fmt::Debug>(
        text: &str,
        read: impl FnOnce(Section<'_>) -> Result<T, Mistake>,
    ) -> (String, String) {
        let table = DeTable::parse(text).unwrap();
        let path = Path::new("site.toml");
        let section = Section::whole(Text { path, text }, table.get_ref());
        let mistake = read(section).unwrap_err();
        (mistake.to_string(), mistake.hint)
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_one_that_was_meant() {
        let text = "# a comment\nlisten = \"a\"\nlisten2 = 3\n";
        let (what, hint) = told(text, |section| section.only(&["listen", "socket"]));
        assert_eq!(what, "site.toml, line 3: unknown key listen2");
        assert_eq!(hint, "did you mean listen?");
        let (_, hint) = told("zzz = 1", |section| section.only(&["listen", "socket"]));
        assert_eq!(hint, "keys here are listen, socket");
    }

    #[test]
    fn a_value_out_of_bounds_is_told_with_its_place_and_the_bounds() {
        let text = "[[routes]]\npath = \"/\"\n[[routes]]\n[routes.limits]\n\nmemory_max = -1\n";
        let (what, _) = told(text, |section| {
            let routes = section.sections("routes")?;
            let limits = routes[1].section("limits")?.unwrap();
            limits.number("memory_max", 1, 9)
        });
        let expected = "site.toml, line 6: routes.1.limits.memory_max is -1; expected 1 to 9";
        assert_eq!(what, expected);
    }

    #[test]
    fn values_of_other_types_are_told_as_what_they_are() {
        let text = "listen = 3\nroutes = 4\nenv = { A = [1] }\n";
        let (number, _) = told(text, |section| section.text("listen").map(drop));
        let (tables, _) = told(text, |section| section.sections("routes").map(drop));
        let (list, _) = told(text, |section| section.section("env")?.unwrap().texts());
        assert!(
            number.ends_with("line 1: listen is 3; expected a text"),
            "{number}"
        );
        assert!(
            tables.contains("expected tables, each begun by [[routes]]"),
            "{tables}"
        );
        assert!(
            list.ends_with("line 3: env.A is a value of type array; expected a text"),
            "{list}"
        );
    }
}
