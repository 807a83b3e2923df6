//! Every unsafe line about ONNX Runtime: tensors over memory that is not its own, results copied out
//! of memory that is, and one question that `ort` has no method for.
//!
//! A tensor over foreign memory never leaves [`run`]: it is made, used and dropped while the memory
//! is borrowed or held.
#![expect(
    unsafe_code,
    reason = "ONNX Runtime is a C library; binding tensors in place needs its raw functions"
)]

use std::borrow::Cow;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nn_backend::{Bytes, Cause, Interrupt};
use nn_shm::Place;
use nn_tensor::DType;
use ort::AsPointer;
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::DynValue;

use crate::dtype;

/// A tensor to be made over memory that somebody else owns.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<i64>,
    pub(crate) bytes: Bytes<'a>,
}

/// Which list of a session's tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Input,
    Output,
}

/// Memory that cannot be bound or copied to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    #[error("{name} is at an address that its element type does not allow")]
    Misaligned { name: String },
    #[error("{name} has {got} bytes and should have {expected}")]
    Length {
        name: String,
        expected: usize,
        got: usize,
    },
    #[error("{name} is to be written to memory for reading")]
    ReadOnly { name: String },
    #[error("ONNX Runtime made nothing, and no error either")]
    Null,
}

/// Stops the runs of one session, from any thread.
#[derive(Debug, Default)]
pub(crate) struct Stop(Mutex<Stopping>);

#[derive(Debug, Default)]
struct Stopping {
    wanted: bool,
    /// Of the run that is under way.
    options: Option<Options>,
}

/// Options of a run that its thread holds for as long as they are here.
#[derive(Debug)]
struct Options(NonNull<ort::sys::OrtRunOptions>);

// SAFETY: the one thing that is done by way of this pointer is to set the flag that ends a run, which ONNX Runtime has for
// being set by another thread than the one that runs.
unsafe impl Send for Options {}

/// A run that can be stopped; when dropped, no longer.
struct Stoppable<'a>(&'a Stop);

// === impl Stop ===

impl Stop {
    fn lock(&self) -> MutexGuard<'_, Stopping> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run at hand is to end, or the next.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lock().wanted
    }

    /// From here on the run with these options can be stopped. The caller drops what it gets before the options.
    fn enter(&self, options: &RunOptions<HasSelectedOutputs>) -> Stoppable<'_> {
        let mut stopping = self.lock();
        stopping.options = NonNull::new(options.ptr().cast_mut()).map(Options);
        stopping.end_if_wanted();
        Stoppable(self)
    }
}

impl Interrupt for Stop {
    fn interrupt(&self) {
        let mut stopping = self.lock();
        stopping.wanted = true;
        stopping.end_if_wanted();
    }

    fn rearm(&self) {
        self.lock().wanted = false;
    }
}

impl Stopping {
    fn end_if_wanted(&self) {
        let Some(options) = self.options.as_ref().filter(|_| self.wanted) else {
            return;
        };
        // SAFETY: the options are alive: the run's thread takes them out of here, under the lock that is held now, before it
        // drops them. ONNX Runtime sets a flag in them that the run looks at, and nothing else.
        let status = unsafe { (ort::api().RunOptionsSetTerminate)(options.0.as_ptr()) };
        // SAFETY: the status has just been returned by ONNX Runtime and is looked at once.
        let told = unsafe { ort::Error::result_from_status(status) };
        // Whoever wants the run to end waits for that with a bound, and ends the process else.
        drop(told);
    }
}

impl Drop for Stoppable<'_> {
    fn drop(&mut self) {
        self.0.lock().options = None;
    }
}

/// Computes, unless `stop` has it end before. `inputs` are read where they are; `outputs` are written where they are;
/// every other output of the session is given to `rest` while all of that is still there.
pub(crate) fn run<R>(
    session: &mut Session,
    stop: &Stop,
    (inputs, outputs): (&[Bound<'_>], &[Bound<'_>]),
    rest: impl FnOnce(&[(String, &DynValue)]) -> R,
) -> Result<R, Cause> {
    let mut feeds: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let value = over(session.allocator(), input)?;
        feeds.push((Cow::Borrowed(input.name), SessionInputValue::Owned(value)));
    }
    let mut selector = OutputSelector::default();
    for output in outputs {
        let writable = matches!(output.bytes, Bytes::Shared(place) if place.is_writable());
        if !writable {
            let name = output.name.to_owned();
            return Err(MemoryError::ReadOnly { name }.into());
        }
        let value = over(session.allocator(), output)?;
        selector = selector.preallocate(output.name, value);
    }
    let options = RunOptions::new()?.with_outputs(selector);
    let stoppable = stop.enter(&options);
    let results = session.run_with_options(feeds, &options);
    drop(stoppable);
    let results = results?;
    let unbound: Vec<(String, &DynValue)> = results
        .iter()
        .filter(|(name, _)| !outputs.iter().any(|output| output.name == *name))
        .map(|(name, _)| (name.to_owned(), &results[name]))
        .collect();
    Ok(rest(&unbound))
}

/// Has the session's arena give back what it does not use, which nobody does after a run that failed: what
/// it had taken by then would be missing for every later one. ONNX Runtime shrinks at the end of a run that asks for
/// it; this one is told to stop before it begins.
pub(crate) fn shrink(session: &mut Session, inputs: &[Bound<'_>]) -> Result<(), Cause> {
    let mut feeds: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let value = over(session.allocator(), input)?;
        feeds.push((Cow::Borrowed(input.name), SessionInputValue::Owned(value)));
    }
    let mut options = RunOptions::new()?;
    options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
    options.terminate()?;
    // It fails, being stopped; what counts happens all the same.
    let _ = session.run_with_options(feeds, &options);
    Ok(())
}

