//! Tensors over memory that is not OpenVINO's own, runs of them, and what ends a run from another thread.
//!
//! A tensor over foreign memory stays in its request when the run is over, and is neither read nor written there: only a
//! run does that, and each begins with every tensor set anew (`run.rs`).
#![expect(
    unsafe_code,
    reason = "OpenVINO is a C library, and its safe bindings have no tensors over foreign memory"
)]

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nn_backend::{Bytes, Cause, Interrupt};
use nn_shm::Place;
use nn_tensor::DType;
use openvino_sys as sys;
use sys::ov_status_e as Status;

use super::ports::Side;
use super::{check, made};
use crate::cause::Failed;
use crate::dtype;

/// A tensor to be made over memory that somebody else owns.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<i64>,
    pub(crate) bytes: Bytes<'a>,
}

/// What came out of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) element: u32,
    /// `None` where OpenVINO does not say: that is how it says "a scalar".
    pub(crate) dims: Option<Vec<i64>>,
    pub(crate) bytes: usize,
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
}

/// A place for the runs of one: one at a time.
#[derive(Debug)]
pub(crate) struct Request(NonNull<sys::ov_infer_request_t>);

/// A tensor.
#[derive(Debug)]
pub(super) struct Tensor(pub(super) NonNull<sys::ov_tensor_t>);

// === impl Tensor ===

impl Tensor {
    /// A tensor of bytes in OpenVINO's own memory.
    pub(super) fn copy_of(bytes: &[u8]) -> Result<Self, Failed> {
        let len = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let mut dims = [len];
        let mut tensor = ptr::null_mut();
        // SAFETY: the shape has one dimension, which lives over the call; `tensor` may be written.
        let status = unsafe {
            sys::ov_tensor_create(
                sys::ov_element_type_e::U8,
                shape(&mut dims),
                &raw mut tensor,
            )
        };
        let tensor = Self(made("ov_tensor_create", status, tensor)?);
        if let Some(to) = tensor.data()? {
            // SAFETY: the tensor has as many bytes as it was made with; the slice is another's memory.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        }
        Ok(tensor)
    }

    /// A tensor over the bytes of `bound`. The caller lets a run use it only while `bound` is borrowed, and write to it only
    /// if the bytes are writable.
    fn over(bound: &Bound<'_>) -> Result<Self, Cause> {
        let align = usize::try_from(bound.dtype.size())?;
        let expected = expected_bytes(bound);
        if expected != Some(bound.bytes.len()) {
            return Err(MemoryError::Length {
                name: bound.name.to_owned(),
                expected: expected.unwrap_or(usize::MAX),
                got: bound.bytes.len(),
            }
            .into());
        }
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
        let mut dims = bound.dims.clone();
        let mut tensor = ptr::null_mut();
        // SAFETY: `start` is valid for the bytes that shape and type ask for (checked above; `Bytes::as_ptr`), aligned for
        // the element type, for as long as a run uses the tensor (the caller). OpenVINO writes there only if the caller uses
        // it as an output. The shape's dimensions live over the call, which copies them. `tensor` may be written.
        let status = unsafe {
            sys::ov_tensor_create_from_host_ptr(
                dtype::to_openvino(bound.dtype),
                shape(&mut dims),
                start.cast_mut().cast::<c_void>(),
                &raw mut tensor,
            )
        };
        Ok(Self(made(
            "ov_tensor_create_from_host_ptr",
            status,
            tensor,
        )?))
    }

    fn data(&self) -> Result<Option<NonNull<u8>>, Failed> {
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: the tensor is alive; `data` may be written.
        let status = unsafe { sys::ov_tensor_data(self.0.as_ptr(), &raw mut data) };
        check("ov_tensor_data", status)?;
        Ok(NonNull::new(data.cast()))
    }

    fn found(&self) -> Result<Found, Failed> {
        let (mut element, mut bytes) = (0_u32, 0_usize);
        let tensor = self.0.as_ptr();
        // SAFETY: the tensor is alive; `element` may be written and has the size and alignment of the enumeration.
        let status = unsafe { sys::ov_tensor_get_element_type(tensor, (&raw mut element).cast()) };
        check("ov_tensor_get_element_type", status)?;
        // SAFETY: the tensor is alive; `bytes` may be written.
        let status = unsafe { sys::ov_tensor_get_byte_size(tensor, &raw mut bytes) };
        check("ov_tensor_get_byte_size", status)?;
        let mut shape = sys::ov_shape_t {
            rank: 0,
            dims: ptr::null_mut(),
        };
        // SAFETY: the tensor is alive; `shape` may be written; it is freed below.
        let status = unsafe { sys::ov_tensor_get_shape(tensor, &raw mut shape) };
        // It refuses to make a shape of no dimensions.
        let start = NonNull::new(shape.dims).filter(|_| status == Status::OK);
        let dims = start.map(|start| {
            let rank = usize::try_from(shape.rank).unwrap_or_default();
            // SAFETY: the shape has `rank` dimensions from `start` on, and is freed below.
            unsafe { slice::from_raw_parts(start.as_ptr(), rank) }.to_vec()
        });
        if start.is_some() {
            // SAFETY: it was filled by the call above and is not used after this line.
            unsafe { sys::ov_shape_free(&raw mut shape) };
        }
        Ok(Found {
            element,
            dims,
            bytes,
        })
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line; memory that is not its own it leaves
        // alone.
        unsafe { sys::ov_tensor_free(self.0.as_ptr()) }
    }
}

/// A shape of these dimensions, for as long as they are borrowed.
fn shape(dims: &mut [i64]) -> sys::ov_shape_t {
    sys::ov_shape_t {
        rank: i64::try_from(dims.len()).unwrap_or(i64::MAX),
        dims: dims.as_mut_ptr(),
    }
}

/// What shape and element type ask for.
fn expected_bytes(bound: &Bound<'_>) -> Option<usize> {
    let size = usize::try_from(bound.dtype.size()).ok()?;
    bound.dims.iter().try_fold(size, |bytes, &dim| {
        bytes.checked_mul(usize::try_from(dim).ok()?)
    })
}

// === impl Request ===

impl Request {
    /// Owns it from here on.
    pub(super) fn new(request: NonNull<sys::ov_infer_request_t>) -> Self {
        Self(request)
    }

