//! Finds speech in a recording: `wit-vad [--frames] MODEL [RECORDING]`. It serves one model, Silero's detector of voice for
//! 16 kHz, which hears 32 ms at a time and gives back what it has to remember: the guest carries that, the host keeps nothing.

mod detector;
mod recording;
mod spans;

use std::error::Error;
use std::process::ExitCode;

use nn_guest::{describe, load_by_name};

use crate::detector::{Detector, FRAME};

const USAGE: &str = "usage: wit-vad [--frames] MODEL [RECORDING]

  MODEL      the name of a model as its host knows it: NAME, NAME@VERSION or NAME:ALIAS
  RECORDING  a WAV file that the host lets this guest see: 16 kHz, one channel, 16 bits; without it, a built-in one: 2 s
             of noise, a sentence, 2 s of noise
  --frames   print the probability of speech in each frame of 32 ms, too

Prints from when to when somebody speaks.";

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    frames: bool,
    model: String,
    recording: Option<String>,
}

fn main() -> ExitCode {
    let raw: Vec<String> = std::env::args().skip(1).collect();
    if matches!(raw.as_slice(), [help] if help == "--help" || help == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(arguments) = Arguments::parse(raw) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match listen(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn listen(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let samples = match &arguments.recording {
        Some(path) => recording::read(path)?,
        None => recording::built_in()?,
    };
    let mut detector = Detector::new(load_by_name(&arguments.model)?)?;
    let mut probabilities = Vec::with_capacity(samples.len() / FRAME + 1);
    for frame in samples.chunks(FRAME) {
        probabilities.push(detector.hear(frame)?);
    }
    if arguments.frames {
        for (index, probability) in probabilities.iter().enumerate() {
            println!("{index:>5}  {:>8.3} s  {probability:.6}", seconds(index));
        }
    }
    for span in spans::of(&probabilities) {
        println!(
            "speech from {:.3} s to {:.3} s",
            seconds(span.start),
            seconds(span.end)
        );
    }
    Ok(())
}

/// When a frame begins.
fn seconds(frame: usize) -> f64 {
    let samples = u32::try_from(frame.saturating_mul(FRAME)).unwrap_or(u32::MAX);
    f64::from(samples) / f64::from(recording::RATE)
}

// === impl Arguments ===

impl Arguments {
    /// `None` for what the usage text does not describe.
    fn parse(raw: Vec<String>) -> Option<Self> {
        let (flags, plain): (Vec<String>, Vec<String>) = raw
            .into_iter()
            .partition(|argument| argument.starts_with("--"));
        let frames = match flags.as_slice() {
            [] => false,
            [flag] if flag == "--frames" => true,
            _ => return None,
        };
        let mut plain = plain.into_iter();
        let arguments = Self {
            frames,
            model: plain.next()?,
            recording: plain.next(),
        };
        plain.next().is_none().then_some(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Option<Arguments> {
        Arguments::parse(arguments.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_model_alone_hears_the_built_in_recording() {
        let arguments = parse(&["vad"]).unwrap();
        assert_eq!((arguments.frames, arguments.recording), (false, None));
    }

    #[test]
    fn the_flag_may_stand_anywhere() {
        let arguments = parse(&["vad", "/data/a.wav", "--frames"]).unwrap();
        assert!(arguments.frames);
        assert_eq!(arguments.recording.as_deref(), Some("/data/a.wav"));
    }

    #[test]
    fn too_few_and_too_many_arguments_are_refused() {
        let wrong: [&[&str]; 4] = [&[], &["a", "b", "c"], &["--frame", "a"], &["--frames"]];
        assert_eq!(wrong.map(parse), [None, None, None, None]);
    }

    #[test]
    fn a_frame_begins_32_ms_after_the_one_before() {
        assert_eq!(format!("{:.3}", seconds(3)), "0.096");
    }
}
