//! Manual pages and completions of a program, written by the program itself from the command line that it parses:
//! they cannot tell of a flag that is not there, and building generates nothing.
//!
//! Each program says in its `manual.rs` what its pages tell beyond the command line, and begins `main` with
//! [`wanted`]. `cargo xtask install` asks each program for its pages. The only crate that names `clap_mangen` and
//! `clap_complete`.

mod completion;
mod page;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;

pub use completion::{Shell, completion};
pub use page::{Chapter, Item, Section};

/// The flag that [`wanted`] looks for. No help and no completion shows it: it is for whoever packs an installation.
const FLAG: &str = "--write-manual";

/// What a program's pages say beyond its command line.
#[derive(Clone, Copy, Debug)]
pub struct Manual {
    /// Where in the manual they belong.
    pub section: Section,
    /// Chapters of the program's own page, in this order.
    pub chapters: &'static [Chapter],
}

/// Why pages or completions could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ManualError {
    /// A folder could not be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folder of `PROGRAM --write-manual FOLDER`; `None` for any other command line. The flag counts only where it
/// stands alone, so that it can be mistaken for nothing else and nothing else for it.
pub fn wanted(arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.into_iter().skip(1);
    let folder = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(folder), None) if flag == FLAG => folder,
        _ => return None,
    };
    (!folder.is_empty()).then(|| folder.into())
}

/// Writes all of it into a folder, which is made if need be, and tells the files:
///
/// ```text
/// man/man1/PROGRAM.1  man/man1/PROGRAM-COMMAND.1 …  (man8 for a daemon)
/// bash/PROGRAM        zsh/_PROGRAM                   fish/PROGRAM.fish
/// ```
///
/// The same program writes the same bytes every time.
///
/// # Errors
/// When a folder or a file cannot be written.
pub fn write(
    command: &Command,
    manual: &Manual,
    folder: &Path,
) -> Result<Vec<PathBuf>, ManualError> {
    let mut written = Vec::new();
    for page in page::pages(command, manual) {
        let path = folder.join("man").join(page.place);
        written.push(put(path, &page.text)?);
    }
    for shell in Shell::ALL {
        let path = folder
            .join(shell.name())
            .join(shell.file_of(command.get_name()));
        written.push(put(path, completion(command, shell).as_bytes())?);
    }
    Ok(written)
}

fn put(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, ManualError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| ManualError::Folder {
            path: folder.to_owned(),
            source,
        })?;
    }
    match fs::write(&path, bytes) {
        Ok(()) => Ok(path),
        Err(source) => Err(ManualError::Write { path, source }),
    }
}

#[cfg(test)]
mod tests;
