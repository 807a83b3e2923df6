//! Where a model has the rows, columns and channels of a picture.

use nn_tensor::{Dim, Fault, TensorSpec};

use crate::PICTURE_SIDE_MAX;
use crate::declare::{Channels, Layout, Order, Picture, refused, short};
use crate::picture::{PictureStep, Tables};
use crate::resize::{How, Size};

/// A model's input, taken for a picture.
struct Place {
    /// The dimension for several, if it has one.
    batch: Option<Dim>,
    channels: u32,
    height: Dim,
    width: Dim,
    to: Channels,
}

/// The dimensions that clients send, and what becomes of them.
pub(super) fn of(own: &TensorSpec, picture: &Picture) -> Result<(Vec<Dim>, PictureStep), Fault> {
    let name = own.name.as_str();
    let misfit = |key: &str, expected: &str| {
        refused(format!(
            "model.toml: inputs.{}.picture{key} does not fit the model",
            short(name)
        ))
        .expected(expected)
        .got(own.to_string())
    };
    let place = place(own, picture, &misfit)?;
    let Place {
        batch,
        channels,
        height,
        width,
        to,
    } = place;
    let size = size(picture, height, width, &misfit)?;
    let many = picture.layout == Layout::Nhwc;
    let head = match (many, batch) {
        (true, Some(batch)) => vec![batch],
        (true, None) => {
            return Err(misfit(
                ".layout",
                "hwc: the model has no dimension for several pictures",
            ));
        }
        (false, None | Some(Dim::Any | Dim::Fixed(1))) => Vec::new(),
        (false, Some(Dim::Fixed(_))) => {
            return Err(misfit(
                ".layout",
                "nhwc: the model takes several pictures at a time",
            ));
        }
    };
    let channels_len = usize::try_from(channels).unwrap_or(usize::MAX);
    if channels == 1 && picture.order == Order::Bgr {
        return Err(misfit(".order", "rgb, or none: there is one channel").hint("leave it out"));
    }
    let step = PictureStep {
        how: How {
            to: size,
            channels: channels_len,
            fit: picture.fit,
            filter: picture.filter,
        },
        many,
        batch: batch.is_some(),
        to,
        tables: Tables::new(name, picture, own.dtype, channels_len)?,
    };
    let pixels = [Dim::Any, Dim::Any, Dim::Fixed(channels)];
    Ok((head.into_iter().chain(pixels).collect(), step))
}

fn place(
    own: &TensorSpec,
    picture: &Picture,
    misfit: &impl Fn(&str, &str) -> Fault,
) -> Result<Place, Fault> {
    let dims = own.dims.as_deref().unwrap_or_default();
    let (batch, pixels) = match *dims {
        [a, b, c] => (None, [a, b, c]),
        [n, a, b, c] => (Some(n), [a, b, c]),
        _ => {
            return Err(misfit(
                "",
                "an input of rank 3 or 4: height, width and channels, and pictures before them",
            ));
        }
    };
    let count = |dim: Dim| match dim {
        Dim::Fixed(count @ (1 | 3 | 4)) => Some(count),
        Dim::Fixed(_) | Dim::Any => None,
    };
    let [a, b, c] = pixels;
    let (first, last) = (count(a), count(c));
    let none = || {
        misfit(
            "",
            "an input with 1, 3 or 4 channels before height and width, or behind them",
        )
    };
    let (to, channels) = match (picture.channels, first, last) {
        (Some(Channels::First), Some(channels), _) | (None, Some(channels), None) => {
            (Channels::First, channels)
        }
        (Some(Channels::Last), _, Some(channels)) | (None, None, Some(channels)) => {
            (Channels::Last, channels)
        }
        (None, Some(_), Some(_)) => {
            return Err(misfit(
                ".channels",
                "\"first\" or \"last\", which its shape does not tell",
            ));
        }
        (Some(_), None, _) | (Some(_), _, None) | (None, None, None) => return Err(none()),
    };
    let (height, width) = match to {
        Channels::First => (b, c),
        Channels::Last => (a, b),
    };
    Ok(Place {
        batch,
        channels,
        height,
        width,
        to,
    })
}

/// The model's, and what is said where it leaves them open.
fn size(
    picture: &Picture,
    height: Dim,
    width: Dim,
    misfit: &impl Fn(&str, &str) -> Fault,
) -> Result<Size, Fault> {
    let [said_height, said_width] = picture.size.map_or([None; 2], |[h, w]| [Some(h), Some(w)]);
    let side = |own: Dim, said: Option<u32>| match (own, said) {
        (Dim::Fixed(own), Some(said)) if own != said => {
            Err(misfit(".size", "the model's own height and width, or none")
                .hint("leave it out: the model says it"))
        }
        (Dim::Fixed(side), _) | (Dim::Any, Some(side)) => Ok(side),
        (Dim::Any, None) => Err(misfit(
            ".size",
            "size = [height, width], which the model leaves open",
        )),
    };
    let size = Size {
        height: side(height, said_height)?,
        width: side(width, said_width)?,
    };
    let sides = 1..=PICTURE_SIDE_MAX;
    if sides.contains(&size.height) && sides.contains(&size.width) {
        return Ok(size);
    }
    Err(misfit(
        "",
        &format!("a height and a width of 1 to {PICTURE_SIDE_MAX}"),
    ))
}
