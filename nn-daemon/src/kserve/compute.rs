//! One inference of a client that sends its tensors: resolve → place → run, as a guest's goes, to its end whoever still
//! listens. Whoever leaves meanwhile has it cancelled; its inputs stay where they are until nothing reads them.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::kserve::datatype;
use nn_proto::kserve::inference::ModelInferResponse;
use nn_proto::kserve::inference::model_infer_response::InferOutputTensor;
use nn_shm::SLOT_ALIGN;
use nn_tensor::{Descriptor, Fault, Reason, Signature};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::placed::{Placed, Slot};
use super::wanted::Given;
use super::{Client, Outputs, Wanted};
use crate::context::Context;
use crate::infer;
use crate::model::Model;
use crate::queue::Control;
use crate::session::Session;
use crate::shutdown::{leaving, unless_leaving};

/// A compute's place among those that its session has in flight.
struct Begun {
    session: Arc<Session>,
    id: u64,
    control: Arc<Control>,
}

/// Cancels a compute when dropped; what has been answered cannot be.
struct CancelOnDrop(Arc<Control>);

/// What was computed: what is said of the outputs, and these, in that order.
pub(crate) type Computed = (ModelInferResponse, Vec<usize>, Outputs);

/// Computes once. `placed` is dropped when the message's bytes are where the worker reads them.
pub(crate) async fn compute<T>(
    context: &Arc<Context>,
    client: &Client,
    wanted: Wanted,
    placed: T,
) -> Result<Computed, Fault> {
    if context.is_draining() {
        return Err(leaving());
    }
    let limits = &context.config.limits;
    let end = wanted.asked.timeout.map(|timeout| Instant::now() + timeout);
    let model = resolve(context, client, &wanted, end).await?;
    let signature = model.signature()?;
    let asked = asked(&signature, &wanted.outputs)?;
    accepts(&signature, &wanted.inputs)?;
    let session = Arc::clone(&client.session);
    let id = client.number();
    let begun = Begun {
        control: session.begin(id, limits)?,
        session: Arc::clone(&session),
        id,
    };
    let began = Instant::now();
    let place = client.place_of(context, &model, room(&wanted.inputs))?;
    let (inputs, slots) = fill(&place, &wanted.inputs, context).await?;
    let Wanted { asked: of, .. } = wanted;
    drop(placed);
    session.copied(&model, began.elapsed());
    let request = infer::Request {
        id,
        graph: place.graph.id,
        inputs,
        timeout: end.map(left).transpose()?,
        trace: None,
    };
    let mut outputs = run(context, begun, request, slots).await?;
    outputs.map()?;
    let list = asked.iter().filter_map(|&index| outputs.list().get(index));
    let head = ModelInferResponse {
        model_name: model.name.as_str().to_owned(),
        model_version: model.version.to_string(),
        id: of.id,
        outputs: list.map(described).collect(),
        ..ModelInferResponse::default()
    };
    Ok((head, asked, outputs))
}

/// The model that is meant, loaded.
async fn resolve(
    context: &Context,
    client: &Client,
    wanted: &Wanted,
    end: Option<Instant>,
) -> Result<Arc<Model>, Fault> {
    let (reference, who) = (&wanted.asked.reference, client.session.who());
    let resolved = unless_leaving(context, context.registry.resolve_for(reference, who));
    match end {
        None => resolved.await,
        Some(end) => timeout_at(end, resolved).await.unwrap_or_else(|_| {
            let fault = Fault::of(Reason::DeadlineQueued);
            Err(fault.got("a model that was still being loaded"))
        }),
    }
}

/// What is left of the time; an error where nothing is.
fn left(end: Instant) -> Result<Duration, Fault> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        let fault = Fault::of(Reason::DeadlineQueued);
        return Err(fault.got("a request whose tensors took all of the time"));
    }
    Ok(left)
}

/// The outputs that are asked for, in the model's order.
fn asked(signature: &Signature, names: &[String]) -> Result<Vec<usize>, Fault> {
    let all = || signature.outputs.iter().map(|spec| spec.name.as_str());
    for name in names {
        if !all().any(|known| known == name) {
            let known: Vec<&str> = all().collect();
            let told = |text: &str| text.chars().take(512).collect::<String>();
            return Err(Fault::of(Reason::OutputUnknown)
                .expected(told(&format!("one of: {}", known.join(", "))))
                .got(told(name).escape_debug().to_string()));
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    let wanted = all().enumerate().filter(|(_, name)| wanted(name));
    Ok(wanted.map(|(index, _)| index).collect())
}

/// Before anything is copied: it is checked again where all inputs are.
fn accepts(signature: &Signature, inputs: &[Given]) -> Result<(), Fault> {
    let tensors = inputs
        .iter()
        .map(|input| (input.name.as_str(), input.dtype, input.shape));
    Ok(signature.accepts(tensors).map(drop)?)
}

/// Bytes of the segment that would hold all of them.
fn room(inputs: &[Given]) -> u64 {
    let aligned = |input: &Given| {
        let bytes = input.bytes().max(1);
        bytes.checked_next_multiple_of(SLOT_ALIGN).unwrap_or(bytes)
    };
    inputs.iter().map(aligned).fold(0, u64::saturating_add)
}

/// Copies inputs to where the worker reads them.
async fn fill(
    place: &Arc<Placed>,
    inputs: &[Given],
    context: &Context,
) -> Result<(Vec<Descriptor>, Vec<Slot>), Fault> {
    let limits = &context.config.limits;
    let (mut descriptors, mut slots) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.bytes() > limits.tensor_bytes_max {
            return Err(Fault::of(Reason::TensorTooLarge)
                .message(format!("input {} is too large", input.name))
                .expected(format!("at most {} bytes", limits.tensor_bytes_max))
                .got(format!("{} bytes", input.bytes())));
        }
        let slot = place.take(input.bytes(), limits)?;
        slot.fill(&input.contents).await?;
        let name = input.name.clone();
        descriptors.push(Descriptor::new(
            name,
            input.dtype,
            input.shape,
            slot.slot(),
        )?);
        slots.push(slot);
    }
    Ok((descriptors, slots))
}

/// Runs it in a task of its own: whoever waits for it may leave, and the framework reads its inputs until it is answered.
async fn run(
    context: &Arc<Context>,
    begun: Begun,
    request: infer::Request,
    slots: Vec<Slot>,
) -> Result<Outputs, Fault> {
    let (answer, answered) = oneshot::channel();
    let cancel = CancelOnDrop(Arc::clone(&begun.control));
    let context = Arc::clone(context);
    tokio::spawn(async move {
        let limits = &context.config.limits;
        let result = infer::run(&begun.session, request, &begun.control, limits).await;
        drop(slots);
        // Nobody there: the outputs go back as they are dropped.
        let _ = answer.send(result.map(|reply| Outputs::new(&begun.session, reply)));
    });
    let lost = |_| Err(Fault::of(Reason::Defect).message("the compute was dropped"));
    let result = answered.await.unwrap_or_else(lost);
    drop(cancel);
    result
}

fn described(output: &Descriptor) -> InferOutputTensor {
    let dims = output.shape();
    InferOutputTensor {
        name: output.name().as_str().to_owned(),
        datatype: datatype(output.dtype()).to_owned(),
        shape: dims.dims().iter().map(|&dim| dim.into()).collect(),
        ..InferOutputTensor::default()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.session.end(self.id);
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
