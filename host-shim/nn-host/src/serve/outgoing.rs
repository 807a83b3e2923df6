//! Bounds for what a guest can write into a request of its own: nobody sends it, but the host keeps it.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest, Method, OutgoingRequest};

use crate::state::State;

/// The interface, in the version that `wasmtime_wasi_http` has.
const TYPES: &str = "wasi:http/types@0.2.12";

/// A method, an authority, a path, each.
const BYTES_MAX: usize = 4 << 10;

/// What a setter says.
type Set = wasmtime::Result<(Result<(), ()>,)>;

/// Puts setters with a bound in the place of those that take a text of any length.
pub(super) fn bound(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap("[method]outgoing-request.set-method", method)?;
    types.func_wrap("[method]outgoing-request.set-authority", authority)?;
    types.func_wrap("[method]outgoing-request.set-path-with-query", path)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn method(
    mut store: StoreContextMut<'_, State>,
    (request, method): (Resource<OutgoingRequest>, Method),
) -> Set {
    if matches!(&method, Method::Other(text) if text.len() > BYTES_MAX) {
        return Ok((Err(()),));
    }
    let mut http = store.data_mut().http();
    Ok((http.set_method(request, method)?,))
}

fn authority(
    mut store: StoreContextMut<'_, State>,
    (request, authority): (Resource<OutgoingRequest>, Option<String>),
) -> Set {
    if too_long(authority.as_deref()) {
        return Ok((Err(()),));
    }
    let mut http = store.data_mut().http();
    Ok((http.set_authority(request, authority)?,))
}

fn path(
    mut store: StoreContextMut<'_, State>,
    (request, path): (Resource<OutgoingRequest>, Option<String>),
) -> Set {
    if too_long(path.as_deref()) {
        return Ok((Err(()),));
    }
    let mut http = store.data_mut().http();
    Ok((http.set_path_with_query(request, path)?,))
}

fn too_long(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.len() > BYTES_MAX)
}
