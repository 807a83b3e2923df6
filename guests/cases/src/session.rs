//! Runs that last: many computes summed up, and a guest that its test talks to by stdin.

use std::collections::HashSet;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

/// Whole replies, counted: how many, how many failed, how many were different, and the last.
#[derive(Debug, Default)]
pub struct Tally {
    computes: usize,
    errors: usize,
    distinct: HashSet<String>,
    last: Option<String>,
}

/// Gives each line of stdin to `deed`, which says whether all was well; ends with stdin, with the line `quit`, or at the
/// first line after `seconds` (0: never). `Ok(false)` when one was not well.
///
/// # Errors
/// When stdin cannot be read.
pub fn hold(seconds: u64, mut deed: impl FnMut(&str) -> bool) -> std::io::Result<bool> {
    let end = Instant::now() + Duration::from_secs(seconds);
    println!("ok ready");
    let mut sound = true;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "quit" || (seconds > 0 && Instant::now() >= end) {
            break;
        }
        sound &= deed(line.trim());
    }
    Ok(sound)
}

// === impl Tally ===

impl Tally {
    /// Counts one more: the reply's checksum, or the line that says why there is none.
    pub fn add(&mut self, reply: Result<String, String>) {
        self.computes += 1;
        match reply {
            Ok(checksum) => {
                self.distinct.insert(checksum.clone());
                self.last = Some(checksum);
            }
            Err(line) => {
                self.errors += 1;
                println!("{line}");
            }
        }
    }

    /// Prints the sum. Whether there was no error.
    #[must_use]
    pub fn print(&self) -> bool {
        let Self {
            computes, errors, ..
        } = self;
        let (distinct, last) = (self.distinct.len(), self.last.as_deref().unwrap_or("-"));
        println!("ok computes={computes} errors={errors} distinct={distinct} last={last}");
        *errors == 0
    }
}
