//! The model, what it heard last, and what it remembers: one frame in, the probability of speech out.

use nn_guest::{Failure, Model, Tensor};

/// Samples in a frame: 32 ms.
pub(crate) const FRAME: usize = 512;

/// The model hears the end of the frame before, too.
const CONTEXT: usize = 64;

/// Both together.
const WINDOW: usize = CONTEXT + FRAME;

const WINDOW_DIMS: [u32; 2] = [1, 576];
const STATE_DIMS: [u32; 3] = [2, 1, 128];
const STATE_LEN: usize = 2 * 128;

/// Hears a recording frame by frame.
#[derive(Debug)]
pub(crate) struct Detector {
    model: Model,
    window: [f32; WINDOW],
    state: Tensor<'static>,
}

// === impl Detector ===

impl Detector {
    /// A detector that has heard nothing yet: silence, and a state of zeros.
    pub(crate) fn new(model: Model) -> Result<Self, Failure> {
        Ok(Self {
            model,
            window: [0.0; WINDOW],
            state: Tensor::new(&STATE_DIMS, &[0.0_f32; STATE_LEN])?.into_owned(),
        })
    }

    /// The probability that somebody speaks in this frame. A shorter one is filled up with silence.
    pub(crate) fn hear(&mut self, frame: &[f32]) -> Result<f32, Failure> {
        slide(&mut self.window, frame);
        let outputs = self.model.compute(&[
            Tensor::new(&WINDOW_DIMS, &self.window)?,
            self.state.as_input(),
        ])?;
        let [probability, state] = outputs.exactly()?;
        // Here a model that is none of Silero's is told, by what it answers.
        self.state = state.with_shape::<f32>(&STATE_DIMS)?;
        probability.with_shape::<f32>(&[1, 1])?.number()
    }
}

/// The end of the window becomes its beginning, and the frame follows it.
fn slide(window: &mut [f32; WINDOW], frame: &[f32]) {
    window.copy_within(FRAME.., 0);
    let silence = std::iter::repeat(&0.0);
    let samples = frame.iter().chain(silence);
    window
        .iter_mut()
        .skip(CONTEXT)
        .zip(samples)
        .for_each(|(place, sample)| *place = *sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_the_end_of_the_frame_before() {
        let mut window = [0.0; WINDOW];
        let frame: [f32; FRAME] =
            std::array::from_fn(|index| if index < FRAME - CONTEXT { 1.0 } else { 2.0 });
        slide(&mut window, &frame);
        assert_eq!(window[..CONTEXT], [0.0; CONTEXT]);
        slide(&mut window, &[3.0; 10]);
        assert_eq!(window[..CONTEXT], [2.0; CONTEXT]);
        assert_eq!(window[CONTEXT..CONTEXT + 10], [3.0; 10]);
        assert_eq!(window[CONTEXT + 10..], [0.0; FRAME - 10]);
    }

    #[test]
    fn dimensions_and_lengths_agree() {
        let product = |dims: &[u32]| dims.iter().product::<u32>();
        assert_eq!(usize::try_from(product(&WINDOW_DIMS)), Ok(WINDOW));
        assert_eq!(usize::try_from(product(&STATE_DIMS)), Ok(STATE_LEN));
    }
}
