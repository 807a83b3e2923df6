//! Text for terminals: tables, and the escaping of what others have named. Pure. Names of tensors
//! come from models, which are not trusted: none may move the cursor or turn the text around.

use super::Paint;

/// Headings of columns that hold words of state.
const STATES: [&str; 4] = ["STATE", "RESULT", "ACTIVE", "AVAILABLE"];

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
    pub(crate) fn render(&self, paint: Paint) -> String {
        let headings: Vec<String> = self.headings.iter().map(|h| (*h).to_owned()).collect();
        let rows: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..headings.len())
            .map(|column| rows.iter().map(|row| width(row, column)).max().unwrap_or(0))
            .collect();
        let columns: Vec<(usize, Paint)> = widths
            .into_iter()
            .zip(&self.headings)
            .map(|(width, heading)| {
                let is_state = STATES.contains(heading);
                (width, if is_state { paint } else { Paint::Plain })
            })
            .collect();
        rows.iter().map(|row| line(row, &columns)).collect()
    }
}

fn width(row: &[String], column: usize) -> usize {
    row.get(column).map_or(0, |cell| cell.chars().count())
}

fn line(row: &[String], columns: &[(usize, Paint)]) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for (cell, &(width, paint)) in row.iter().zip(columns) {
        line.extend(std::iter::repeat_n(' ', owed));
        line.push_str(&paint.word(cell));
        owed = width.saturating_sub(cell.chars().count()) + 2;
    }
    line.push('\n');
    line
}

/// What one thing is, fact by fact: lines of a name and its value, the values under each other.
pub(crate) fn facts<T: AsRef<str>>(facts: &[(&str, T)], paint: Paint) -> String {
    let line = |(name, value): &(&str, T)| {
        let value = printable(value.as_ref());
        let value = match *name {
            "state" => paint.word(&value),
            _ => value,
        };
        format!("{name:<13}{value}\n")
    };
    facts.iter().map(line).collect()
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
            table.render(Paint::Plain),
            "NAME         N\na-long-name  1\né            -\n"
        );
    }

    #[test]
    fn colour_takes_no_room() {
        let mut table = Table::new(&["STATE", "N"]);
        table.row(["ready".to_owned(), "ready".to_owned()]);
        table.row(["restarting".to_owned(), "2".to_owned()]);
        assert_eq!(
            table.render(Paint::Ansi),
            "STATE       N\n\x1b[32mready\x1b[0m       ready\n\x1b[33mrestarting\x1b[0m  2\n"
        );
    }

    #[test]
    fn a_table_without_rows_shows_its_headings() {
        assert_eq!(Table::new(&["A", "B"]).render(Paint::Plain), "A  B\n");
    }

    #[test]
    fn facts_stand_under_each_other_and_cannot_steer_the_terminal() {
        assert_eq!(
            facts(&[("profile", "a"), ("kernel", "\r")], Paint::Plain),
            "profile      a\nkernel       \\u{d}\n"
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\u{202e}b"), "a\\u{1b}[2J\\u{202e}b");
    }
}
