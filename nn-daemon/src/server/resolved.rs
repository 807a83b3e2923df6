//! What a client is told of a graph.

use std::sync::Arc;

use nn_proto::v1;
use nn_tensor::Fault;

use crate::arena::Piece;
use crate::model::Model;
use crate::session::Graph;

/// What a client is told of a graph, which `graph` makes with a first segment of at least so many bytes.
pub(super) fn resolved(
    model: &Model,
    graph: impl FnOnce(u64) -> Result<(Arc<Graph>, Arc<Piece>), Fault>,
) -> Result<v1::ResolveGraphResponse, Fault> {
    let signature = model.signature()?;
    let fixed = signature.inputs.iter().filter_map(|spec| {
        let bytes = spec.fixed_shape()?.byte_len(spec.dtype).ok()?;
        bytes.checked_next_multiple_of(nn_shm::SLOT_ALIGN)
    });
    let (graph, first) = graph(fixed.fold(0, u64::saturating_add))?;
    Ok(v1::ResolveGraphResponse {
        graph_id: graph.id,
        name: model.name.as_str().to_owned(),
        version: model.version.get(),
        signature: Some((&*signature).into()),
        arena_id: graph.arena.id().0,
        segment: Some(v1::Segment {
            id: first.id.0,
            bytes: first.segment.bytes(),
        }),
    })
}
