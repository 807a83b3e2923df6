//! XML in a narrow sense: elements, attributes and text. No document types, no entities of a file's own, no CDATA, no
//! processing instructions; bounded elements, depth and attributes. What two parsers might read differently is refused.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use crate::refusal::{Refusal, Rule, quoted};
use crate::rules::{ATTRIBUTES_MAX, XML_DEPTH_MAX};

/// Parts of names that stand for files: no operator has any, and some versions of OpenVINO open what they name.
const FILE_WORDS: [&str; 3] = ["path", "file", "library"];

/// An element, from its beginning to its end, or text in it.
#[derive(Debug)]
pub(super) enum Piece {
    Open(Element),
    Close,
    Text(String),
}

/// An element's beginning.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

/// The pieces of a file.
pub(super) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    left: u64,
    max: u64,
    depth: usize,
}

// === impl Element ===

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        let found = all.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A decimal number.
    pub(super) fn number(&self, name: &str) -> Result<u64, Refusal> {
        let text = self.attribute(name).unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| {
            Refusal::new(Rule::Malformed)
                .expected(format!(
                    "a number as {name} of {}",
                    quoted(self.name.as_bytes())
                ))
                .got(quoted(text.as_bytes()))
        })
    }

    /// Refuses attributes that name files.
    pub(super) fn names_no_file(&self) -> Result<(), Refusal> {
        let mut names = self
            .attributes
            .iter()
            .map(|(name, _)| name)
            .chain([&self.name]);
        match names.find(|name| is_file_word(name)) {
            None => Ok(()),
            Some(name) => Err(Refusal::new(Rule::ExternalData)
                .expected("constants in model.bin alone")
                .got(quoted(name.as_bytes()))),
        }
    }
}

fn is_file_word(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FILE_WORDS.iter().any(|word| name.contains(word))
}

// === impl Xml ===

impl<'a> Xml<'a> {
    pub(super) fn new(text: &'a str, elements_max: u64) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Self {
            reader,
            left: elements_max,
            max: elements_max,
            depth: 0,
        }
    }

    /// The next piece; `None` at the end of the file.
    pub(super) fn piece(&mut self) -> Result<Option<Piece>, Refusal> {
        loop {
            let event = self.reader.read_event();
            let event = event.map_err(|_| malformed("XML that cannot be read"))?;
            match event {
                Event::Start(start) => return self.open(&start).map(|e| Some(Piece::Open(e))),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Some(Piece::Close));
                }
                Event::Text(text) => {
                    let text = text.into_inner();
                    let text = text.trim_ascii();
                    if self.depth > 0 && !text.is_empty() {
                        return Ok(Some(Piece::Text(text.to_owned())));
                    }
                    if !text.is_empty() {
                        return Err(malformed("text outside of every element"));
                    }
                }
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding();
                    let utf_8 = |name: &str| name.eq_ignore_ascii_case("utf-8");
                    if !encoding.is_none_or(|name| name.is_ok_and(|name| utf_8(&name))) {
                        return Err(malformed("an encoding other than UTF-8"));
                    }
                }
                Event::Comment(_) => {}
                Event::Eof if self.depth == 0 => return Ok(None),
                Event::Eof => return Err(malformed("an element that does not end")),
                Event::DocType(_) => return Err(Refusal::new(Rule::Dtd).got("a document type")),
                // Of character references none is needed in text, and others would have to be declared.
                Event::GeneralRef(_) => return Err(Refusal::new(Rule::Dtd).got("an entity")),
                Event::Empty(_) | Event::CData(_) | Event::PI(_) => {
                    return Err(malformed("CDATA or a processing instruction"));
                }
            }
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<Element, Refusal> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            Refusal::new(Rule::Values).expected(format!("at most {} elements", self.max))
        })?;
        self.depth = self.depth.saturating_add(1);
        if self.depth > XML_DEPTH_MAX {
            return Err(Refusal::new(Rule::Depth).expected(format!(
                "at most {XML_DEPTH_MAX} elements inside each other"
            )));
        }
        let mut attributes: Vec<(String, String)> = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| malformed("an attribute that cannot be read"))?;
            let name = attribute.key.as_ref().to_owned();
            if attributes.len() == ATTRIBUTES_MAX {
                return Err(Refusal::new(Rule::Values)
                    .expected(format!("at most {ATTRIBUTES_MAX} attributes of an element")));
            }
            if attributes.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::new(Rule::DuplicateField).got(quoted(name.as_bytes())));
            }
            let value = unescape(&attribute.value)
                .map_err(|_| Refusal::new(Rule::Dtd).got("an entity"))?
                .into_owned();
            attributes.push((name, value));
        }
        Ok(Element {
            name: start.name().as_ref().to_owned(),
            attributes,
        })
    }

    /// Reads to the end of the element that was opened last. What is in it names no file.
    pub(super) fn skip(&mut self) -> Result<(), Refusal> {
        let end = self.depth;
        while self.depth >= end {
            match self.piece()? {
                Some(Piece::Open(element)) => element.names_no_file()?,
                Some(Piece::Close | Piece::Text(_)) => {}
                None => return Err(malformed("an element that does not end")),
            }
        }
        Ok(())
    }

    /// The next element inside the one that is open; `None` at its end.
    pub(super) fn child(&mut self) -> Result<Option<Element>, Refusal> {
        match self.piece()? {
            Some(Piece::Open(element)) => Ok(Some(element)),
            Some(Piece::Close) => Ok(None),
            Some(Piece::Text(_)) => Err(malformed("text between elements")),
            None => Err(malformed("an element that does not end")),
        }
    }

    /// The text of the element that was opened last, which has no others in it.
    pub(super) fn text(&mut self) -> Result<String, Refusal> {
        let mut text = String::new();
        loop {
            match self.piece()? {
                Some(Piece::Text(more)) => text.push_str(&more),
                Some(Piece::Close) => return Ok(text),
                Some(Piece::Open(_)) | None => {
                    return Err(malformed("an element in place of text"));
                }
            }
        }
    }
}

pub(super) fn malformed(got: &str) -> Refusal {
    Refusal::new(Rule::Malformed).got(got)
}
