//! Protobuf's text format, without a schema: fields in the order of the file, lists as repeated fields, strings that
//! stand side by side as one. Format: protobuf.dev, "Text Format Language Specification". Extension and `Any` names in
//! brackets are not read: a `ModelConfig` has none.

use nn_tensor::Fault;

/// How deep messages may lie in each other.
const DEPTH_MAX: usize = 32;

/// `{ … }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) fields: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number or a name.
    Word(String),
    /// What stood in quotes.
    Text(String),
    Message(Message),
}

impl Message {
    /// The value of a field that may be set once: the last one counts.
    pub(super) fn last(&self, field: &str) -> Option<&Value> {
        let mut from_the_end = self.fields.iter().rev();
        from_the_end.find_map(|(name, value)| (name == field).then_some(value))
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a Value> {
        let of = self.fields.iter();
        of.filter_map(move |(name, value)| (name == field).then_some(value))
    }
}

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Message, Fault> {
    let mut reader = Reader { rest: text, text };
    reader.message(None, 0)
}

struct Reader<'a> {
    rest: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    /// Fields up to the end: the bracket, or that of the file.
    fn message(&mut self, end: Option<char>, depth: usize) -> Result<Message, Fault> {
        if depth > DEPTH_MAX {
            return Err(self.wrong(&format!("at most {DEPTH_MAX} messages in each other")));
        }
        let mut message = Message::default();
        loop {
            self.skip();
            match (self.rest.chars().next(), end) {
                (None, None) => return Ok(message),
                (Some(c), Some(end)) if c == end => {
                    self.advance(1);
                    return Ok(message);
                }
                _ => {}
            }
            let name = self.word("the name of a field")?;
            self.skip();
            let has_colon = self.take(':');
            self.skip();
            self.values(&name, has_colon, depth, &mut message)?;
            self.skip();
            let _ = self.take(';') || self.take(',');
        }
    }

    fn values(
        &mut self,
        name: &str,
        has_colon: bool,
        depth: usize,
        message: &mut Message,
    ) -> Result<(), Fault> {
        if !self.take('[') {
            let value = self.value(has_colon, depth)?;
            message.fields.push((name.to_owned(), value));
            return Ok(());
        }
        self.skip();
        if self.take(']') {
            return Ok(());
        }
        loop {
            self.skip();
            let value = self.value(true, depth)?;
            message.fields.push((name.to_owned(), value));
            self.skip();
            if self.take(']') {
                return Ok(());
            }
            if !self.take(',') {
                return Err(self.wrong("',' or ']'"));
            }
        }
    }

    fn value(&mut self, may_be_scalar: bool, depth: usize) -> Result<Value, Fault> {
        match self.rest.chars().next() {
            Some('{') => self.nested('}', depth),
            Some('<') => self.nested('>', depth),
            Some('"' | '\'') if may_be_scalar => self.strings().map(Value::Text),
            Some(_) if may_be_scalar => self.word("a value").map(Value::Word),
            _ => Err(self.wrong(if may_be_scalar {
                "a value"
            } else {
                "':' or '{'"
            })),
        }
    }

    fn nested(&mut self, end: char, depth: usize) -> Result<Value, Fault> {
        self.advance(1);
        let message = self.message(Some(end), depth.saturating_add(1))?;
        Ok(Value::Message(message))
    }

    fn strings(&mut self) -> Result<String, Fault> {
        let mut text = String::new();
        while let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            self.advance(1);
            self.string(quote, &mut text)?;
            self.skip();
        }
        Ok(text)
    }

    fn string(&mut self, quote: char, text: &mut String) -> Result<(), Fault> {
        loop {
            let Some(c) = self.rest.chars().next() else {
                return Err(self.wrong("the end of a text"));
            };
            self.advance(c.len_utf8());
            match c {
                '\n' => return Err(self.wrong("the end of a text")),
                '\\' => text.push(self.escaped()?),
                c if c == quote => return Ok(()),
                c => text.push(c),
            }
        }
    }

    /// What stands behind a backslash. Numbered characters, which names of files and outputs do not need, are not read.
    fn escaped(&mut self) -> Result<char, Fault> {
        let c = match self.rest.chars().next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(c @ ('\\' | '"' | '\'' | '?')) => c,
            _ => return Err(self.wrong(r#"\n, \t, \r, \\, \" or \'"#)),
        };
        self.advance(1);
        Ok(c)
    }

    fn word(&mut self, expected: &str) -> Result<String, Fault> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default().to_owned();
        if word.is_empty() {
            return Err(self.wrong(expected));
        }
        self.advance(end);
        Ok(word)
    }

    /// Past blanks and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.advance(end);
        }
    }

    fn take(&mut self, c: char) -> bool {
        let is_there = self.rest.starts_with(c);
        if is_there {
            self.advance(c.len_utf8());
        }
        is_there
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn wrong(&self, expected: &str) -> Fault {
        let at = self.text.len().saturating_sub(self.rest.len());
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        let got: String = self
            .rest
            .chars()
            .take(16)
            .filter(|c| !c.is_control())
            .collect();
        Fault::invalid_argument(format!(
            "config.pbtxt, line {line}, is not protobuf's text format"
        ))
        .expected(expected)
        .got(if got.is_empty() {
            "the end of the file".to_owned()
        } else {
            got
        })
    }
}
