//! What is declared of tensors' conversions, as data: one frame a tensor, and more where there are many labels.

use bincode::{Decode, Encode};
use nn_convert::{
    Channels, Conversions, Filter, Fit, Given, Input, LABELS_BYTES_MAX, Layout, Order, Output,
    PerChannel, Picture, Softmax,
};
use nn_tensor::{DType, Fault, TENSORS_MAX};

/// Labels of one frame, in bytes.
const LABELS_BYTES: usize = 32 * 1024;

/// One declaration, or labels of one that came before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Conversion {
    /// `nn_convert::Input::Picture`.
    Picture {
        /// The input.
        name: String,
        /// Of it.
        picture: WirePicture,
    },
    /// `nn_convert::Input::DType`.
    Given {
        /// The input.
        name: String,
        /// `nn_tensor::DType`, counted in the order of its `ALL`.
        dtype: u8,
    },
    /// `nn_convert::Output` without its labels.
    Output {
        /// The output.
        name: String,
        /// The dimension.
        softmax: Option<i32>,
        /// How many.
        top_k: Option<u32>,
        /// As above.
        dtype: Option<u8>,
    },
    /// More labels of an output: one a line.
    Labels {
        /// The output.
        name: String,
        /// At most 32 KiB.
        text: String,
    },
}

/// `nn_convert::Picture`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WirePicture {
    /// Whether clients send several.
    pub many: bool,
    /// Whether it is stretched.
    pub stretch: bool,
    /// Counted in the order of its declaration.
    pub filter: u8,
    /// Whether blue comes first.
    pub bgr: bool,
    /// Height and width.
    pub size: Option<[u32; 2]>,
    /// Whether the model has its channels last, if that is said.
    pub channels_last: Option<bool>,
    /// See `nn_convert::Picture`.
    pub scale: Option<Numbers>,
    /// As above.
    pub mean: Option<Numbers>,
    /// As above.
    pub std: Option<Numbers>,
}

/// `nn_convert::PerChannel`, its numbers by their bits.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Numbers {
    /// For all channels.
    All(u64),
    /// One each.
    Each(Vec<u64>),
}

const FILTERS: [Filter; 4] = [
    Filter::Nearest,
    Filter::Bilinear,
    Filter::Bicubic,
    Filter::Lanczos,
];

fn unknown(what: &str) -> Fault {
    Fault::invalid_argument(format!("a conversion with an unknown {what}"))
}

fn dtype_of(number: u8) -> Result<Given, Fault> {
    let dtype = DType::ALL.get(usize::from(number)).copied();
    dtype.map(Given).ok_or_else(|| unknown("dtype"))
}

