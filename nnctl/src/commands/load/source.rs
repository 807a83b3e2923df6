//! What is uploaded: one file, or the two of an IR as one run of bytes.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};

use nn_tensor::bundle;

/// Bytes to be read from the first to the last, and again.
#[derive(Debug)]
pub(super) enum Source {
    /// Nothing: remote engines have the model.
    Nothing,
    /// A file.
    File(File),
    /// What stands before the XML, that, what stands behind it, and the weights.
    Pair {
        header: Cursor<Vec<u8>>,
        xml: File,
        padding: Cursor<Vec<u8>>,
        weights: File,
    },
}

// === impl Source ===

impl Source {
    /// The two files of an IR; how many bytes they are together.
    pub(super) fn pair(xml: (File, u64), weights: (File, u64)) -> (Self, u64) {
        let ((xml, xml_bytes), (weights, weights_bytes)) = (xml, weights);
        let (header, zeros) = bundle::frame(xml_bytes);
        let around = super::wide(header.len().saturating_add(zeros));
        let source = Self::Pair {
            header: Cursor::new(header.to_vec()),
            xml,
            padding: Cursor::new(vec![0; zeros]),
            weights,
        };
        let bytes = around.saturating_add(xml_bytes);
        (source, bytes.saturating_add(weights_bytes))
    }

    /// From the begin again.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::File(file) => file.rewind(),
            Self::Pair {
                header,
                xml,
                padding,
                weights,
            } => {
                header.set_position(0);
                padding.set_position(0);
                xml.rewind()?;
                weights.rewind()
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Nothing => Ok(0),
            Self::File(file) => file.read(buffer),
            Self::Pair {
                header,
                xml,
                padding,
                weights,
            } => {
                let all: [&mut dyn Read; 4] = [header, xml, padding, weights];
                for piece in all {
                    let read = piece.read(buffer)?;
                    if read > 0 {
                        return Ok(read);
                    }
                }
                Ok(0)
            }
        }
    }
}
