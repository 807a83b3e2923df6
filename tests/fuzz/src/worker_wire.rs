//! Packets between daemon, spawner and worker. A worker is assumed hostile: what it sends is the worst of all.

use nn_convert::{Conversions, Plan};
use nn_tensor::{DType, Descriptor, Dim, Signature, SlotRef, TensorName, TensorSpec};
use nn_worker_wire as wire;
use nn_worker_wire::{FromSpawner, FromWorker, Interrupt, Order, ToSpawner, ToWorker};

/// Reads the bytes as a packet of each direction.
pub fn run(packet: &[u8]) {
    // Nothing but whole frames can be found in a program, and this is how one is searched.
    assert!(!wire::build_id_in(packet) || packet.len() >= wire::BUILD_ID_MARK.len());
    if let Ok(frame) = wire::decode::<ToWorker>(packet) {
        assert_eq!(
            wire::encode(&frame).expect("as long as what was read"),
            packet
        );
        to_worker(frame);
    }
    if let Ok(frame) = wire::decode::<FromWorker>(packet) {
        assert_eq!(
            wire::encode(&frame).expect("as long as what was read"),
            packet
        );
        from_worker(frame);
    }
    if let Ok(frame) = wire::decode::<Interrupt>(packet) {
        assert_eq!(
            wire::encode(&frame).expect("as long as what was read"),
            packet
        );
    }
    if let Ok(frame) = wire::decode::<Order>(packet) {
        assert_eq!(
            wire::encode(&frame).expect("as long as what was read"),
            packet
        );
    }
    if let Ok(frame) = wire::decode::<ToSpawner>(packet) {
        assert_eq!(
            wire::encode(&frame).expect("as long as what was read"),
            packet
        );
    }
    if let Ok(frame) = wire::decode::<FromSpawner>(packet) {
        assert_eq!(
            wire::encode(&frame).expect("as long as what was read"),
            packet
        );
    }
}

fn to_worker(frame: ToWorker) {
    match frame {
        ToWorker::Run(run) => run.inputs.iter().for_each(tensor),
        ToWorker::Release { slots } => slots.into_iter().for_each(slot),
        ToWorker::Convert { conversion } => convert(conversion),
        ToWorker::Boot { .. }
        | ToWorker::Model { .. }
        | ToWorker::Prepare { .. }
        | ToWorker::Canary { .. }
        | ToWorker::Attach { .. }
        | ToWorker::Detach { .. }
        | ToWorker::Unmap { .. }
        | ToWorker::Trim
        | ToWorker::Refuse { .. }
        | ToWorker::Probe
        | ToWorker::Bye => {}
    }
}

/// What a declaration comes to for a model that has its tensors.
fn convert(conversion: wire::Conversion) {
    let mut declared = Conversions::default();
    if conversion.add_to(&mut declared).is_err() {
        return;
    }
    let spec = |name: &String, dims: &[Dim]| {
        let name = TensorName::new(name).ok()?;
        let (dtype, dims) = (DType::Fp32, Some(dims.to_vec()));
        Some(TensorSpec { name, dtype, dims })
    };
    let picture = [Dim::Any, Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(8)];
    let scores = [Dim::Any, Dim::Fixed(10)];
    let own = Signature {
        inputs: declared
            .inputs
            .keys()
            .filter_map(|name| spec(name, &picture))
            .collect(),
        outputs: declared
            .outputs
            .keys()
            .filter_map(|name| spec(name, &scores))
            .collect(),
    };
    if let Ok(plan) = Plan::new(&declared, &own) {
        assert_eq!(plan.signature().inputs.len(), own.inputs.len());
        assert!(plan.signature().outputs.len() >= own.outputs.len());
    }
}

fn from_worker(frame: FromWorker) {
    match frame {
        FromWorker::Loaded { result: Ok(sent) } => signature(&sent),
        FromWorker::Done {
            result: Ok(outputs),
            ..
        } => {
            outputs.iter().for_each(tensor);
            #[cfg(fuzzing)]
            nn_daemon::fuzzing::outputs(outputs);
        }
        FromWorker::Loaded { result: Err(sent) }
        | FromWorker::Canary {
            result: Err(sent), ..
        }
        | FromWorker::Prepared { result: Err(sent) }
        | FromWorker::Done {
            result: Err(sent), ..
        } => {
            failure(sent);
        }
        FromWorker::Ready { .. }
        | FromWorker::Canary { result: Ok(()), .. }
        | FromWorker::Prepared { result: Ok(()) }
        | FromWorker::Attached { .. }
        | FromWorker::Grow { .. }
        | FromWorker::Alive
        | FromWorker::Endpoints { .. }
        | FromWorker::Trimmed { .. } => {}
    }
}

fn slot(sent: wire::Slot) {
    assert_eq!(wire::Slot::from(SlotRef::from(sent)), sent);
}

fn tensor(sent: &wire::Tensor) {
    slot(sent.slot);
    if let Ok(read) = Descriptor::try_from(sent.clone()) {
        assert_eq!(wire::Tensor::from(&read), *sent);
        assert_eq!(read.shape().byte_len(read.dtype()), Ok(read.slot().len));
    }
}

fn signature(sent: &wire::Signature) {
    let Ok(read) = Signature::try_from(sent.clone()) else {
        return;
    };
    assert_eq!(wire::Signature::from(&read), *sent);
    for spec in read.inputs.iter().chain(&read.outputs) {
        let _shown = spec.to_string();
        if let Some(shape) = spec.fixed_shape() {
            assert!(spec.fits(spec.dtype, shape));
        }
    }
}

fn failure(sent: wire::Failure) {
    let (fault, detail) = sent.split();
    // What a terminal or a log line gets of it.
    for text in [
        &fault.message,
        &fault.expected,
        &fault.got,
        &fault.hint,
        &detail,
    ] {
        assert!(text.len() <= 1024 && !text.contains(char::is_control));
    }
    let again = wire::Failure::new(fault.clone(), detail.clone()).split();
    assert_eq!(again, (fault, detail));
}
