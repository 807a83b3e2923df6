//! Reading outputs by an interface that says neither how many there are nor how large they are. A pure loop over
//! `get_output`.
//!
//! The first time, each is asked for with a buffer that grows until the host is content, and the first index that it refuses
//! ends them. Number and sizes are remembered: the next time each is read at once, in a buffer of its size, and nothing is asked
//! in vain. A model whose outputs vary in size makes the buffer grow again.

use super::errno::{INVALID_ARGUMENT, RUNTIME_ERROR, TOO_LARGE, refused};
use super::ffi::Errno;
use crate::{Code, Failure};

/// No model has more.
const OUTPUTS_MAX: usize = 128;
/// The first buffer, and the largest: what nn-host lets one tensor have.
const BUFFER_MIN: usize = 64 << 10;
const BUFFER_MAX: usize = 256 << 20;
/// How much larger the next one is.
const GROWTH: usize = 4;

/// What the last answer's outputs were like.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The sizes in bytes, once an answer was read to its end.
    sizes: Option<Vec<usize>>,
}

/// Why there is no output of an index.
enum Ended {
    /// The host has none, or could not give it.
    Refused(Errno),
    /// The guest has no room for it.
    NoMemory(Failure),
}

/// A buffer of zeros, if there is memory for it.
fn buffer(len: usize) -> Result<Vec<u8>, Failure> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| {
        Failure::of(Code::TooLarge, "the guest has no memory left for an output")
            .got(format!("a buffer of {len} bytes"))
            .hint("`nn-host run --memory-max` gives it more")
    })?;
    buffer.resize(len, 0);
    Ok(buffer)
}

/// Whether the host says that it has no output of this index. Some say so as an error of the run.
fn is_end(errno: Errno, index: u32) -> bool {
    errno == INVALID_ARGUMENT || (errno == RUNTIME_ERROR && index > 0)
}

// === impl Known ===

impl Known {
    /// All outputs of the last compute; `get` is `get_output`: an index, and a buffer, whose used length it answers.
    pub(super) fn read(
        &mut self,
        mut get: impl FnMut(u32, &mut [u8]) -> Result<u32, Errno>,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let known = self.sizes.take();
        let may_end = known.is_none();
        let sizes = known.unwrap_or_else(|| vec![BUFFER_MIN; OUTPUTS_MAX]);
        let mut outputs: Vec<Vec<u8>> = Vec::new();
        for (index, size) in (0..).zip(sizes) {
            match one(index, size, &mut get) {
                Ok(output) => outputs.push(output),
                Err(Ended::Refused(errno)) if may_end && is_end(errno, index) => break,
                Err(Ended::Refused(errno)) => return Err(refused("get_output", errno, None)),
                Err(Ended::NoMemory(failure)) => return Err(failure),
            }
        }
        self.sizes = Some(outputs.iter().map(Vec::len).collect());
        Ok(outputs)
    }
}

