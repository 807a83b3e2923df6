//! Text for terminals: tables, and the escaping of what others have named. Pure. Names of tensors
//! come from models, which are not trusted: none may move the cursor or turn the text around.

/// Rows under headings, aligned when rendered.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell shows as `-`.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            text => printable(text),
        });
        self.rows.push(cells.collect());
    }

    /// The table as lines, each ended; headings alone where there are no rows.
    pub(crate) fn render(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|h| (*h).to_owned()).collect();
        let rows: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..headings.len())
            .map(|column| rows.iter().map(|row| width(row, column)).max().unwrap_or(0))
            .collect();
        rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn width(row: &[String], column: usize) -> usize {
    row.get(column).map_or(0, |cell| cell.chars().count())
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    format!("{}\n", cells.join("  ").trim_end())
}

/// What one thing is, fact by fact: lines of a name and its value, the values under each other.
pub(crate) fn facts<T: AsRef<str>>(facts: &[(&str, T)]) -> String {
    facts
        .iter()
        .map(|(name, value)| format!("{name:<13}{}\n", printable(value.as_ref())))
        .collect()
}

/// The text with control and direction-changing characters escaped as `\u{…}`.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = unprintable(c).then(|| c.escape_unicode());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Controls (C0, DEL, C1), line and paragraph separators, and Unicode's direction marks.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(["a-long-name".to_owned(), "1".to_owned()]);
        table.row(["é".to_owned(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME         N\na-long-name  1\né            -\n"
        );
    }

    #[test]
    fn a_table_without_rows_shows_its_headings() {
        assert_eq!(Table::new(&["A", "B"]).render(), "A  B\n");
    }

    #[test]
    fn facts_stand_under_each_other_and_cannot_steer_the_terminal() {
        assert_eq!(
            facts(&[("profile", "a"), ("kernel", "\r")]),
            "profile      a\nkernel       \\u{d}\n"
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\u{202e}b"), "a\\u{1b}[2J\\u{202e}b");
    }
}
