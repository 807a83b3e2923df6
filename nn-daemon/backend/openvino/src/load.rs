//! The library, and models into what can be run.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nn_backend::{Backend, BackendError, LoadedModel, Model, Precision, Setup, WarmUp};
use nn_tensor::bundle;

use crate::cause;
use crate::ffi::{self, Compiled, Core};
use crate::run::OpenVinoModel;
use crate::signature::{self, Said};

/// `c = a + b`, each f32 of any length.
const WARM_UP_MODEL: &[u8] = include_bytes!("../../../../models/tiny/add-f32.onnx");

/// The same as IR, whose reader is another library.
const WARM_UP_IR: &[u8] = include_bytes!("warm_up.xml");

/// By name: what is chosen automatically might be another one.
const DEVICE: &CStr = c"CPU";

/// The oldest release with every function that is called here.
const OLDEST: (u32, u32) = (2026, 4);

/// OpenVINO on the CPU. One a process can be opened.
#[derive(Debug, Default)]
pub struct OpenVinoBackend {
    open: Option<Open>,
    warm_up: Option<WarmUp>,
}

#[derive(Debug)]
struct Open {
    core: Core,
    threads: usize,
}

#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("the library was not loaded yet")]
    NotOpen,
    #[error("OpenVINO {got:?}; expected {}.{} or later", OLDEST.0, OLDEST.1)]
    Old { got: String },
}

/// A model's files.
#[derive(Clone, Copy, Debug)]
struct Source<'a> {
    bytes: &'a [u8],
    weights: Option<&'a [u8]>,
}

/// What the bytes of a model look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Ir,
    Other,
}

// === impl OpenVinoBackend ===

impl OpenVinoBackend {
    /// A backend that is still to be opened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> Result<&Open, BackendError> {
        let open = self.open.as_ref();
        open.ok_or_else(|| BackendError::Framework(SetupError::NotOpen.into()))
    }

    fn compile(
        &self,
        source: Source<'_>,
        precision: Precision,
    ) -> Result<(Said, Compiled), BackendError> {
        let open = self.open()?;
        let read = open.core.read(source.bytes, source.weights);
        let read = read.map_err(cause::of_read)?;
        let said = Said::of(&read)?;
        let compiled = open
            .core
            .compile(&read, DEVICE, &properties(open.threads, precision)?)
            .map_err(cause::of_compile)?;
        Ok((said, compiled))
    }

    fn import(
        &self,
        prepared: &'static [u8],
        precision: Precision,
    ) -> Result<Compiled, BackendError> {
        let open = self.open()?;
        // What imports a model takes none of its own.
        let properties = properties(open.threads, precision)?;
        let set = open.core.set(DEVICE, &properties);
        set.map_err(cause::of_compile)?;
        let imported = open.core.import(prepared, DEVICE);
        imported.map_err(cause::of_compile)
    }

    /// Computes 1 + 1, then 2 + 2, and so on.
    fn warm_up(&mut self) -> Result<(), BackendError> {
        if self.warm_up.is_none() {
            let (said, model) = self.compile(Source::of(WARM_UP_MODEL), Precision::F32)?;
            let model = ready(Some(&said), model)?;
            self.warm_up = Some(WarmUp::new(Box::new(model)));
        }
        let warm_up = self.warm_up.as_mut();
        warm_up.map_or(Ok(()), WarmUp::run)
    }
}

impl Backend for OpenVinoBackend {
    fn name(&self) -> &'static str {
        "openvino"
    }

    fn open(&mut self, setup: &Setup<'_>) -> Result<String, BackendError> {
        let version = ffi::load(setup.library).map_err(BackendError::Framework)?;
        if release(&version).is_none_or(|release| release < OLDEST) {
            let old = SetupError::Old { got: version };
            return Err(BackendError::Framework(old.into()));
        }
        let core = Core::new().map_err(|error| BackendError::Framework(error.into()))?;
        let threads = setup.threads.max(1);
        self.open = Some(Open { core, threads });
        // Its library is loaded by the first model of its kind, which may not be a client's.
        let ir = Source {
            bytes: WARM_UP_IR,
            weights: Some(&[]),
        };
        let (_, compiled) = self.compile(ir, Precision::F32)?;
        let request = compiled.request();
        // Its scheduler takes note of the thread that it is first used on, and reads a file for that: what imports or exports
        // a model uses it on this one.
        let ran = request.and_then(|mut request| request.run_here());
        ran.map_err(|error| BackendError::Framework(error.into()))?;
        // The next one takes its threads over.
        drop(compiled);
        self.warm_up()?;
        Ok(format!("OpenVINO {version}"))
    }

    fn check(&mut self) -> Result<(), BackendError> {
        self.warm_up()
    }

    fn load(&mut self, model: &Model<'_>) -> Result<Box<dyn LoadedModel>, BackendError> {
        // Its threads are handed on to the next model of the same properties; a sealed process makes none.
        self.warm_up = None;
        let (said, compiled) = self.compile(source(model)?, model.precision)?;
        Ok(Box::new(ready(Some(&said), compiled)?))
    }

    fn prepare(&mut self, model: &Model<'_>, to: &Path) -> Result<(), BackendError> {
        self.warm_up = None;
        let (_, compiled) = self.compile(source(model)?, model.precision)?;
        let to = CString::new(to.as_os_str().as_bytes());
        let to = to.map_err(|error| BackendError::Load(error.into()))?;
        compiled.export(&to).map_err(cause::of_compile)
    }

    fn load_prepared(
        &mut self,
        prepared: &'static [u8],
        precision: Precision,
    ) -> Result<Box<dyn LoadedModel>, BackendError> {
        self.warm_up = None;
        // Nobody reads the model, so that the compiler's names are all there are: where they are others, the daemon goes back to
        // the model's own bytes.
        Ok(Box::new(ready(None, self.import(prepared, precision)?)?))
    }
}

