//! Runs cases through everything there is: an operator loads the model by `nnctl`, a guest in `nn-host` computes, once as a component
//! and once as a core module, and what each was given is judged.
//!
//! ```text
//! nnctl load ── refused ─────────────────────────────▶ Miss (load)
//!      │
//!  component ── refused ─▶ Miss (load, compute)    outputs ── wrong ─▶ Miss (wrong)
//!      │                                              │
//!  core module, which has to end alike               Pass
//! ```

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nn_tests::{Daemon, nnctl};

use crate::caller::{Answer, Caller};
use crate::case::Case;
use crate::numbers::{Wrong, judge};
use crate::wire::Tensor;

/// A core module gives no graph back, and may have 64.
const CASES_PER_GUEST: usize = 48;

/// How one case ended.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `None` for a case that passed.
    pub(crate) miss: Option<Miss>,
    pub(crate) core: Core,
}

/// Where it went wrong, and what was said.
#[derive(Clone, Debug)]
pub(crate) struct Miss {
    pub(crate) stage: Stage,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Load,
    Compute,
    Wrong(Wrong),
    Crash,
}

/// How it ended for the core module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    /// As for the component.
    Alike,
    /// Not run: the model did not load, or core modules have no word for bf16.
    Untold,
    /// Otherwise: this.
    Apart(String),
}

/// Runs each case once, in so many lanes, and gives how they ended in their order.
pub(crate) fn run(daemon: &Daemon, backend: &str, cases: &[&Case], lanes: usize) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let seen: Mutex<Vec<Option<Seen>>> = Mutex::new(vec![None; cases.len()]);
    let lane = || {
        let mut lane = Lane::new(daemon, backend);
        while let place = next.fetch_add(1, Ordering::Relaxed)
            && let Some(case) = cases.get(place)
        {
            let ended = lane.run(case);
            seen.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(ended);
        }
    };
    thread::scope(|scope| {
        for number in 0..lanes {
            let builder = thread::Builder::new().name(format!("lane-{number}"));
            builder.spawn_scoped(scope, lane).expect("a thread");
        }
    });
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    seen.into_iter()
        .map(|seen| seen.expect("each was run"))
        .collect()
}

/// How the framework alone ends on a case: `None` for one that passes.
pub(crate) fn alone(backend: &str, library: &Path, case: &Case) -> Option<Miss> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.onnx");
    std::fs::write(&file, &case.model).expect("a file in it");
    let mut framework = Caller::framework(backend, library, &file).expect("nn-alone starts");
    first_miss(&mut framework, case, |inputs| inputs.to_vec())
}

/// Two guests that go on from case to case.
struct Lane<'a> {
    daemon: &'a Daemon,
    backend: &'a str,
    folder: tempfile::TempDir,
    guests: Option<Guests>,
}

struct Guests {
    component: Caller,
    core: Caller,
    cases: usize,
}

// === impl Lane ===

impl<'a> Lane<'a> {
    fn new(daemon: &'a Daemon, backend: &'a str) -> Self {
        Self {
            daemon,
            backend,
            folder: tempfile::tempdir().expect("a folder"),
            guests: None,
        }
    }

    fn run(&mut self, case: &Case) -> Seen {
        let name = case.model_name();
        let file = self.folder.path().join("model.onnx");
        std::fs::write(&file, &case.model).expect("room for a model");
        if let Err(text) = self.load(&name, &file) {
            let stage = Stage::Load;
            let miss = Some(Miss { stage, text });
            return Seen {
                miss,
                core: Core::Untold,
            };
        }
        let mut guests = self
            .guests
            .take()
            .unwrap_or_else(|| Guests::start(self.daemon));
        let seen = guests.run(case);
        guests.cases += 1;
        // One that has ended is not asked again.
        let is_whole = !matches!(&seen.miss, Some(miss) if miss.text.starts_with(GONE));
        self.guests = Some(guests).filter(|guests| is_whole && guests.cases < CASES_PER_GUEST);
        nnctl(self.daemon, &["unload", &name]).success();
        seen
    }

    fn load(&self, name: &str, file: &Path) -> Result<(), String> {
        let file = file.to_str().expect("a path in UTF-8");
        let loaded = nnctl(
            self.daemon,
            &["load", name, file, "--backend", self.backend],
        );
        match loaded.code {
            Some(0) => Ok(()),
            _ => Err(loaded.stderr),
        }
    }
}

/// How the text begins when nobody answered.
const GONE: &str = "nobody answers: ";

// === impl Guests ===

impl Guests {
    fn start(daemon: &Daemon) -> Self {
        let start = |guest| Caller::guest(daemon, guest).expect("nn-host starts");
        Self {
            component: start("wit-conform"),
            core: start("witx-conform"),
            cases: 0,
        }
    }

    fn run(&mut self, case: &Case) -> Seen {
        let miss = first_miss(&mut self.component, case, |inputs| inputs.to_vec());
        if case.has_bf16_input() {
            return Seen {
                miss,
                core: Core::Untold,
            };
        }
        let core = first_miss(&mut self.core, case, nameless);
        let core = if ends_alike(miss.as_ref(), core.as_ref()) {
            Core::Alike
        } else {
            Core::Apart(core.map_or_else(|| "passes".to_owned(), |core| core.to_string()))
        };
        Seen { miss, core }
    }
}

fn nameless(inputs: &[Tensor]) -> Vec<Tensor> {
    let mut inputs = inputs.to_vec();
    for input in &mut inputs {
        input.name.clear();
    }
    inputs
}

/// Texts differ: a core module is told a number. Shapes and types it is not told, and so not wrong ones.
fn ends_alike(component: Option<&Miss>, core: Option<&Miss>) -> bool {
    match (component.map(|miss| miss.stage), core) {
        (Some(Stage::Wrong(Wrong::Shape | Wrong::Type)), None) => true,
        (component, core) => component == core.map(|miss| miss.stage),
    }
}

/// What is wrong with the first of a case's calls that is not right.
fn first_miss(
    caller: &mut Caller,
    case: &Case,
    inputs: impl Fn(&[Tensor]) -> Vec<Tensor>,
) -> Option<Miss> {
    case.sets.iter().find_map(|set| {
        let answered = caller.call(&case.model_name(), &inputs(&set.inputs));
        miss(answered, &set.outputs, &case.outputs)
    })
}

fn miss(answered: io::Result<Answer>, expected: &[Tensor], order: &[String]) -> Option<Miss> {
    match answered {
        Ok(Answer::Outputs(got)) => judge(&got, expected, order).map(|wrong| Miss {
            stage: Stage::Wrong(wrong),
            text: format!("{wrong:?}"),
        }),
        Ok(Answer::Refused { stage, text }) => Some(Miss {
            stage: if stage == "load" {
                Stage::Load
            } else {
                Stage::Compute
            },
            text,
        }),
        Err(error) => Some(Miss {
            stage: Stage::Crash,
            text: format!("{GONE}{error}"),
        }),
    }
}

impl std::fmt::Display for Miss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.stage, self.text.trim())
    }
}
