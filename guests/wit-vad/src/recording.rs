//! Recordings: WAV files, and a built-in one. 16,000 samples a second, one channel, from -1 to 1.

use thiserror::Error;

/// Samples a second.
pub(crate) const RATE: u32 = 16_000;

/// The longest recording: ten minutes.
const SAMPLES_MAX: usize = 16_000 * 600;

/// A spoken sentence; assets/README.md says where it is from.
const SENTENCE: &[u8] = include_bytes!("../../assets/speech.wav");

/// Samples of noise before and after it: about 2 s.
const AROUND: usize = 64 * 512;

/// How loud the noise is, from its lowest to its highest.
const NOISE: f32 = 0.03;

/// Plain integers.
const PCM: u16 = 1;

/// Why a file is no recording for this guest.
#[derive(Debug, Error)]
pub(crate) enum RecordingError {
    #[error("cannot read {path}")]
    File {
        path: String,
        source: std::io::Error,
    },
    #[error("not a WAV file, or not all of one")]
    Format,
    #[error(
        "the recording is of kind {kind}, with {channels} channels of {bits} bits at {rate} Hz; expected kind 1, one of 16 at 16000"
    )]
    Kind {
        kind: u16,
        channels: u16,
        bits: u16,
        rate: u32,
    },
    #[error("the recording has {got} samples; expected at most {SAMPLES_MAX}")]
    Long { got: usize },
}

/// The samples of a file.
pub(crate) fn read(path: &str) -> Result<Vec<f32>, RecordingError> {
    let bytes = std::fs::read(path).map_err(|source| RecordingError::File {
        path: path.to_owned(),
        source,
    })?;
    samples(&bytes)
}

/// Noise, a sentence, noise. The noise goes on below the sentence.
pub(crate) fn built_in() -> Result<Vec<f32>, RecordingError> {
    let sentence = samples(SENTENCE)?;
    let silence = || std::iter::repeat_n(0.0, AROUND);
    let clip = silence().chain(sentence).chain(silence());
    Ok(clip.zip(noise()).map(|(a, b)| a + b).collect())
}

/// The same noise each time, from a generator that any language can write.
fn noise() -> impl Iterator<Item = f32> {
    let step = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let numbers = std::iter::successors(step(&7), step);
    numbers.map(|x| {
        let [_, _, _, top] = x.to_le_bytes();
        (f32::from(top) / 256.0 - 0.5) * NOISE
    })
}

/// The samples of a WAV file, whatever other chunks it has.
fn samples(file: &[u8]) -> Result<Vec<f32>, RecordingError> {
    let riff = file.strip_prefix(b"RIFF").and_then(|rest| rest.get(4..));
    let mut rest = riff
        .and_then(|rest| rest.strip_prefix(b"WAVE"))
        .ok_or(RecordingError::Format)?;
    let mut known = false;
    loop {
        let (name, content, after) = chunk(rest).ok_or(RecordingError::Format)?;
        match name {
            b"fmt " => {
                expect_kind(content)?;
                known = true;
            }
            b"data" if known => return numbers(content),
            _ => {}
        }
        rest = after;
    }
}

/// A chunk's name, its content, and what comes after it: chunks begin at even places.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (name, rest) = bytes.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (content, after) = rest.split_at_checked(len)?;
    Some((name, content, after.get(len % 2..).unwrap_or_default()))
}

fn expect_kind(content: &[u8]) -> Result<(), RecordingError> {
    let short = |at: usize| {
        let bytes = content.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_le_bytes(*bytes))
    };
    let fields = || {
        let rate = u32::from(short(4)?) | u32::from(short(6)?) << 16;
        Some((short(0)?, short(2)?, rate, short(14)?))
    };
    match fields().ok_or(RecordingError::Format)? {
        (PCM, 1, RATE, 16) => Ok(()),
        (kind, channels, rate, bits) => Err(RecordingError::Kind {
            kind,
            channels,
            bits,
            rate,
        }),
    }
}

fn numbers(content: &[u8]) -> Result<Vec<f32>, RecordingError> {
    let (samples, _odd) = content.as_chunks::<2>();
    if samples.len() > SAMPLES_MAX {
        return Err(RecordingError::Long { got: samples.len() });
    }
    let number = |bytes: &[u8; 2]| f32::from(i16::from_le_bytes(*bytes)) / 32768.0;
    Ok(samples.iter().map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a chunk of odd length before its samples.
    fn file(kind: [u16; 2], rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut format = kind.map(u16::to_le_bytes).concat();
        format.extend(rate.to_le_bytes());
        format.extend([0; 6]);
        format.extend(bits.to_le_bytes());
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        for (name, content) in [(b"LIST", &b"odd"[..]), (b"fmt ", &format), (b"data", data)] {
            file.extend(name);
            file.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            file.extend(content);
            file.extend(vec![0; content.len() % 2]);
        }
        file
    }

    #[test]
    fn samples_are_read_behind_other_chunks() {
        let file = file([PCM, 1], RATE, 16, &[0, 0x40, 0, 0x80]);
        assert_eq!(samples(&file).unwrap(), [0.5, -1.0]);
    }

    #[test]
    fn stereo_is_refused_for_what_it_is() {
        let error = samples(&file([PCM, 2], 44_100, 16, &[])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("2 channels of 16 bits at 44100 Hz"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_ends_too_early_is_refused() {
        let whole = file([PCM, 1], RATE, 16, &[1; 8]);
        let cut = (0..whole.len()).filter(|&len| samples(&whole[..len]).is_ok());
        assert_eq!(cut.count(), 0);
    }

    #[test]
    fn the_built_in_recording_is_seven_seconds_of_noise_and_speech() {
        let clip = built_in().unwrap();
        assert_eq!(clip.len(), 2 * AROUND + 48_790);
        let loudest = |part: &[f32]| {
            part.iter()
                .fold(0.0_f32, |most, sample| most.max(sample.abs()))
        };
        assert!(loudest(&clip[..AROUND]) <= NOISE / 2.0);
        assert!(loudest(&clip) > 0.6);
    }
}
