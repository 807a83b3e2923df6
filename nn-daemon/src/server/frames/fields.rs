//! The fields of one frame (HPACK, RFC 7541), followed byte for byte, and the text of an `:authority` among them mended.

const NAME: &[u8] = b":authority";

/// The place of [`NAME`] among the fields that every table has.
pub(super) const NAME_INDEX: usize = 1;

/// What takes the place of a byte that may not stand in a name.
pub(super) const INSTEAD: u8 = b'-';

/// The fields of one frame.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) left: usize,
    at: At,
}

/// What comes next among fields.
#[derive(Clone, Copy, Debug)]
enum At {
    Field,
    /// More of a number.
    Number {
        value: usize,
        shift: u32,
        of: Number,
    },
    NameLen,
    Name {
        left: usize,
        /// Bytes of it that are those of [`NAME`]; `None` where it is another.
        same: Option<usize>,
    },
    ValueLen {
        is_authority: bool,
    },
    Value {
        left: usize,
        text: Text,
    },
    /// Not understood.
    Lost,
}

/// What a number is.
#[derive(Clone, Copy, Debug)]
enum Number {
    /// The index of a whole field, or the size of the table: nothing follows.
    Whole,
    /// The index of a name, whose value follows.
    NameIndex,
    NameLen {
        is_plain: bool,
    },
    ValueLen {
        text: Text,
    },
}

/// What is to be done with a value.
#[derive(Clone, Copy, Debug)]
enum Text {
    Pass,
    /// It is an authority, and can be one so far.
    Look,
    /// It cannot.
    Mend,
}

// === impl Fields ===

impl Fields {
    /// So many bytes of them.
    pub(super) fn new(left: usize) -> Self {
        let at = At::Field;
        Self { left, at }
    }

    /// All of these bytes are fields'.
    pub(super) fn mend(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes.iter_mut();
        while let Some(byte) = rest.next() {
            self.left = self.left.saturating_sub(1);
            self.at = self.next(byte);
            // The rest of a text that is nobody's matter, and of what is not understood.
            let pass = match self.at {
                At::Value {
                    left,
                    text: Text::Pass,
                } => left,
                At::Lost => self.left,
                _ => continue,
            };
            let pass = pass.min(rest.len());
            if let Some(last) = pass.checked_sub(1) {
                rest.nth(last);
                self.left = self.left.saturating_sub(pass);
                self.at = self.at.passed(pass);
            }
        }
    }

    /// What comes behind a byte.
    fn next(&self, byte: &mut u8) -> At {
        match self.at {
            At::Field => self.begins(*byte),
            At::Number { value, shift, of } => self.goes_on(*byte, value, (shift, of)),
            At::NameLen => {
                let is_plain = *byte & 0x80 == 0;
                self.number(*byte, 7, Number::NameLen { is_plain })
            }
            At::Name { left, same } => {
                let same = same.filter(|&at| NAME.get(at) == Some(byte));
                let same = same.map(|at| at.saturating_add(1));
                At::name(left.saturating_sub(1), same)
            }
            At::ValueLen { is_authority } => {
                let is_plain = *byte & 0x80 == 0;
                let text = if is_authority && is_plain {
                    Text::Look
                } else {
                    Text::Pass
                };
                self.number(*byte, 7, Number::ValueLen { text })
            }
            At::Value { left, text } => At::value(left.saturating_sub(1), text.next(byte)),
            At::Lost => At::Lost,
        }
    }

    /// The first byte of a field (RFC 7541, 6).
    fn begins(&self, byte: u8) -> At {
        match byte {
            0x80.. => self.number(byte, 7, Number::Whole),
            0x40.. => self.number(byte, 6, Number::NameIndex),
            0x20.. => self.number(byte, 5, Number::Whole),
            _ => self.number(byte, 4, Number::NameIndex),
        }
    }

    /// A number that begins in the low bits of a byte (RFC 7541, 5.1).
    fn number(&self, byte: u8, bits: u32, of: Number) -> At {
        let most = 0xff_u8.checked_shr(8_u32.saturating_sub(bits)).unwrap_or(0);
        let value = usize::from(byte & most);
        if byte & most == most {
            return At::Number {
                value,
                shift: 0,
                of,
            };
        }
        self.is(value, of)
    }

    fn goes_on(&self, byte: u8, value: usize, (shift, of): (u32, Number)) -> At {
        // Beyond that it is longer than any frame, or written longer than it need be.
        if shift > 21 {
            return At::Lost;
        }
        let more = usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        let value = value.saturating_add(more);
        if byte & 0x80 == 0 {
            return self.is(value, of);
        }
        let shift = shift.saturating_add(7);
        At::Number { value, shift, of }
    }

    /// What comes behind a number.
    fn is(&self, value: usize, of: Number) -> At {
        match of {
            Number::Whole => At::Field,
            Number::NameIndex if value == 0 => At::NameLen,
            Number::NameIndex => At::ValueLen {
                is_authority: value == NAME_INDEX,
            },
            Number::NameLen { .. } | Number::ValueLen { .. } if value > self.left => At::Lost,
            Number::NameLen { is_plain } => At::name(value, is_plain.then_some(0)),
            Number::ValueLen { text } => At::value(value, text),
        }
    }
}

// === impl At, Text ===

impl At {
    fn name(left: usize, same: Option<usize>) -> Self {
        if left > 0 {
            return Self::Name { left, same };
        }
        Self::ValueLen {
            is_authority: same == Some(NAME.len()),
        }
    }

    fn value(left: usize, text: Text) -> Self {
        if left > 0 {
            Self::Value { left, text }
        } else {
            Self::Field
        }
    }

    /// Where it stands so many bytes on, of a text that is passed by.
    fn passed(self, bytes: usize) -> Self {
        match self {
            Self::Value { left, text } => Self::value(left.saturating_sub(bytes), text),
            other => other,
        }
    }
}

impl Text {
    /// One byte more of it.
    fn next(self, byte: &mut u8) -> Self {
        let text = match self {
            Self::Look if !may_stand(*byte) => Self::Mend,
            other => other,
        };
        // What separates the parts of a name separates those of a path no more.
        if matches!(text, Self::Mend) && !is_plain(*byte) {
            *byte = INSTEAD;
        }
        text
    }
}

/// Letters, digits and the four others that mean nothing (RFC 3986, 2.3).
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a byte may stand in the name of a server, with or without a port (RFC 3986, 3.2). `%` may in the name of a user,
/// which no request of gRPC has.
pub(super) fn may_stand(byte: u8) -> bool {
    is_plain(byte) || b"!$&'()*+,;=:@[]".contains(&byte)
}