/// Its files, which are what they were said to be.
fn source<'a>(model: &Model<'a>) -> Result<Source<'a>, BackendError> {
    let source = match (model.format, model.parts) {
        ("onnx", [(_, bytes)]) => Source::of(bytes),
        ("openvino-ir", [(_, bytes)]) => match bundle::split(bytes) {
            Ok(Some(pair)) => Source {
                bytes: pair.xml,
                weights: Some(pair.weights),
            },
            Ok(None) => return Err(BackendError::Encoding("no bundle of IR".into())),
            Err(error) => return Err(BackendError::Encoding(error.into())),
        },
        ("onnx" | "openvino-ir", parts) => {
            return Err(BackendError::Format {
                expected: "one file of format onnx, or one bundle of openvino-ir",
                got: format!("{} files", parts.len()),
            });
        }
        (other, _) => {
            return Err(BackendError::Format {
                expected: "onnx, openvino-ir",
                got: other.chars().take(32).collect(),
            });
        }
    };
    // OpenVINO looks for itself, and may take one for the other.
    let said = match source.weights {
        Some(_) => Looks::Ir,
        None => Looks::Other,
    };
    if looks(source.bytes) != said {
        let not = format!("the bytes are not of the format {:?}", model.format);
        return Err(BackendError::Encoding(not.into()));
    }
    Ok(source)
}

/// What is ready, with what it takes and gives; in a model's own words, where there are any.
fn ready(said: Option<&Said>, compiled: Compiled) -> Result<OpenVinoModel, BackendError> {
    let (signature, passed_on) = signature::of(said, &compiled)?;
    let request = compiled.request().map_err(cause::of_compile)?;
    Ok(OpenVinoModel::new(compiled, request, signature, passed_on))
}

/// How every model is run: the same for all, or the warm-up's threads would not fit the next.
fn properties(
    threads: usize,
    precision: Precision,
) -> Result<Vec<(&'static CStr, CString)>, BackendError> {
    let number = |number: usize| {
        CString::new(number.to_string()).map_err(|error| BackendError::Load(error.into()))
    };
    let word = CStr::to_owned;
    let mut properties = vec![
        (c"INFERENCE_NUM_THREADS", number(threads)?),
        (c"NUM_STREAMS", word(c"1")),
        (c"PERFORMANCE_HINT_NUM_REQUESTS", word(c"1")),
        // Workers share processors; each would choose the same ones.
        (c"ENABLE_CPU_PINNING", word(c"NO")),
        (c"ENABLE_HYPER_THREADING", word(c"YES")),
    ];
    if precision == Precision::F32 {
        // What the processor has a faster type for would be computed in that.
        properties.push((c"INFERENCE_PRECISION_HINT", word(c"f32")));
    }
    Ok(properties)
}

/// `2026.4.1-22982-…` → (2026, 4).
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// By what OpenVINO goes: the first character that is not white.
fn looks(bytes: &[u8]) -> Looks {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.trim_ascii_start().first() {
        Some(b'<') => Looks::Ir,
        _ => Looks::Other,
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            weights: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_off_the_version() {
        assert_eq!(release("2026.4.1-22982-abc"), Some((2026, 4)));
        assert_eq!(release("custom"), None);
    }

    #[test]
    fn xml_is_seen_behind_what_a_reader_skips() {
        let xml = [&b"<net"[..], b"\n \t<?xml", b"\xef\xbb\xbf<net"];
        assert_eq!(xml.map(looks), [Looks::Ir; 3]);
        assert_eq!([&b""[..], b"\x08\x08"].map(looks), [Looks::Other; 2]);
    }
}
