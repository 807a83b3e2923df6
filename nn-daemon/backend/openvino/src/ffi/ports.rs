//! Models that were read and models that are ready, and what they say of their tensors.
#![expect(
    unsafe_code,
    reason = "OpenVINO is a C library, and its safe bindings have no tensors over foreign memory"
)]

use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::slice;

use openvino_sys as sys;
use sys::ov_status_e as Status;

use super::request::Request;
use super::{check, made};
use crate::cause::Failed;

/// Which list of a model's tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Input,
    Output,
}

/// What a model says of one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// By number, which may be one that this build does not know.
    pub(crate) element: u32,
    /// Least and most of each dimension; `None` where even the rank is open.
    pub(crate) dims: Option<Vec<(i64, i64)>>,
}

/// Where tensors are listed: in a model that was read, or in one that is ready.
trait Lists {
    fn count(&self, side: Side, count: &mut usize) -> Status;
    fn at(&self, side: Side, index: usize, port: &mut *mut sys::ov_output_const_port_t) -> Status;
}

/// A model that was read.
#[derive(Debug)]
pub(crate) struct Read(pub(super) NonNull<sys::ov_model_t>);

/// A model that is ready to run.
#[derive(Debug)]
pub(crate) struct Compiled(pub(super) NonNull<sys::ov_compiled_model_t>);

struct PortHandle(NonNull<sys::ov_output_const_port_t>);

/// A text that OpenVINO made, and gives back.
struct Text(NonNull<c_char>);

impl Drop for Read {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line.
        unsafe { sys::ov_model_free(self.0.as_ptr()) }
    }
}

// === impl Read, Compiled ===

impl Read {
    /// What it takes or gives, in its order, as it says itself; at most `max` and one.
    pub(crate) fn ports(&self, side: Side, max: usize) -> Result<Vec<Port>, Failed> {
        ports(self, side, max)
    }
}

impl Lists for Read {
    fn count(&self, side: Side, count: &mut usize) -> Status {
        let ask = match side {
            Side::Input => sys::ov_model_inputs_size,
            Side::Output => sys::ov_model_outputs_size,
        };
        // SAFETY: the model is alive; `count` may be written.
        unsafe { ask(self.0.as_ptr(), count) }
    }

    fn at(&self, side: Side, index: usize, port: &mut *mut sys::ov_output_const_port_t) -> Status {
        let ask = match side {
            Side::Input => sys::ov_model_const_input_by_index,
            Side::Output => sys::ov_model_const_output_by_index,
        };
        // SAFETY: the model is alive; an index beyond its tensors is an error; `port` may be written.
        unsafe { ask(self.0.as_ptr(), index, port) }
    }
}

impl Lists for Compiled {
    fn count(&self, side: Side, count: &mut usize) -> Status {
        let ask = match side {
            Side::Input => sys::ov_compiled_model_inputs_size,
            Side::Output => sys::ov_compiled_model_outputs_size,
        };
        // SAFETY: the model is alive; `count` may be written.
        unsafe { ask(self.0.as_ptr(), count) }
    }

    fn at(&self, side: Side, index: usize, port: &mut *mut sys::ov_output_const_port_t) -> Status {
        let ask = match side {
            Side::Input => sys::ov_compiled_model_input_by_index,
            Side::Output => sys::ov_compiled_model_output_by_index,
        };
        // SAFETY: the model is alive; an index beyond its tensors is an error; `port` may be written.
        unsafe { ask(self.0.as_ptr(), index, port) }
    }
}

fn ports(of: &impl Lists, side: Side, max: usize) -> Result<Vec<Port>, Failed> {
    let mut count = 0;
    check("the number of tensors", of.count(side, &mut count))?;
    let indices = 0..count.min(max.saturating_add(1));
    let each = indices.map(|index| {
        let mut port = ptr::null_mut();
        let status = of.at(side, index, &mut port);
        let port = PortHandle(made("a tensor by its index", status, port)?);
        Ok(Port {
            name: port.name()?,
            element: port.element()?,
            dims: port.dims()?,
        })
    });
    each.collect()
}