    /// Has the next runs read input or write output number `index` where `bound` says, until another is set. Every input,
    /// and every output that was ever set, is to be set anew before each run.
    pub(crate) fn set(&mut self, side: Side, index: usize, bound: &Bound<'_>) -> Result<(), Cause> {
        let (ask, call) = match side {
            Side::Input => (
                sys::ov_infer_request_set_input_tensor_by_index
                    as unsafe fn(
                        *mut sys::ov_infer_request_t,
                        usize,
                        *const sys::ov_tensor_t,
                    ) -> Status,
                "ov_infer_request_set_input_tensor_by_index",
            ),
            Side::Output => {
                let writable = matches!(bound.bytes, Bytes::Shared(place) if place.is_writable());
                if !writable {
                    let name = bound.name.to_owned();
                    return Err(MemoryError::ReadOnly { name }.into());
                }
                (
                    sys::ov_infer_request_set_output_tensor_by_index as _,
                    "ov_infer_request_set_output_tensor_by_index",
                )
            }
        };
        let tensor = Tensor::over(bound)?;
        // SAFETY: request and tensor are alive, and the request shares the ownership of the tensor; an index beyond the
        // model's tensors, or a tensor that does not fit, is an error.
        let status = unsafe { ask(self.0.as_ptr(), index, tensor.0.as_ptr()) };
        check(call, status)?;
        Ok(())
    }

    /// Runs on this thread, which nothing can stop: not for a client's model.
    pub(crate) fn run_here(&mut self) -> Result<(), Failed> {
        // SAFETY: the request is alive, and this one has it for itself until the run is over.
        let status = unsafe { sys::ov_infer_request_infer(self.0.as_ptr()) };
        check("ov_infer_request_infer", status)
    }

    /// Computes, unless `stop` has it end before. The memory of everything that was set must be there until this returns.
    pub(crate) fn run(&mut self, stop: &Stop) -> Result<(), Failed> {
        let running = stop.start(self)?;
        // SAFETY: the request is alive.
        let status = unsafe { sys::ov_infer_request_wait(self.0.as_ptr()) };
        drop(running);
        check("ov_infer_request_wait", status)
    }

