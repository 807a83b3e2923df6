//! Which files of a version's directory its model is. The directory is the one that a link led to at first, so that
//! whoever has the link lead elsewhere meanwhile mixes no two versions.

use std::fs;
use std::path::{Path, PathBuf};

use nn_tensor::Fault;

use crate::Stamp;

/// What a model's file is called, unless `config.pbtxt` says another; the first that is there.
const ONNX: &str = "model.onnx";
const XML: &str = "model.xml";

/// A file to be read, and which it was when it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it really lies, as far as directories go.
    pub path: PathBuf,
    /// The file that it was before anything else of its version was read: of another one the rest does not hold.
    pub stamp: Stamp,
}

/// The files of one version.
#[derive(Debug)]
pub(super) struct Files {
    /// In the order in which they are read: the model, and behind an XML its weights.
    pub(super) pieces: Vec<Piece>,
    /// Another model in the same directory, which is not served.
    pub(super) passed_over: Option<&'static str>,
}

// === impl Files ===

impl Files {
    /// None: remote engines have the model.
    pub(super) fn none() -> Self {
        Self {
            pieces: Vec::new(),
            passed_over: None,
        }
    }

    /// Those in a directory; `None` where there is no model of that name, or of a usual one. Fails for an IR without weights.
    pub(super) fn of(dir: &Path, named: Option<&str>) -> Option<Result<Self, Fault>> {
        let (piece, passed_over) = match named {
            Some(name) => (piece(dir.join(name))?, None),
            None => unnamed(dir)?,
        };
        let is_xml = piece.path.extension().is_some_and(|is| is == "xml");
        let weights = is_xml.then(|| self::piece(piece.path.with_extension("bin")));
        let pieces = match weights {
            None => vec![piece],
            Some(Some(weights)) => vec![piece, weights],
            Some(None) => return Some(Err(no_weights(&piece.path))),
        };
        Some(Ok(Self {
            pieces,
            passed_over,
        }))
    }
}

fn no_weights(xml: &Path) -> Fault {
    let name = |path: &Path| path.file_name().map(|of| of.to_string_lossy().into_owned());
    let wanted = name(&xml.with_extension("bin")).unwrap_or_default();
    Fault::invalid_argument("an IR without its weights")
        .expected(format!("{wanted} beside {}", name(xml).unwrap_or_default()))
}

/// `model.onnx`, or `model.xml`, or the one XML file that there is.
fn unnamed(dir: &Path) -> Option<(Piece, Option<&'static str>)> {
    let xml = dir.join(XML);
    if let Some(onnx) = piece(dir.join(ONNX)) {
        return Some((onnx, xml.exists().then_some(XML)));
    }
    if let Some(xml) = piece(xml) {
        return Some((xml, None));
    }
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let mut others = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|is| is == "xml"));
    let (one, more) = (others.next()?, others.next());
    if more.is_some() {
        return None;
    }
    Some((piece(one)?, None))
}

fn piece(path: PathBuf) -> Option<Piece> {
    let stamp = Stamp::settled_at(&path).ok()?;
    Some(Piece { path, stamp })
}
