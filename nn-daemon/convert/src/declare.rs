//! What an operator declares: as `model.toml` has it, and whether it can be meant. Nothing here knows the model.

use std::collections::BTreeMap;

use nn_tensor::{DType, Fault, Reason};
use serde::{Deserialize, Serialize};

use crate::{LABELS_BYTES_MAX, PICTURE_SIDE_MAX, TOP_K_MAX};

/// All conversions of a model, by the model's names of its tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversions {
    /// Of inputs.
    pub inputs: BTreeMap<String, Input>,
    /// Of outputs.
    pub outputs: BTreeMap<String, Output>,
}

/// What clients send in place of what the model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A picture of any size.
    Picture(Picture),
    /// The same numbers in another element type.
    DType(Given),
}

/// An element type by its name: `u8`, `fp32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Given(pub DType);

/// How a picture, bytes in rows of pixels, becomes what the model takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Picture {
    /// Whether there is one or several.
    pub layout: Layout,
    /// What becomes of a picture whose sides are of another proportion.
    pub fit: Fit,
    /// How it is made larger or smaller.
    pub filter: Filter,
    /// The model's order of colours. Clients send red, green, blue.
    pub order: Order,
    /// The model's height and width, where it leaves them open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Where the model has its channels; `None` where its shape tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// A byte is multiplied by this first; `None` for 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<PerChannel>,
    /// Then this is taken away; `None` for 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<PerChannel>,
    /// Then it is divided by this; `None` for 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<PerChannel>,
}

/// A number for all channels, or one for each, in the model's order.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a number, or a list of one for each channel")]
pub enum PerChannel {
    /// The same for all.
    All(f64),
    /// One each.
    Each(Vec<f64>),
}

/// [`Picture::check`] lets through what is finite, so equal to itself.
impl Eq for PerChannel {}

/// The dimensions that clients send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[height, width, channels]`: one picture a call.
    #[default]
    Hwc,
    /// `[pictures, height, width, channels]`.
    Nhwc,
}

/// See [`Picture::fit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// What stands over at two opposite sides is cut off, as much at either.
    #[default]
    Crop,
    /// The picture is stretched.
    Stretch,
}

/// See [`Picture::filter`]. Each looks at all pixels that a new one covers, but for the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The pixel in the middle.
    Nearest,
    /// A triangle.
    #[default]
    Bilinear,
    /// Catmull and Rom's cubic, a = −0.5.
    Bicubic,
    /// Lanczos' of three lobes.
    Lanczos,
}

/// See [`Picture::order`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// See [`Picture::channels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Before height and width.
    First,
    /// Behind them.
    Last,
}

/// What clients get in place of what the model gives. In this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Numbers to probabilities.
    pub softmax: Option<Softmax>,
    /// Only the largest of each row, and where they are.
    pub top_k: Option<u32>,
    /// The same numbers in another element type; with `top_k` its values.
    pub dtype: Option<Given>,
    /// What the numbers stand for; used with `top_k` alone.
    pub labels: Vec<String>,
}

/// The dimension whose numbers become probabilities; counted from the end if it is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Softmax(pub i32);

pub(crate) fn refused(message: impl Into<String>) -> Fault {
    Fault::of(Reason::ManifestWrong).message(message)
}

/// A name in a message: not all of it, if it is long.
pub(crate) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

// === impl Given ===

impl TryFrom<String> for Given {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = DType::ALL.map(DType::name);
        let dtype = DType::ALL.into_iter().find(|dtype| dtype.name() == text);
        let short = short(&text);
        dtype
            .map(Self)
            .ok_or_else(|| format!("{short} is no element type; there are {}", known.join(", ")))
    }
}

impl From<Given> for String {
    fn from(given: Given) -> Self {
        given.0.name().to_owned()
    }
}

// === impl PerChannel ===

impl PerChannel {
    pub(crate) fn numbers(&self) -> &[f64] {
        match self {
            Self::All(number) => std::slice::from_ref(number),
            Self::Each(numbers) => numbers,
        }
    }

    /// The number of a channel.
    pub(crate) fn of(&self, channel: usize) -> Option<f64> {
        match self {
            Self::All(number) => Some(*number),
            Self::Each(numbers) => numbers.get(channel).copied(),
        }
    }
}

// === impl Conversions ===

impl Conversions {
    /// Whether nothing is converted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty()
    }

    /// Fails on what cannot be meant, whatever the model.
    pub fn check(&self) -> Result<(), Fault> {
        for (name, input) in &self.inputs {
            if let Input::Picture(picture) = input {
                picture.check(&short(name))?;
            }
        }
        for (name, output) in &self.outputs {
            output.check(&short(name))?;
        }
        Ok(())
    }
}

impl Picture {
    fn check(&self, name: &str) -> Result<(), Fault> {
        let place = |key: &str| format!("model.toml: inputs.{name}.picture.{key}");
        let all = [
            ("scale", &self.scale),
            ("mean", &self.mean),
            ("std", &self.std),
        ];
        for (key, numbers) in all {
            let numbers = numbers.as_ref().map_or(&[][..], PerChannel::numbers);
            let is_divisor = key == "std";
            let wrong = |number: &&f64| !number.is_finite() || (is_divisor && **number == 0.0);
            if let Some(number) = numbers.iter().find(wrong) {
                let what = if is_divisor {
                    "finite numbers other than 0"
                } else {
                    "finite numbers"
                };
                return Err(refused(format!("{} cannot be meant", place(key)))
                    .expected(what)
                    .got(number.to_string()));
            }
        }
        let side = |side: &u32| (1..=PICTURE_SIDE_MAX).contains(side);
        match self.size {
            Some(size) if !size.iter().all(side) => {
                Err(refused(format!("{} is out of range", place("size")))
                    .expected(format!("[height, width], 1 to {PICTURE_SIDE_MAX} each"))
                    .got(format!("{size:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl Output {
    /// Whether clients get something else than the model gives.
    pub(crate) fn converts(&self) -> bool {
        self.softmax.is_some() || self.top_k.is_some() || self.dtype.is_some()
    }

    fn check(&self, name: &str) -> Result<(), Fault> {
        let place = |key: &str| format!("model.toml: outputs.{name}.{key}");
        if let Some(k) = self.top_k.filter(|k| !(1..=TOP_K_MAX).contains(k)) {
            return Err(refused(format!("{} is out of range", place("top_k")))
                .expected(format!("1 to {TOP_K_MAX}"))
                .got(k.to_string()));
        }
        if self.labels.iter().any(|label| label.contains('\n')) {
            return Err(
                refused(format!("{} has a line break in a label", place("labels")))
                    .expected("labels of one line each, which guests get a line each"),
            );
        }
        let bytes = self
            .labels
            .iter()
            .map(|label| label.len().saturating_add(1));
        let bytes = bytes.fold(0_usize, usize::saturating_add);
        if bytes > LABELS_BYTES_MAX {
            return Err(refused(format!("{} are too long", place("labels")))
                .expected(format!("at most {LABELS_BYTES_MAX} bytes in lines"))
                .got(format!("{bytes} bytes")));
        }
        Ok(())
    }
}