/// A tensor over the bytes of `bound`. The caller drops it while `bound` is still borrowed, and lets
/// ONNX Runtime write to it only if the bytes are writable.
fn over(allocator: &Allocator, bound: &Bound<'_>) -> Result<DynValue, Cause> {
    let align = usize::try_from(bound.dtype.size())?;
    let start = if bound.bytes.is_empty() {
        // No bytes, so any address that is aligned and not null; an empty slice's need not be aligned.
        ptr::without_provenance(align)
    } else {
        bound.bytes.as_ptr()
    };
    if !start.addr().is_multiple_of(align) {
        let name = bound.name.to_owned();
        return Err(MemoryError::Misaligned { name }.into());
    }
    let info = allocator.memory_info().ptr();
    let mut value = ptr::null_mut();
    // SAFETY: `info` is the memory info of a live allocator, for CPU memory. `start` is valid for
    // `bytes.len()` reads (`Bytes::as_ptr`), aligned for the element type (above), and stays so until
    // the tensor is dropped (the caller). ONNX Runtime writes there only if the caller uses it as an
    // output. The shape's pointer and length are those of a live vector; the call copies it, and
    // fails if it asks for more than `bytes.len()`. `value` may be written.
    let status = unsafe {
        (ort::api().CreateTensorWithDataAsOrtValue)(
            info,
            start.cast_mut().cast::<c_void>(),
            bound.bytes.len(),
            bound.dims.as_ptr(),
            bound.dims.len(),
            dtype::to_ort(bound.dtype).into(),
            &raw mut value,
        )
    };
    // SAFETY: the status has just been returned by ONNX Runtime and is looked at once.
    unsafe { ort::Error::result_from_status(status) }?;
    let value = NonNull::new(value).ok_or(MemoryError::Null)?;
    // SAFETY: `value` is a tensor that nobody else owns, made by the call above; the allocator is
    // given although the tensor does not own its bytes, as `from_ptr` asks for every tensor.
    Ok(unsafe { DynValue::from_ptr(value, Some(allocator)) })
}

/// Copies a result to its place; fails unless that has exactly `len` bytes and is writable.
pub(crate) fn copy(name: &str, value: &DynValue, len: usize, to: &Place) -> Result<(), Cause> {
    let name = || name.to_owned();
    if to.len() != len {
        let (expected, got) = (len, to.len());
        let name = name();
        return Err(MemoryError::Length {
            name,
            expected,
            got,
        }
        .into());
    }
    if !to.is_writable() {
        return Err(MemoryError::ReadOnly { name: name() }.into());
    }
    if len == 0 {
        return Ok(());
    }
    let mut from: *mut c_void = ptr::null_mut();
    // SAFETY: `value` is alive and a tensor (its caller read element type and shape off it); `from`
    // may be written. The function changes nothing of the value, whatever its name says.
    let status =
        unsafe { (ort::api().GetTensorMutableData)(value.ptr().cast_mut(), &raw mut from) };
    // SAFETY: the status has just been returned by ONNX Runtime and is looked at once.
    unsafe { ort::Error::result_from_status(status) }?;
    let from = NonNull::new(from).ok_or(MemoryError::Null)?;
    // SAFETY: `from` is valid for `len` reads, being the data of a live CPU tensor of that many bytes
    // (the caller multiplied its shape by its element size); no reference to it is made, for a model
    // may pass an input through, and then it is shared memory. `to` is valid for `len` writes (checked
    // above). They do not overlap: places to be written are handed out once, and are no input.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr().cast::<u8>(), to.as_ptr(), len) };
    Ok(())
}

/// Whether the model says how many dimensions this tensor has. ONNX Runtime reports none where the
/// model says nothing and where it says "a scalar"; this tells the two apart.
pub(crate) fn has_rank(session: &Session, side: Side, index: usize) -> Result<bool, ort::Error> {
    let api = ort::api();
    let ask = match side {
        Side::Input => api.SessionGetInputTypeInfo,
        Side::Output => api.SessionGetOutputTypeInfo,
    };
    let mut info = ptr::null_mut();
    // SAFETY: the session is alive; an index beyond its tensors is an error; `info` may be written.
    let status = unsafe { ask(session.ptr(), index, &raw mut info) };
    // SAFETY: the status has just been returned by ONNX Runtime and is looked at once.
    unsafe { ort::Error::result_from_status(status) }?;
    let mut tensor = ptr::null();
    // SAFETY: `info` is alive until it is released below; `tensor` may be written.
    let status = unsafe { (api.CastTypeInfoToTensorInfo)(info, &raw mut tensor) };
    // SAFETY: the status has just been returned by ONNX Runtime and is looked at once.
    let cast = unsafe { ort::Error::result_from_status(status) };
    // SAFETY: `tensor` is a part of `info`, which is alive, and not null (checked before the call).
    let has = || unsafe { (api.TensorTypeAndShape_HasShape)(tensor) };
    let answer = cast.map(|()| !tensor.is_null() && has());
    // SAFETY: `info` was made by the call above, is owned here and not used after this line.
    unsafe { (api.ReleaseTypeInfo)(info) };
    answer
}
