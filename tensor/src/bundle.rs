//! A model of two files as one run of bytes, with one digest: OpenVINO's IR, `model.xml` and `model.bin`. Pure.
//!
//! ```text
//! offset 0   8 bytes   the mark
//!        8   8 bytes   bytes of XML, little-endian
//!       16   …         XML, then zeros up to a multiple of 64
//!        …   …         weights, to the end
//! ```
//!
//! There is one way to write a pair down. Neither the mark nor anything that begins with it is XML, or a protobuf message.

/// What a bundle begins with, the last byte being the version.
const MARK: [u8; 8] = *b"\x89nnIR\r\n\x01";

/// Where the XML begins.
const HEADER_BYTES: usize = 16;

/// Weights begin at a multiple of this.
const ALIGNMENT: u64 = 64;

/// The two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    /// `model.xml`.
    pub xml: &'a [u8],
    /// `model.bin`.
    pub weights: &'a [u8],
}

/// Why bytes are no bundle, although they begin like one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// They end too early.
    #[error("the bundle ends within its {0}")]
    Short(&'static str),
    /// Something stands where zeros have to.
    #[error("between the two files of the bundle is something else than zeros")]
    Padding,
}

/// What stands before the XML, and how many zeros behind it.
#[must_use]
pub fn frame(xml_bytes: u64) -> ([u8; HEADER_BYTES], usize) {
    let mut header = [0; HEADER_BYTES];
    let (mark, size) = header.split_at_mut(MARK.len());
    mark.copy_from_slice(&MARK);
    size.copy_from_slice(&xml_bytes.to_le_bytes());
    (header, padding(xml_bytes))
}

fn padding(xml_bytes: u64) -> usize {
    let end = xml_bytes.wrapping_add(HEADER_BYTES as u64);
    let over = end.checked_rem(ALIGNMENT).unwrap_or(0);
    let missing = ALIGNMENT.wrapping_sub(over).checked_rem(ALIGNMENT);
    usize::try_from(missing.unwrap_or(0)).unwrap_or(0)
}

/// Whether bytes begin like a bundle.
#[must_use]
pub fn is_bundle(bytes: &[u8]) -> bool {
    bytes.starts_with(&MARK)
}

/// The two files; `None` for bytes that do not begin like a bundle.
///
/// # Errors
/// When they do, and are none.
pub fn split(bytes: &[u8]) -> Result<Option<Bundle<'_>>, BundleError> {
    let Some(rest) = bytes.strip_prefix(&MARK) else {
        return Ok(None);
    };
    let (size, rest) = rest
        .split_first_chunk()
        .ok_or(BundleError::Short("header"))?;
    let size = u64::from_le_bytes(*size);
    let len = usize::try_from(size).map_err(|_| BundleError::Short("XML"))?;
    let (xml, rest) = rest
        .split_at_checked(len)
        .ok_or(BundleError::Short("XML"))?;
    let zeros = rest.split_at_checked(padding(size));
    let (zeros, weights) = zeros.ok_or(BundleError::Short("padding"))?;
    if zeros.iter().any(|&byte| byte != 0) {
        return Err(BundleError::Padding);
    }
    Ok(Some(Bundle { xml, weights }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(xml: &[u8], weights: &[u8]) -> Vec<u8> {
        let (header, zeros) = frame(xml.len() as u64);
        [&header, xml, &vec![0; zeros], weights].concat()
    }

    #[test]
    fn both_files_come_back_and_the_weights_are_aligned() {
        for len in [0, 1, 47, 48, 49, 1000] {
            let xml = vec![b'x'; len];
            let bytes = bundle(&xml, b"weights");
            assert_eq!((bytes.len() - 7) % 64, 0, "{len}");
            let weights = &b"weights"[..];
            let xml = &xml[..];
            assert_eq!(split(&bytes), Ok(Some(Bundle { xml, weights })));
        }
    }

    #[test]
    fn bytes_that_do_not_begin_like_a_bundle_are_none() {
        assert_eq!(split(b"<net"), Ok(None));
        assert_eq!(split(&MARK[..7]), Ok(None));
    }

    #[test]
    fn a_bundle_that_was_cut_or_written_into_is_an_error() {
        let bytes = bundle(b"<net/>", b"");
        for len in MARK.len()..bytes.len() {
            assert!(split(&bytes[..len]).is_err(), "{len}");
        }
        let mut written = bytes.clone();
        *written.last_mut().unwrap() = 1;
        assert_eq!(split(&written), Err(BundleError::Padding));
        let mut huge = bytes;
        huge[8..16].fill(0xff);
        assert_eq!(split(&huge), Err(BundleError::Short("XML")));
    }
}
