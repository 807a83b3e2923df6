//! The six functions of `wasi_ephemeral_nn`, and nothing else: each takes what it needs as references, so that no caller
//! can pass a pointer that is none. Numbers go through unchecked: which one means what is the host's to say, and a test may want to
//! send wrong ones.
#![expect(
    unsafe_code,
    reason = "imported functions; the only module of the guests with any"
)]

/// A part of a model. A slice's own layout is not promised, so it is written out.
#[repr(C)]
struct Part {
    bytes: *const u8,
    len: usize,
}

/// A tensor as the interface lays it out: 20 bytes where pointers have four.
#[repr(C)]
struct Tensor {
    dimensions: *const u32,
    dimensions_len: usize,
    /// The type is the lowest byte; the others are padding.
    ty: u32,
    data: *const u8,
    data_len: usize,
}

#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "wasi_ephemeral_nn")]
unsafe extern "C" {
    #[link_name = "load"]
    fn nn_load(parts: *const Part, len: usize, encoding: u32, target: u32, graph: *mut u32) -> i32;
    #[link_name = "load_by_name"]
    fn nn_load_by_name(name: *const u8, len: usize, graph: *mut u32) -> i32;
    #[link_name = "init_execution_context"]
    fn nn_init_execution_context(graph: u32, context: *mut u32) -> i32;
    #[link_name = "set_input"]
    fn nn_set_input(context: u32, index: u32, tensor: *const Tensor) -> i32;
    #[link_name = "compute"]
    fn nn_compute(context: u32) -> i32;
    #[link_name = "get_output"]
    fn nn_get_output(context: u32, index: u32, to: *mut u8, max: usize, len: *mut u32) -> i32;
}

/// Elsewhere the program compiles, so that its pure parts can be tested, and every call is refused.
#[cfg(not(target_arch = "wasm32"))]
mod elsewhere {
    use super::{Part, Tensor};

    const UNSUPPORTED_OPERATION: i32 = 6;

    pub(super) unsafe fn nn_load(_: *const Part, _: usize, _: u32, _: u32, _: *mut u32) -> i32 {
        UNSUPPORTED_OPERATION
    }
    pub(super) unsafe fn nn_load_by_name(_: *const u8, _: usize, _: *mut u32) -> i32 {
        UNSUPPORTED_OPERATION
    }
    pub(super) unsafe fn nn_init_execution_context(_: u32, _: *mut u32) -> i32 {
        UNSUPPORTED_OPERATION
    }
    pub(super) unsafe fn nn_set_input(_: u32, _: u32, _: *const Tensor) -> i32 {
        UNSUPPORTED_OPERATION
    }
    pub(super) unsafe fn nn_compute(_: u32) -> i32 {
        UNSUPPORTED_OPERATION
    }
    pub(super) unsafe fn nn_get_output(_: u32, _: u32, _: *mut u8, _: usize, _: *mut u32) -> i32 {
        UNSUPPORTED_OPERATION
    }
}
#[cfg(not(target_arch = "wasm32"))]
use elsewhere::{
    nn_compute, nn_get_output, nn_init_execution_context, nn_load, nn_load_by_name, nn_set_input,
};

/// An errno other than success.
pub type Errno = i32;

fn answer<T>(errno: i32, value: T) -> Result<T, Errno> {
    if errno == 0 { Ok(value) } else { Err(errno) }
}

/// `load`: parts of a model, the number of an encoding and of a target; a graph.
///
/// # Errors
/// The host's errno.
pub fn load(parts: &[Vec<u8>], encoding: u32, target: u32) -> Result<u32, Errno> {
    let parts: Vec<Part> = parts
        .iter()
        .map(|part| Part {
            bytes: part.as_ptr(),
            len: part.len(),
        })
        .collect();
    let mut graph = 0;
    // SAFETY: `parts` points to as many parts as it says, each of them to bytes that outlive the call; the host reads
    // them and writes one u32 to `graph`.
    let errno = unsafe {
        nn_load(
            parts.as_ptr(),
            parts.len(),
            encoding,
            target,
            &raw mut graph,
        )
    };
    answer(errno, graph)
}

/// `load_by_name`: a graph.
///
/// # Errors
/// The host's errno.
pub fn load_by_name(name: &str) -> Result<u32, Errno> {
    let mut graph = 0;
    // SAFETY: the host reads `name` within its length and writes one u32 to `graph`.
    let errno = unsafe { nn_load_by_name(name.as_ptr(), name.len(), &raw mut graph) };
    answer(errno, graph)
}

/// `init_execution_context`: a context.
///
/// # Errors
/// The host's errno.
pub fn init_execution_context(graph: u32) -> Result<u32, Errno> {
    let mut context = 0;
    // SAFETY: the host writes one u32 to `context`; any number may be asked for.
    let errno = unsafe { nn_init_execution_context(graph, &raw mut context) };
    answer(errno, context)
}

/// `set_input`: an input by its index, with the number of a type.
///
/// # Errors
/// The host's errno.
pub fn set_input(
    context: u32,
    index: u32,
    ty: u8,
    dimensions: &[u32],
    data: &[u8],
) -> Result<(), Errno> {
    let tensor = Tensor {
        dimensions: dimensions.as_ptr(),
        dimensions_len: dimensions.len(),
        ty: u32::from(ty),
        data: data.as_ptr(),
        data_len: data.len(),
    };
    // SAFETY: the host reads the record, and what it points to within the lengths it holds; all outlive the call.
    let errno = unsafe { nn_set_input(context, index, &raw const tensor) };
    answer(errno, ())
}

/// `compute`.
///
/// # Errors
/// The host's errno.
pub fn compute(context: u32) -> Result<(), Errno> {
    // SAFETY: nothing is passed but a number.
    let errno = unsafe { nn_compute(context) };
    answer(errno, ())
}

/// `get_output`: how many bytes of `to` the host wrote.
///
/// # Errors
/// The host's errno.
pub fn get_output(context: u32, index: u32, to: &mut [u8]) -> Result<u32, Errno> {
    let mut len = 0;
    // SAFETY: the host writes at most `to.len()` bytes to `to`, and one u32 to `len`.
    let errno = unsafe { nn_get_output(context, index, to.as_mut_ptr(), to.len(), &raw mut len) };
    answer(errno, len)
}
