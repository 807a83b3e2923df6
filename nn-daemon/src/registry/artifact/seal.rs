//! A model's files, copied to sealed memory: one as it is, two as the bundle of an IR.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use nn_shm::Blob;
use nn_tensor::bundle;

use super::ArtifactError;

/// How much of a file is read before it is written to sealed memory, in bytes.
const COPIED_AT_ONCE: usize = 256 * 1024;

/// Fails for files that have more bytes together than a model may have.
pub(super) fn fits(files: &[(File, u64)], max: u64) -> Result<(), ArtifactError> {
    let each = files.iter().map(|(_, bytes)| *bytes);
    let got = each.fold(0_u64, u64::saturating_add);
    if got > max {
        return Err(ArtifactError::TooLarge { got, max });
    }
    Ok(())
}

/// Copies files of so many bytes to sealed memory: one as it is, two as the bundle of an IR.
pub(crate) fn seal(files: &[(File, u64)]) -> Result<Blob, ArtifactError> {
    let frame = match files {
        [(_, xml), _] => Some(bundle::frame(*xml)),
        _ => None,
    };
    let (header, zeros) = match &frame {
        Some((header, zeros)) => (header.as_slice(), vec![0; *zeros]),
        None => (&[][..], Vec::new()),
    };
    let framing = u64::try_from(header.len().saturating_add(zeros.len())).unwrap_or(u64::MAX);
    let each = files.iter().map(|(_, bytes)| *bytes);
    let total = each.fold(framing, u64::saturating_add);
    let blob = Blob::create(total, |memory| {
        let mut memory = BufWriter::with_capacity(COPIED_AT_ONCE, memory);
        let mut between = zeros.as_slice();
        memory.write_all(header)?;
        for (file, bytes) in files {
            copy(file, *bytes, &mut memory)?;
            memory.write_all(std::mem::take(&mut between))?;
        }
        memory.flush()
    })?;
    Ok(blob)
}

/// Copies so many bytes of a file.
fn copy(file: &File, bytes: u64, to: &mut impl Write) -> io::Result<()> {
    // Bounded: a file that grows meanwhile does not.
    // By hand: between two files the standard library copies by calls of the kernel that the daemon's jail has not.
    let reader: &mut dyn Read = &mut file.take(bytes);
    let copied = io::copy(reader, to)?;
    if copied == bytes {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
