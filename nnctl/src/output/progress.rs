//! A load as it proceeds, phase by phase: one line on a terminal, nothing elsewhere. The line goes when the load is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn anew where nothing is counted.
const TICK: Duration = Duration::from_millis(100);

/// What a load goes through, in this order; a phase may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The digest of the file is made.
    Checking = 1,
    /// Its bytes go to the daemon.
    Upload,
    /// The daemon reads what they say.
    Vetting,
    /// They go to its disk.
    Storing,
    /// A worker takes them.
    Loading,
    /// It runs them as model.toml says.
    WarmUp,
}

/// How many there are.
const PHASES: u8 = Phase::WarmUp as u8;

/// The line.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The phase that is shown: two threads tell of them, and none is gone back to.
    shown: Arc<AtomicU8>,
}

// === impl Phase ===

impl Phase {
    /// `[3/6] vetting`.
    fn text(self) -> String {
        let name = match self {
            Self::Checking => "checking",
            Self::Upload => "upload",
            Self::Vetting => "vetting",
            Self::Storing => "storing",
            Self::Loading => "loading",
            Self::WarmUp => "warm-up",
        };
        format!("[{}/{PHASES}] {name}", self as u8)
    }

    /// Whether its bytes are counted here.
    const fn is_counted(self) -> bool {
        matches!(self, Self::Checking | Self::Upload)
    }

    const fn template(self) -> &'static str {
        if self.is_counted() {
            "{msg:15} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}"
        } else {
            "{msg:15} {spinner} {elapsed}"
        }
    }
}

// === impl Progress ===

impl Progress {
    /// Of a file of so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        // Hidden by itself where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        Self {
            bar,
            shown: Arc::default(),
        }
    }

    /// The load has come to a phase.
    pub(crate) fn phase(&self, phase: Phase) {
        let before = self.shown.fetch_max(phase as u8, Ordering::Relaxed);
        if before >= phase as u8 {
            return;
        }
        if let Ok(style) = ProgressStyle::with_template(phase.template()) {
            self.bar.set_style(style);
        }
        self.bar.set_message(phase.text());
        self.bar.reset();
        if !phase.is_counted() {
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// So many more bytes are done.
    pub(crate) fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_says_how_far_the_load_is() {
        assert_eq!(Phase::Checking.text(), "[1/6] checking");
        assert_eq!(Phase::WarmUp.text(), "[6/6] warm-up");
    }

    #[test]
    fn every_phase_has_a_line_that_can_be_drawn() {
        let phases = [
            Phase::Checking,
            Phase::Upload,
            Phase::Vetting,
            Phase::Storing,
            Phase::Loading,
            Phase::WarmUp,
        ];
        assert!(phases.is_sorted());
        let drawn = phases.map(|phase| ProgressStyle::with_template(phase.template()).is_ok());
        assert_eq!(drawn, [true; 6]);
    }

    #[test]
    fn no_phase_is_gone_back_to() {
        let progress = Progress::new(10);
        progress.phase(Phase::Vetting);
        progress.phase(Phase::Upload);
        assert_eq!(progress.bar.message(), "[3/6] vetting");
    }
}
