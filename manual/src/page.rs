//! Manual pages: one for a program, one for each of its commands, in roff. Pure.

use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::Manual;

/// What all pages together are called, at the foot of each.
const BOOK: &str = "WebAssembly inference";

/// A section of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Programs for users: 1.
    Users,
    /// Daemons, and what administers them: 8.
    Administrators,
}

/// A chapter of a page.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// Its title, as the manual has them: `FILES`, `ENVIRONMENT`, `EXIT STATUS`.
    pub title: &'static str,
    /// What stands there.
    pub items: &'static [Item],
}

/// A part of a chapter.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// A paragraph.
    Text(&'static str),
    /// A file, a variable, a number, a signal; and what it is.
    Entry(&'static str, &'static str),
}

/// A page, and where below the folder of the manual it belongs.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) place: PathBuf,
    pub(crate) text: Vec<u8>,
}

// === impl Section ===

impl Section {
    const fn number(self) -> &'static str {
        match self {
            Self::Users => "1",
            Self::Administrators => "8",
        }
    }
}

/// The program's page first, then its commands', as the help lists them.
pub(crate) fn pages(command: &Command, manual: &Manual) -> Vec<Page> {
    // `help` says what the pages say.
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let source = format!(
        "{} {}",
        command.get_name(),
        command.get_version().unwrap_or_default()
    );
    let mut pages = Vec::new();
    collect(&command, None, manual, &source, &mut pages);
    pages
}

fn collect(
    command: &Command,
    above: Option<&str>,
    manual: &Manual,
    source: &str,
    pages: &mut Vec<Page>,
) {
    pages.push(page(command, above, manual, source));
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        collect(below, Some(name(command)), manual, source, pages);
    }
}

/// `nnctl-sandbox-explain`.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, above: Option<&str>, manual: &Manual, source: &str) -> Page {
    let number = manual.section.number();
    let man = Man::new(command.clone()).section(number);
    let mut text = title(name(command), number, source).into_bytes();
    let has_options = command.get_arguments().any(|a| !a.is_hide_set());
    let has_commands = command.get_subcommands().any(|c| !c.is_hide_set());
    let rendered = man
        .render_name_section(&mut text)
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| match has_options {
            true => man.render_options_section(&mut text),
            false => Ok(()),
        })
        .and_then(|()| match has_commands {
            true => man.render_subcommands_section(&mut text),
            false => Ok(()),
        })
        .and_then(|()| chapters(above, manual).to_writer(&mut text));
    rendered.expect("a Vec takes whatever is written to it");
    Page {
        place: PathBuf::from(format!("man{number}")).join(man.get_filename()),
        text,
    }
}

/// The first line. Not by the library: without a date, which would have to be that of the build, it moves what follows
/// to the date's place. Names of programs and commands need no escaping.
fn title(name: &str, number: &str, source: &str) -> String {
    let name = name.to_uppercase();
    format!(".TH \"{name}\" \"{number}\" \"\" \"{source}\" \"{BOOK}\"\n")
}

/// The program's page has the chapters; those of its commands point to it.
fn chapters(above: Option<&str>, manual: &Manual) -> Roff {
    let mut roff = Roff::default();
    match above {
        None => {
            for chapter in manual.chapters {
                roff.control("SH", [chapter.title]);
                let mut follows = false;
                for item in chapter.items {
                    render(&mut roff, item, follows);
                    follows = true;
                }
            }
        }
        Some(above) => {
            roff.control("SH", ["SEE ALSO"]);
            let number = manual.section.number();
            roff.text([bold(above), roman(format!("({number})"))]);
        }
    }
    roff
}

/// A title makes a paragraph by itself.
fn render(roff: &mut Roff, item: &Item, follows: bool) {
    match item {
        Item::Text(text) => {
            if follows {
                roff.control("PP", []);
            }
            roff.text([roman(*text)]);
        }
        Item::Entry(term, text) => {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
    }
}