/// One output, in a buffer that grows.
fn one(
    index: u32,
    first: usize,
    get: &mut impl FnMut(u32, &mut [u8]) -> Result<u32, Errno>,
) -> Result<Vec<u8>, Ended> {
    let mut len = first;
    loop {
        let mut output = buffer(len).map_err(Ended::NoMemory)?;
        match get(index, &mut output) {
            Ok(used) => {
                // No host writes more than there is room for; one that says so is not believed.
                output.truncate(usize::try_from(used).unwrap_or(len));
                output.shrink_to_fit();
                return Ok(output);
            }
            Err(TOO_LARGE) if len < BUFFER_MAX => {
                len = len.saturating_mul(GROWTH).clamp(BUFFER_MIN, BUFFER_MAX);
            }
            Err(errno) => return Err(Ended::Refused(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as nn-host does for outputs of these sizes, and notes what it was asked: index and room.
    fn host<'a>(
        sizes: &'a [usize],
        asked: &'a mut Vec<(u32, usize)>,
    ) -> impl FnMut(u32, &mut [u8]) -> Result<u32, Errno> + 'a {
        move |index, buffer| {
            asked.push((index, buffer.len()));
            match sizes.get(index as usize) {
                None => Err(1),
                Some(&size) if size > buffer.len() => Err(7),
                Some(&size) => {
                    buffer[..size].fill(7);
                    Ok(size.try_into().unwrap())
                }
            }
        }
    }

    #[test]
    fn outputs_are_read_until_the_host_has_no_more() {
        let (mut known, mut asked) = (Known::default(), Vec::new());
        let outputs = known.read(host(&[12, 0, 70_000], &mut asked)).unwrap();
        let sizes: Vec<usize> = outputs.iter().map(Vec::len).collect();
        assert_eq!(sizes, [12, 0, 70_000]);
        let rooms = [
            (0, 65_536),
            (1, 65_536),
            (2, 65_536),
            (2, 262_144),
            (3, 65_536),
        ];
        assert_eq!(asked, rooms);
        assert!(outputs.concat().iter().all(|&byte| byte == 7));
    }

    #[test]
    fn the_second_answer_is_read_without_asking_in_vain() {
        let (mut known, mut asked) = (Known::default(), Vec::new());
        known.read(host(&[12, 70_000], &mut Vec::new())).unwrap();
        known.read(host(&[12, 70_000], &mut asked)).unwrap();
        assert_eq!(asked, [(0, 12), (1, 70_000)]);
    }

    #[test]
    fn an_output_that_has_grown_is_read_in_the_end_and_a_shorter_one_is_cut() {
        let (mut known, mut asked) = (Known::default(), Vec::new());
        known.read(host(&[12], &mut Vec::new())).unwrap();
        let grown = known.read(host(&[100], &mut asked)).unwrap();
        let shrunk = known.read(host(&[3], &mut asked)).unwrap();
        assert_eq!((grown[0].len(), shrunk[0].len()), (100, 3));
        assert_eq!(asked, [(0, 12), (0, 65_536), (0, 100)]);
    }

    #[test]
    fn growing_ends_at_the_largest_tensor_there_can_be() {
        let mut rooms = Vec::new();
        let refuse = |_, buffer: &mut [u8]| {
            rooms.push(buffer.len());
            Err(7)
        };
        let failure = Known::default().read(refuse).unwrap_err();
        assert_eq!(failure.code, Code::TooLarge);
        assert_eq!((rooms.len(), rooms.last()), (7, Some(&BUFFER_MAX)));
    }

    #[test]
    fn a_refusal_in_place_of_the_first_output_is_told_and_a_later_one_ends_them() {
        let first = Known::default().read(|_, _| Err(5)).unwrap_err();
        assert_eq!(first.code, Code::RuntimeError);
        let later = |index: u32, _: &mut [u8]| if index == 0 { Ok(4) } else { Err(5) };
        assert_eq!(Known::default().read(later).unwrap().len(), 1);
    }

    #[test]
    fn an_output_that_was_there_before_is_not_left_out_in_silence() {
        let mut known = Known::default();
        known.read(host(&[4, 4], &mut Vec::new())).unwrap();
        let failure = known.read(host(&[4], &mut Vec::new())).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
    }

    #[test]
    fn a_host_that_never_ends_is_left_after_the_most_outputs_there_can_be() {
        let outputs = Known::default().read(|_, _| Ok(0)).unwrap();
        assert_eq!(outputs.len(), OUTPUTS_MAX);
    }

    #[test]
    fn a_failed_read_forgets_what_was_known() {
        let mut known = Known::default();
        known.read(host(&[4], &mut Vec::new())).unwrap();
        assert!(known.read(|_, _| Err(4)).is_err());
        let mut asked = Vec::new();
        known.read(host(&[4], &mut asked)).unwrap();
        assert_eq!(asked, [(0, BUFFER_MIN), (1, BUFFER_MIN)]);
    }
}