fn number_of(Given(dtype): Given) -> u8 {
    let at = DType::ALL.iter().position(|other| *other == dtype);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

// === impl Conversion ===

impl Conversion {
    /// All that is declared, in frames.
    #[must_use]
    pub fn all(declared: &Conversions) -> Vec<Self> {
        let inputs = declared.inputs.iter().map(|(name, input)| match input {
            Input::Picture(picture) => Self::Picture {
                name: name.clone(),
                picture: picture.into(),
            },
            Input::DType(given) => Self::Given {
                name: name.clone(),
                dtype: number_of(*given),
            },
        });
        let outputs = declared.outputs.iter().flat_map(|(name, output)| {
            let head = Self::Output {
                name: name.clone(),
                softmax: output.softmax.map(|Softmax(axis)| axis),
                top_k: output.top_k,
                dtype: output.dtype.map(number_of),
            };
            let labels = texts(&output.labels).into_iter().map(|text| Self::Labels {
                name: name.clone(),
                text,
            });
            std::iter::once(head).chain(labels)
        });
        inputs.chain(outputs).collect()
    }

    /// Adds it to what came before. Fails on what [`Conversion::all`] does not make.
    pub fn add_to(self, declared: &mut Conversions) -> Result<(), Fault> {
        match self {
            Self::Picture { name, picture } => {
                let picture = Input::Picture(picture.try_into()?);
                declared.inputs.insert(name, picture);
            }
            Self::Given { name, dtype } => {
                let given = Input::DType(dtype_of(dtype)?);
                declared.inputs.insert(name, given);
            }
            Self::Output {
                name,
                softmax,
                top_k,
                dtype,
            } => {
                let output = Output {
                    softmax: softmax.map(Softmax),
                    top_k,
                    dtype: dtype.map(dtype_of).transpose()?,
                    labels: Vec::new(),
                };
                declared.outputs.insert(name, output);
            }
            Self::Labels { name, text } => {
                let output = declared.outputs.get_mut(&name);
                let output = output.ok_or_else(|| unknown("output"))?;
                let had = output
                    .labels
                    .iter()
                    .map(|label| label.len().saturating_add(1));
                let bytes = had.fold(text.len(), usize::saturating_add);
                if bytes > LABELS_BYTES_MAX.saturating_add(1) {
                    return Err(Fault::too_large("too many labels")
                        .expected(format!("at most {LABELS_BYTES_MAX} bytes"))
                        .got(format!("{bytes} bytes")));
                }
                output.labels.extend(text.split('\n').map(str::to_owned));
            }
        }
        let count = declared.inputs.len().max(declared.outputs.len());
        if count > TENSORS_MAX {
            return Err(Fault::too_large("conversions of too many tensors")
                .expected(format!("at most {TENSORS_MAX}"))
                .got(count.to_string()));
        }
        Ok(())
    }
}

/// Labels in texts of at most [`LABELS_BYTES`], but for one that is longer itself.
fn texts(labels: &[String]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for label in labels {
        match texts.last_mut() {
            Some(text) if text.len().saturating_add(label.len()) < LABELS_BYTES => {
                text.push('\n');
                text.push_str(label);
            }
            _ => texts.push(label.clone()),
        }
    }
    texts
}

// === impl WirePicture ===

impl From<&Picture> for WirePicture {
    fn from(picture: &Picture) -> Self {
        let Picture {
            layout,
            fit,
            filter,
            order,
            size,
            channels,
            scale,
            mean,
            std,
        } = picture;
        let numbers = |numbers: &Option<PerChannel>| numbers.as_ref().map(Into::into);
        let filter = FILTERS.iter().position(|other| other == filter);
        Self {
            many: *layout == Layout::Nhwc,
            stretch: *fit == Fit::Stretch,
            filter: filter
                .and_then(|at| u8::try_from(at).ok())
                .unwrap_or(u8::MAX),
            bgr: *order == Order::Bgr,
            size: *size,
            channels_last: channels.map(|channels| channels == Channels::Last),
            scale: numbers(scale),
            mean: numbers(mean),
            std: numbers(std),
        }
    }
}

impl TryFrom<WirePicture> for Picture {
    type Error = Fault;

    fn try_from(picture: WirePicture) -> Result<Self, Fault> {
        let WirePicture {
            many,
            stretch,
            filter,
            bgr,
            size,
            channels_last,
            scale,
            mean,
            std,
        } = picture;
        let filter = FILTERS.get(usize::from(filter)).copied();
        let channels = |last| {
            if last {
                Channels::Last
            } else {
                Channels::First
            }
        };
        Ok(Self {
            layout: if many { Layout::Nhwc } else { Layout::Hwc },
            fit: if stretch { Fit::Stretch } else { Fit::Crop },
            filter: filter.ok_or_else(|| unknown("filter"))?,
            order: if bgr { Order::Bgr } else { Order::Rgb },
            size,
            channels: channels_last.map(channels),
            scale: scale.map(Into::into),
            mean: mean.map(Into::into),
            std: std.map(Into::into),
        })
    }
}

// === impl Numbers ===

impl From<&PerChannel> for Numbers {
    fn from(numbers: &PerChannel) -> Self {
        match numbers {
            PerChannel::All(number) => Self::All(number.to_bits()),
            PerChannel::Each(numbers) => {
                Self::Each(numbers.iter().map(|number| number.to_bits()).collect())
            }
        }
    }
}

impl From<Numbers> for PerChannel {
    fn from(numbers: Numbers) -> Self {
        match numbers {
            Numbers::All(bits) => Self::All(f64::from_bits(bits)),
            Numbers::Each(all) => Self::Each(all.into_iter().map(f64::from_bits).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FRAME_BYTES_MAX, ToWorker, decode, encode};

    fn declared() -> Conversions {
        let picture = Picture {
            layout: Layout::Nhwc,
            fit: Fit::Stretch,
            filter: Filter::Lanczos,
            order: Order::Bgr,
            size: Some([3, 4]),
            channels: Some(Channels::Last),
            scale: Some(PerChannel::All(1.0 / 255.0)),
            mean: Some(PerChannel::Each(vec![0.485, 0.456, 0.406])),
            std: None,
        };
        let output = Output {
            softmax: Some(Softmax(-1)),
            top_k: Some(5),
            dtype: Some(Given(DType::Fp16)),
            labels: (0..5000).map(|at| format!("the label {at}")).collect(),
        };
        let plain = Output {
            dtype: Some(Given(DType::I64)),
            labels: vec![String::new(), String::new()],
            ..Output::default()
        };
        let given = Input::DType(Given(DType::U8));
        Conversions {
            inputs: [
                ("a".to_owned(), Input::Picture(picture)),
                ("b".to_owned(), Input::Picture(Picture::default())),
                ("c".to_owned(), given),
            ]
            .into(),
            outputs: [("x".to_owned(), output), ("y".to_owned(), plain)].into(),
        }
    }

    #[test]
    fn what_is_declared_survives_the_wire_in_frames_that_fit() {
        let mut back = Conversions::default();
        let frames = Conversion::all(&declared());
        assert!(frames.len() > 6, "labels in several frames");
        for conversion in frames {
            let packet = encode(&ToWorker::Convert { conversion }).unwrap();
            assert!(packet.len() <= FRAME_BYTES_MAX);
            let Ok(ToWorker::Convert { conversion }) = decode(&packet) else {
                panic!("no Convert");
            };
            conversion.add_to(&mut back).unwrap();
        }
        assert_eq!(back, declared());
    }

    #[test]
    fn frames_that_nobody_made_are_refused() {
        let mut declared = Conversions::default();
        let labels = |bytes| Conversion::Labels {
            name: "x".into(),
            text: "a".repeat(bytes),
        };
        assert!(labels(1).add_to(&mut declared).is_err(), "of no output");
        let output = |name: &str| Conversion::Output {
            name: name.into(),
            softmax: None,
            top_k: Some(1),
            dtype: None,
        };
        output("x").add_to(&mut declared).unwrap();
        let too_many = labels(LABELS_BYTES_MAX + 2).add_to(&mut declared);
        assert!(too_many.is_err());
        let dtype = Conversion::Given {
            name: "a".into(),
            dtype: 7,
        };
        assert!(dtype.add_to(&mut declared).is_err());
        let added = (0..=TENSORS_MAX).map(|at| output(&at.to_string()).add_to(&mut declared));
        assert!(added.last().unwrap().is_err(), "too many outputs");
    }
}
