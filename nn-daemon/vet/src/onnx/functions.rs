//! Functions of a model: which there are, and which one a node calls. A framework finds them by domain, name and
//! overload written in a row with `:` between them, so that those may not hold one.

use std::collections::{HashMap, HashSet};

use super::wire::{Value, fields};
use crate::refusal::{Refusal, Rule, quoted};

/// FunctionProto.
const NAME: u32 = 1;
const DOMAIN: u32 = 10;
const OVERLOAD: u32 = 13;

/// What names a function, and what a node calls it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key<'a> {
    pub(crate) domain: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) overload: &'a [u8],
}

/// All of a model's, numbered from 1 on.
#[derive(Debug, Default)]
pub(crate) struct Functions<'a> {
    numbers: HashMap<Key<'a>, usize>,
    /// Domains and names, whatever the overload.
    names: HashSet<(&'a [u8], &'a [u8])>,
}

impl<'a> Key<'a> {
    /// ONNX's own domain has two names, which mean the same function.
    fn plain(self) -> Self {
        let domain = if self.domain == b"ai.onnx" {
            b""
        } else {
            self.domain
        };
        Self { domain, ..self }
    }

    /// Refuses what could be read as the key of another function, or ends in its middle.
    fn is_plain(self) -> Result<(), Refusal> {
        let parts = [
            ("domain", self.domain),
            ("name", self.name),
            ("overload", self.overload),
        ];
        for (what, words) in parts {
            if words.iter().any(|byte| matches!(byte, b':' | 0)) {
                return Err(Refusal::new(Rule::Name)
                    .expected(
                        "domains, names and overloads of functions without ':' and zero bytes",
                    )
                    .got(format!("the {what} {}", quoted(words))));
            }
        }
        Ok(())
    }
}

impl<'a> Functions<'a> {
    /// Those of a model; each is one message in `functions`.
    pub(crate) fn of(functions: impl Iterator<Item = &'a [u8]>, max: u64) -> Result<Self, Refusal> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut all = Self::default();
        for function in functions {
            let mut key = Key::default();
            for field in fields(function) {
                match field? {
                    (DOMAIN, Value::Bytes(domain)) => key.domain = domain,
                    (NAME, Value::Bytes(name)) => key.name = name,
                    (OVERLOAD, Value::Bytes(overload)) => key.overload = overload,
                    _ => {}
                }
            }
            let place = || format!("function {}", quoted(key.name));
            key.is_plain().map_err(|refusal| refusal.inside(&place()))?;
            let key = key.plain();
            let number = all.numbers.len().saturating_add(1);
            if number > max {
                return Err(Refusal::new(Rule::Nodes).expected(format!("at most {max} functions")));
            }
            if all.numbers.insert(key, number).is_some() {
                return Err(Refusal::new(Rule::DuplicateField)
                    .expected("each function once")
                    .got(format!("the function {} again", quoted(key.name))));
            }
            all.names.insert((key.domain, key.name));
        }
        Ok(all)
    }

    /// The name of one, for people.
    pub(crate) fn name(&self, number: usize) -> &'a [u8] {
        let mut all = self.numbers.iter();
        all.find(|&(_, &other)| other == number)
            .map_or(&[], |(key, _)| key.name)
    }

    /// The function that a node calls, `None` where it is an operator. One that names another overload than there are is
    /// refused: frameworks differ in whether they take the next best.
    pub(crate) fn find(&self, key: Key<'a>) -> Result<Option<usize>, Refusal> {
        if self.numbers.is_empty() {
            return Ok(None);
        }
        key.is_plain()?;
        let key = key.plain();
        if let Some(&number) = self.numbers.get(&key) {
            return Ok(Some(number));
        }
        if self.names.contains(&(key.domain, key.name)) {
            return Err(Refusal::new(Rule::CustomOp)
                .expected("a call of a function that the model defines")
                .got(format!(
                    "the overload {} of a function that has others",
                    quoted(key.overload)
                )));
        }
        Ok(None)
    }
}
