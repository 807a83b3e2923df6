//! Files of a tar archive, whole in memory. Of its forms the one that `models/extract.py` writes: plain files, names of up to
//! 255 bytes, nothing else.

use std::collections::BTreeMap;

/// Everything in it is a multiple of this long.
const BLOCK: usize = 512;

/// Where a header says what: the name, the length in octal, the kind, and what goes before the name.
const NAME: std::ops::Range<usize> = 0..100;
const LENGTH: std::ops::Range<usize> = 124..135;
const KIND: usize = 156;
const PREFIX: std::ops::Range<usize> = 345..500;

/// The files by their names; `None` when it is no such archive, or ends early.
pub(crate) fn files(archive: &[u8]) -> Option<BTreeMap<String, &[u8]>> {
    let mut files = BTreeMap::new();
    let mut rest = archive;
    loop {
        let (header, after) = rest.split_at_checked(BLOCK)?;
        // The end is a block of zeros.
        if header.iter().all(|&byte| byte == 0) {
            return Some(files);
        }
        if header.get(KIND) != Some(&b'0') {
            return None;
        }
        let length = usize::from_str_radix(text(header, LENGTH)?, 8).ok()?;
        let name = match text(header, PREFIX)? {
            "" => text(header, NAME)?.to_owned(),
            prefix => format!("{prefix}/{}", text(header, NAME)?),
        };
        files.insert(name, after.get(..length)?);
        rest = after.get(length.checked_next_multiple_of(BLOCK)?..)?;
    }
}

/// A field, which zeros fill up.
fn text(header: &[u8], range: std::ops::Range<usize>) -> Option<&str> {
    let field = header.get(range)?;
    let end = field.iter().position(|&byte| byte == 0);
    std::str::from_utf8(&field[..end.unwrap_or(field.len())]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, prefix: &str, content: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[KIND] = b'0';
        block[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
        block.extend(content);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    #[test]
    fn files_are_found_by_their_whole_names_and_one_may_be_empty() {
        let long = [7; 513];
        let archive = [
            entry("a/b", "", &[]),
            entry("d", "c", &long),
            vec![0; BLOCK],
        ];
        let archive = archive.concat();
        let files = files(&archive).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a/b", "c/d"]);
        assert_eq!((files["a/b"], files["c/d"]), (&[][..], &long[..]));
    }

    #[test]
    fn an_archive_that_was_cut_off_is_none() {
        let archive = entry("a", "", &[1; 600]);
        assert!(files(&archive).is_none(), "no end");
        assert!(files(&archive[..BLOCK + 5]).is_none(), "no content");
        assert!(files(&archive[..5]).is_none(), "no header");
    }
}