impl Compiled {
    /// What it takes or gives, in its order; at most `max` and one.
    pub(crate) fn ports(&self, side: Side, max: usize) -> Result<Vec<Port>, Failed> {
        ports(self, side, max)
    }

    /// Writes what [`Core::import`](super::Core::import) reads.
    pub(crate) fn export(&self, to: &CStr) -> Result<(), Failed> {
        // SAFETY: the model is alive; the path is a C string that lives over the call.
        let status = unsafe { sys::ov_compiled_model_export_model(self.0.as_ptr(), to.as_ptr()) };
        check("ov_compiled_model_export_model", status)
    }

    /// A place for runs.
    pub(crate) fn request(&self) -> Result<Request, Failed> {
        let mut request = ptr::null_mut();
        // SAFETY: the model is alive; `request` may be written. It shares the ownership of what it needs of the model.
        let status = unsafe {
            sys::ov_compiled_model_create_infer_request(self.0.as_ptr(), &raw mut request)
        };
        let call = "ov_compiled_model_create_infer_request";
        Ok(Request::new(made(call, status, request)?))
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line.
        unsafe { sys::ov_compiled_model_free(self.0.as_ptr()) }
    }
}

// === impl PortHandle ===

impl PortHandle {
    fn name(&self) -> Result<String, Failed> {
        let mut name = ptr::null_mut();
        // SAFETY: the port is alive; `name` may be written.
        let status = unsafe { sys::ov_port_get_any_name(self.0.as_ptr(), &raw mut name) };
        // A tensor of IR may have none.
        if status == Status::NOT_FOUND {
            return Ok(String::new());
        }
        Ok(Text(made("ov_port_get_any_name", status, name)?).read())
    }

    fn element(&self) -> Result<u32, Failed> {
        // As a number: a library of another version may give one that the enumeration has not.
        let mut element = 0_u32;
        // SAFETY: the port is alive; `element` may be written and has the size and alignment of the enumeration.
        let status =
            unsafe { sys::ov_port_get_element_type(self.0.as_ptr(), (&raw mut element).cast()) };
        check("ov_port_get_element_type", status)?;
        Ok(element)
    }

    fn dims(&self) -> Result<Option<Vec<(i64, i64)>>, Failed> {
        let mut shape = sys::ov_partial_shape_t {
            rank: sys::ov_dimension { min: 0, max: 0 },
            dims: ptr::null_mut(),
        };
        // SAFETY: the port is alive; `shape` may be written; it is freed below.
        let status = unsafe { sys::ov_port_get_partial_shape(self.0.as_ptr(), &raw mut shape) };
        check("ov_port_get_partial_shape", status)?;
        let rank = usize::try_from(shape.rank.min).ok();
        let rank = rank.filter(|_| shape.rank.min == shape.rank.max);
        let start = NonNull::new(shape.dims);
        let dims = rank.map(|rank| {
            let Some(start) = start else {
                return Vec::new();
            };
            // SAFETY: the shape has `rank` dimensions from `start` on, and is freed below.
            let dims = unsafe { slice::from_raw_parts(start.as_ptr(), rank) };
            dims.iter().map(|dim| (dim.min, dim.max)).collect()
        });
        // SAFETY: it was filled by the call above and is not used after this line.
        unsafe { sys::ov_partial_shape_free(&raw mut shape) };
        Ok(dims)
    }
}

impl Drop for PortHandle {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line.
        unsafe { sys::ov_output_const_port_free(self.0.as_ptr()) }
    }
}

// === impl Text ===

impl Text {
    fn read(&self) -> String {
        // SAFETY: it is a C string that OpenVINO made and that is freed when this is dropped.
        let text = unsafe { CStr::from_ptr(self.0.as_ptr()) };
        text.to_string_lossy().into_owned()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line.
        unsafe { sys::ov_free(self.0.as_ptr()) }
    }
}