    /// What came out at output number `index`.
    pub(crate) fn found(&self, index: usize) -> Result<Found, Failed> {
        self.output(index)?.found()
    }

    /// Copies output number `index` to its place; fails unless both have the same number of bytes and that is writable.
    pub(crate) fn copy(&self, name: &str, index: usize, to: &Place) -> Result<(), Cause> {
        let from = self.output(index)?;
        let (expected, got) = (from.found()?.bytes, to.len());
        let name = name.to_owned();
        if expected != got {
            return Err(MemoryError::Length {
                name,
                expected,
                got,
            }
            .into());
        }
        if !to.is_writable() {
            return Err(MemoryError::ReadOnly { name }.into());
        }
        let Some(data) = from.data()?.filter(|_| got > 0) else {
            return Ok(());
        };
        // SAFETY: `data` is valid for `got` reads, the bytes of a live tensor (asked above); no reference to it is made, for
        // a model may pass an input through, and then it is shared memory. `to` is valid for `got` writes (checked above).
        // They do not overlap: places to be written are handed out once, and are no input.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), to.as_ptr(), got) };
        Ok(())
    }

    fn output(&self, index: usize) -> Result<Tensor, Failed> {
        const CALL: &str = "ov_infer_request_get_output_tensor_by_index";
        let mut tensor = ptr::null_mut();
        // SAFETY: the request is alive; an index beyond its outputs is an error; `tensor` may be written.
        let status = unsafe {
            sys::ov_infer_request_get_output_tensor_by_index(
                self.0.as_ptr(),
                index,
                &raw mut tensor,
            )
        };
        Ok(Tensor(made(CALL, status, tensor)?))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line; no run of it is under way, for `run`
        // waits.
        unsafe { sys::ov_infer_request_free(self.0.as_ptr()) }
    }
}

// === stopping ===

/// Stops the runs of one model, from any thread.
#[derive(Debug, Default)]
pub(crate) struct Stop(Mutex<Stopping>);

#[derive(Debug, Default)]
struct Stopping {
    wanted: bool,
    /// The run that is under way.
    running: Option<Running>,
}

/// A request whose thread waits for it for as long as it is here.
#[derive(Debug)]
struct Running(NonNull<sys::ov_infer_request_t>);

// SAFETY: the one thing that is done by way of this pointer is to cancel the run, which OpenVINO has for being done by
// another thread than the one that waits.
unsafe impl Send for Running {}

/// A run that can be stopped; when dropped, no longer.
struct Stoppable<'a>(&'a Stop);

impl Stop {
    fn lock(&self) -> MutexGuard<'_, Stopping> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run at hand is to end, or the next.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lock().wanted
    }

    /// Starts a run that can be stopped from here on, under the lock: one that is to be stopped before it begins does not
    /// begin.
    fn start(&self, request: &Request) -> Result<Stoppable<'_>, Failed> {
        const CALL: &str = "ov_infer_request_start_async";
        let mut stopping = self.lock();
        if stopping.wanted {
            return Err(Failed {
                call: CALL,
                status: Status::INFER_CANCELLED,
                message: "not started".to_owned(),
            });
        }
        // SAFETY: the request is alive, and no run of it is under way: `Request::run` has it for itself, and waits.
        let status = unsafe { sys::ov_infer_request_start_async(request.0.as_ptr()) };
        check(CALL, status)?;
        stopping.running = Some(Running(request.0));
        Ok(Stoppable(self))
    }
}

impl Interrupt for Stop {
    fn interrupt(&self) {
        let mut stopping = self.lock();
        stopping.wanted = true;
        if let Some(running) = &stopping.running {
            // SAFETY: the request is alive: its run's thread takes it out of here, under the lock that is held now, before it
            // goes on.
            let status = unsafe { sys::ov_infer_request_cancel(running.0.as_ptr()) };
            // Whoever wants the run to end waits for that with a bound, and ends the process else.
            let _ = status;
        }
    }

    fn rearm(&self) {
        self.lock().wanted = false;
    }
}

impl Drop for Stoppable<'_> {
    fn drop(&mut self) {
        self.0.lock().running = None;
    }
}
