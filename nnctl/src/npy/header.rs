//! The header of a `.npy` file: a Python dictionary of three known keys. Reads exactly that form,
//! without recursion; a full parser of Python literals would be more than the format needs.

use std::fmt;

use super::FormatError;

/// The dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// `<f4` and the like.
    pub(super) descr: String,
    /// Whether the first dimension runs fastest.
    pub(super) fortran_order: bool,
    /// Dimensions, outermost first.
    pub(super) shape: Vec<u64>,
}

/// What is left to read.
struct Cursor<'a>(&'a str);

// === impl Header ===

impl Header {
    pub(super) fn parse(text: &str) -> Result<Self, FormatError> {
        let mut cursor = Cursor(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        cursor.expect('{')?;
        while !cursor.eat('}') {
            let key = cursor.quoted()?;
            cursor.expect(':')?;
            match key {
                "descr" => descr = Some(cursor.descr()?.to_owned()),
                "fortran_order" => fortran_order = Some(cursor.boolean()?),
                "shape" => shape = Some(cursor.tuple()?),
                _ => return Err(FormatError::Header("an unknown key")),
            }
            if !cursor.eat(',') {
                cursor.expect('}')?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self {
                descr,
                fortran_order,
                shape,
            }),
            _ => Err(FormatError::Header("a key is missing")),
        }
    }
}

/// As NumPy writes it.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: String = match self.shape.as_slice() {
            [one] => format!("{one},"),
            dims => dims
                .iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        };
        let order = if self.fortran_order { "True" } else { "False" };
        let descr = &self.descr;
        write!(
            f,
            "{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({dims}), }}"
        )
    }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    fn eat(&mut self, token: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), FormatError> {
        self.eat(token)
            .then_some(())
            .ok_or(FormatError::Header("not the dictionary that NumPy writes"))
    }

    fn quoted(&mut self) -> Result<&'a str, FormatError> {
        let quote = if self.eat('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (text, rest) = self
            .0
            .split_once(quote)
            .ok_or(FormatError::Header("a text without an end"))?;
        self.0 = rest;
        Ok(text)
    }

    /// A plain dtype; a list would be a structured one.
    fn descr(&mut self) -> Result<&'a str, FormatError> {
        if self.0.trim_start().starts_with('[') {
            return Err(FormatError::DType("with named fields".to_owned()));
        }
        self.quoted()
    }

    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    fn boolean(&mut self) -> Result<bool, FormatError> {
        match self.word() {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err(FormatError::Header("fortran_order is not True or False")),
        }
    }

    fn tuple(&mut self) -> Result<Vec<u64>, FormatError> {
        let mut dims = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            // Python 2 wrote "3L".
            let dim = self.word().trim_end_matches('L').parse();
            dims.push(dim.map_err(|_| FormatError::Header("a dimension that is no number"))?);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(dims)
    }
}
