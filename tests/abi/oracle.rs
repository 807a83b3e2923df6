//! What a guest must print: the steps are followed here once more, with ONNX Runtime alone behind them.

use std::collections::{BTreeMap, HashMap};

use nn_tests::{Given, Reference, tiny_model};

use crate::case::{Abi, CODES};
use crate::fill::{self, checksum};

/// Follows steps as one ABI has them.
pub(crate) struct Oracle<'r> {
    abi: Abi,
    references: &'r mut References,
    graphs: Vec<Option<String>>,
    contexts: Vec<Option<Context>>,
}

/// The models, each loaded once.
#[derive(Default)]
pub(crate) struct References(HashMap<String, Reference>);

#[derive(Debug)]
struct Context {
    model: String,
    inputs: BTreeMap<String, Given>,
    /// Those of the last compute that succeeded, as `None` where they have to be known otherwise.
    outputs: Option<Vec<Option<Vec<u8>>>>,
}

/// A step without its expectation, and that.
pub(crate) fn split(step: &str) -> (&str, Option<&str>) {
    match step.split_once(' ') {
        Some((step, expectation)) => (step, Some(expectation)),
        None => (step, None),
    }
}

/// The name that a step loads a model by, unless it must fail.
pub(crate) fn model_of(step: &str) -> Option<&str> {
    let (step, expectation) = split(step);
    let name = step.strip_prefix("name:")?;
    let name = name.split(['@', ':']).next()?;
    expectation.is_none().then_some(name)
}

/// The code that a step must fail with in this ABI.
fn failure(abi: Abi, expectation: Option<&str>) -> Option<&'static str> {
    let (who, code) = expectation?.split_once('!')?;
    let (concerned, column) = match abi {
        Abi::Wit => (who != "witx", 1),
        Abi::Witx => (who != "wit", 2),
    };
    let row = CODES.iter().find(|row| row[0] == code);
    let row = row.unwrap_or_else(|| panic!("{code} is in no row of the mapping"));
    concerned.then_some(row[column])
}

// === impl References ===

impl References {
    fn of(&mut self, model: &str) -> &mut Reference {
        let load = || Reference::load(&tiny_model(model));
        self.0.entry(model.to_owned()).or_insert_with(load)
    }
}

// === impl Oracle ===

impl<'r> Oracle<'r> {
    pub(crate) fn new(abi: Abi, references: &'r mut References) -> Self {
        Self {
            abi,
            references,
            graphs: Vec::new(),
            contexts: Vec::new(),
        }
    }

    /// All that the guest must print.
    pub(crate) fn lines(mut self, steps: &[&str]) -> String {
        let (mut lines, mut failed) = (String::new(), 0);
        for step in steps {
            let (step, expectation) = split(step);
            let failure = failure(self.abi, expectation);
            let printed = match failure {
                Some(code) => {
                    failed += 1;
                    Some(format!("fail {step} {code}"))
                }
                None => None,
            };
            let known = expectation.and_then(|text| text.strip_prefix('='));
            let printed = printed.or(self.follow(step, known, failure.is_some()));
            lines.extend(printed.into_iter().map(|line| line + "\n"));
        }
        lines + &format!("ok steps={} failed={failed}\n", steps.len())
    }

    /// Does a step, or what is left of one that fails; gives what it prints.
    fn follow(&mut self, step: &str, known: Option<&str>, fails: bool) -> Option<String> {
        let (verb, rest) = step.split_once(':').unwrap();
        match verb {
            "name" => {
                let model = rest.split(['@', ':']).next().unwrap().to_owned();
                self.graphs.push((!fails).then_some(model));
            }
            "bytes" => {
                let file = rest.split(':').next().unwrap();
                let model = file
                    .trim_start_matches("/models/")
                    .trim_end_matches(".onnx");
                self.graphs.push((!fails).then(|| model.to_owned()));
            }
            "ctx" => {
                let graph: usize = rest.parse().unwrap();
                let model = self.graphs.get(graph).cloned().flatten();
                self.contexts
                    .push(model.filter(|_| !fails).map(Context::new));
            }
            "in" | "named" if !fails => self.input(rest),
            "compute" => {
                let context = self.contexts[rest.parse::<usize>().unwrap()].as_mut();
                if let Some(context) = context {
                    context.outputs = (!fails).then(|| context.run(self.references));
                }
            }
            "out" if !fails => return Some(self.output(rest, known)),
            "in" | "named" | "rawin" | "out" => {}
            _ => panic!("{step} is no step"),
        }
        None
    }

    fn input(&mut self, rest: &str) {
        let (context, input) = rest.split_once(':').unwrap();
        let (name, filled) = input.split_once('=').unwrap();
        let context = self.contexts[context.parse::<usize>().unwrap()].as_mut();
        let filled = fill::parse(filled);
        let given = Given {
            dtype: filled.dtype,
            dims: filled.dims,
            bytes: filled.bytes,
        };
        context.unwrap().inputs.insert(name.to_owned(), given);
    }

    fn output(&self, rest: &str, known: Option<&str>) -> String {
        let mut parts = rest.split(':').map(|part| part.parse::<usize>().unwrap());
        let (context, index) = (parts.next().unwrap(), parts.next().unwrap());
        let outputs = self.contexts[context].as_ref().unwrap().outputs.as_ref();
        let computed = outputs.and_then(|outputs| outputs.get(index)?.clone());
        let bytes = match (known, computed) {
            (Some(known), Some(computed)) => {
                let known = fill::parse(known).bytes;
                assert_eq!(
                    checksum(&known),
                    checksum(&computed),
                    "ONNX Runtime says otherwise: {rest}"
                );
                known
            }
            (Some(known), None) => fill::parse(known).bytes,
            (None, Some(computed)) => computed,
            (None, None) => panic!("nothing is known of output {rest}"),
        };
        format!("out {index} {} {}", bytes.len(), checksum(&bytes))
    }
}

// === impl Context ===

impl Context {
    fn new(model: String) -> Self {
        Self {
            model,
            inputs: BTreeMap::new(),
            outputs: None,
        }
    }

    fn run(&self, references: &mut References) -> Vec<Option<Vec<u8>>> {
        references.of(&self.model).run(&self.inputs)
    }
}
