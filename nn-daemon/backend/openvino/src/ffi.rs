//! Every unsafe line about OpenVINO is here and below: the library and its core here, models and what they say in
//! `ffi/ports.rs`, tensors and runs in `ffi/request.rs`.
#![expect(
    unsafe_code,
    reason = "OpenVINO is a C library, and its safe bindings have no tensors over foreign memory"
)]

mod ports;
mod request;

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::{self, NonNull};

use nn_backend::Cause;
use openvino_sys as sys;
use sys::ov_status_e as Status;

use crate::cause::Failed;
pub(crate) use ports::{Compiled, Port, Read, Side};
use request::Tensor;
pub(crate) use request::{Bound, Found, Request, Stop};

/// The longest message of OpenVINO's that is kept, in bytes.
const MESSAGE_MAX: usize = 4096;

/// What the library says of itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    #[error("{0}")]
    Load(String),
    #[error("{call} made nothing, and no error either")]
    Null { call: &'static str },
}

/// The framework.
#[derive(Debug)]
pub(crate) struct Core(NonNull<sys::ov_core_t>);

/// Loads the library, by its path alone; gives its version.
pub(crate) fn load(path: &Path) -> Result<String, Cause> {
    sys::library::load_from(path).map_err(LibraryError::Load)?;
    let mut version = sys::ov_version_t {
        buildNumber: ptr::null(),
        description: ptr::null(),
    };
    // SAFETY: `version` may be written; it is freed below, by the function that is there for it.
    let status = unsafe { sys::ov_get_openvino_version(&raw mut version) };
    check("ov_get_openvino_version", status)?;
    let text = NonNull::new(version.buildNumber.cast_mut());
    // SAFETY: what is not null is a C string that lives until the version is freed.
    let text = text.map(|text| unsafe { CStr::from_ptr(text.as_ptr()) });
    let text = text.map_or_else(String::new, |text| text.to_string_lossy().into_owned());
    // SAFETY: it was filled by the call above and is not used after this line.
    unsafe { sys::ov_version_free(&raw mut version) };
    Ok(text)
}

/// An error of OpenVINO's, with its words.
fn check(call: &'static str, status: Status) -> Result<(), Failed> {
    if status == Status::OK {
        return Ok(());
    }
    // SAFETY: takes nothing.
    let last = unsafe { sys::ov_get_last_err_msg() };
    let last = NonNull::new(last.cast_mut());
    // SAFETY: what is not null is a C string of the library's own, which stays until its next error on this thread, whose
    // calls are all made here.
    let last = last.map(|last| unsafe { CStr::from_ptr(last.as_ptr()) });
    let words = last.map_or_else(String::new, |last| last.to_string_lossy().into_owned());
    Err(Failed {
        call,
        status,
        message: words.chars().take(MESSAGE_MAX).collect(),
    })
}

/// What a call was to make.
fn made<T>(call: &'static str, status: Status, pointer: *mut T) -> Result<NonNull<T>, Failed> {
    check(call, status)?;
    NonNull::new(pointer).ok_or_else(|| Failed {
        call,
        status,
        message: LibraryError::Null { call }.to_string(),
    })
}

// === impl Core ===

impl Core {
    /// The library must have been loaded.
    pub(crate) fn new() -> Result<Self, Failed> {
        let mut core = ptr::null_mut();
        // SAFETY: `core` may be written.
        let status = unsafe { sys::ov_core_create(&raw mut core) };
        Ok(Self(made("ov_core_create", status, core)?))
    }

    /// Reads a model, and copies what it needs of it.
    pub(crate) fn read(&self, model: &[u8], weights: Option<&[u8]>) -> Result<Read, Failed> {
        const CALL: &str = "ov_core_read_model_from_memory_buffer";
        let weights = weights.map(Tensor::copy_of).transpose()?;
        let weights = weights
            .as_ref()
            .map_or(ptr::null(), |tensor| tensor.0.as_ptr().cast_const());
        let (start, len) = (model.as_ptr().cast::<c_char>(), model.len());
        let mut read = ptr::null_mut();
        // SAFETY: the core is alive; `start` is valid for `len` reads during the call, which copies them; the weights are
        // null or a live tensor, which the model shares the ownership of; `read` may be written.
        let status = unsafe {
            sys::ov_core_read_model_from_memory_buffer(
                self.0.as_ptr(),
                start,
                len,
                weights,
                &raw mut read,
            )
        };
        Ok(Read(made(CALL, status, read)?))
    }

    /// Makes a model ready on a device.
    pub(crate) fn compile(
        &self,
        model: &Read,
        device: &CStr,
        properties: &[(&CStr, CString)],
    ) -> Result<Compiled, Failed> {
        const CALL: &str = "ov_core_compile_model_props";
        let properties = pairs(properties);
        let mut compiled = ptr::null_mut();
        // SAFETY: core and model are alive; the device and every property are C strings that live over the call, and as
        // many properties as are said; `compiled` may be written.
        let status = unsafe {
            sys::ov_core_compile_model_props(
                self.0.as_ptr(),
                model.0.as_ptr(),
                device.as_ptr(),
                properties.len(),
                properties.as_ptr(),
                &raw mut compiled,
            )
        };
        Ok(Compiled(made(CALL, status, compiled)?))
    }

    /// What a device's models have that say nothing of their own.
    pub(crate) fn set(&self, device: &CStr, properties: &[(&CStr, CString)]) -> Result<(), Failed> {
        let properties = pairs(properties);
        // SAFETY: the core is alive; the device and every property are C strings that live over the call, and as many
        // properties as are said.
        let status = unsafe {
            sys::ov_core_set_properties(
                self.0.as_ptr(),
                device.as_ptr(),
                properties.len(),
                properties.as_ptr(),
            )
        };
        check("ov_core_set_properties", status)
    }

    /// Makes ready what [`Compiled::export`] wrote. It may be read for as long as the model is there.
    pub(crate) fn import(
        &self,
        exported: &'static [u8],
        device: &CStr,
    ) -> Result<Compiled, Failed> {
        let (start, len) = (exported.as_ptr().cast::<c_char>(), exported.len());
        let mut compiled = ptr::null_mut();
        // SAFETY: the core is alive; `start` is valid for `len` reads for ever; the device is a C string that lives over
        // the call; `compiled` may be written.
        let status = unsafe {
            sys::ov_core_import_model(
                self.0.as_ptr(),
                start,
                len,
                device.as_ptr(),
                &raw mut compiled,
            )
        };
        Ok(Compiled(made("ov_core_import_model", status, compiled)?))
    }
}

/// As the library takes them: they point into what was given.
fn pairs(properties: &[(&CStr, CString)]) -> Vec<sys::ov_property_t> {
    let pair = |(key, value): &(&CStr, CString)| sys::ov_property_t {
        key: key.as_ptr(),
        value: value.as_ptr().cast(),
    };
    properties.iter().map(pair).collect()
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: it was made by OpenVINO, is owned here and not used after this line.
        unsafe { sys::ov_core_free(self.0.as_ptr()) }
    }
}
