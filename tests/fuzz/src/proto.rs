//! Messages of nn.v1, in both directions: what can be read is written and read again as the same, and becomes a
//! domain type or a fault. The first byte says which message the others are, as the method's name does in gRPC.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use nn_proto::{code_from_wire, dtype_from_wire, id_from_wire, tensor_from_wire, v1};
use nn_tensor::{Fault, ModelRef, Signature, SlotRef, TENSORS_MAX, Tenant, Trace};
use prost::Message;

/// The name of a message and what is done with its bytes.
type Entry = (&'static str, fn(&[u8]));

/// Seeds hold positions in this list: it only ever grows at its end.
const MESSAGES: &[Entry] = &[
    ("OpenSessionRequest", |bytes| {
        read(bytes, |m: v1::OpenSessionRequest| name::<Tenant>(&m.tenant));
    }),
    ("OpenSessionResponse", |bytes| {
        read(bytes, |m: v1::OpenSessionResponse| {
            id(m.session_id);
            id(m.fd_token);
        });
    }),
    ("ResolveGraphRequest", |bytes| {
        read(bytes, |m: v1::ResolveGraphRequest| {
            id(m.session_id);
            name::<ModelRef>(&m.reference);
        });
    }),
    ("ResolveGraphResponse", |bytes| read(bytes, resolved)),
    ("LoadGraphRequest", |bytes| {
        read(bytes, |_: v1::LoadGraphRequest| {})
    }),
    ("LoadGraphResponse", |bytes| {
        read(bytes, |_: v1::LoadGraphResponse| {})
    }),
    ("GrowArenaRequest", |bytes| {
        read(bytes, |m: v1::GrowArenaRequest| id(m.session_id))
    }),
    ("GrowArenaResponse", |bytes| {
        read(bytes, |_: v1::GrowArenaResponse| {})
    }),
    ("ReturnSegmentRequest", |bytes| {
        read(bytes, |m: v1::ReturnSegmentRequest| id(m.session_id));
    }),
    ("InferRequest", |bytes| read(bytes, infer_request)),
    ("InferResponse", |bytes| read(bytes, infer_response)),
    ("LoadRequest", |bytes| read(bytes, |_: v1::LoadRequest| {})),
    ("LoadResponse", |bytes| {
        read(bytes, |_: v1::LoadResponse| {})
    }),
    ("UnloadRequest", |bytes| {
        read(bytes, |m: v1::UnloadRequest| name::<ModelRef>(&m.reference));
    }),
    ("UnloadResponse", |bytes| {
        read(bytes, |_: v1::UnloadResponse| {})
    }),
    ("ListResponse", |bytes| {
        read(bytes, |m: v1::ListResponse| m.models.iter().for_each(model))
    }),
    ("DescribeRequest", |bytes| {
        read(bytes, |m: v1::DescribeRequest| {
            name::<ModelRef>(&m.reference)
        });
    }),
    ("DescribeResponse", |bytes| {
        read(bytes, |m: v1::DescribeResponse| {
            m.model.iter().for_each(model);
            m.signature.into_iter().for_each(signature);
        });
    }),
    ("StatusResponse", |bytes| {
        read(bytes, |_: v1::StatusResponse| {})
    }),
    ("FdClientMessage", |bytes| {
        read(bytes, |_: v1::FdClientMessage| {})
    }),
    ("FdServerMessage", |bytes| {
        read(bytes, |_: v1::FdServerMessage| {})
    }),
    ("Compute", |bytes| read(bytes, |m: v1::Compute| compute(&m))),
    ("Tensor", |bytes| read(bytes, |m: v1::Tensor| tensor(&m))),
    ("Signature", |bytes| read(bytes, signature)),
    ("Error", |bytes| read(bytes, |m: v1::Error| error(&m))),
    ("LogsRequest", |bytes| {
        read(bytes, |m: v1::LogsRequest| name::<ModelRef>(&m.reference));
    }),
    ("LogLine", |bytes| read(bytes, |_: v1::LogLine| {})),
    ("Event", |bytes| read(bytes, |_: v1::Event| {})),
];

/// Reads the bytes as the message that the first of them names.
pub fn run(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else {
        return;
    };
    if let Some((_, message)) = MESSAGES.get(usize::from(first)) {
        message(bytes);
    }
}

/// A seed: a message of this name, as [`run`] takes it. `None` for a name that is not in the list.
#[must_use]
pub fn seed(name: &str, message: &impl Message) -> Option<Vec<u8>> {
    let index = MESSAGES.iter().position(|(listed, _)| *listed == name)?;
    let first = u8::try_from(index).ok()?;
    Some([vec![first], message.encode_to_vec()].concat())
}

fn read<M: Message + Default + PartialEq>(bytes: &[u8], then: impl FnOnce(M)) {
    let Ok(message) = M::decode(bytes) else {
        return;
    };
    let again = M::decode(message.encode_to_vec().as_slice());
    assert!(again.is_ok_and(|again| again == message));
    then(message);
}

fn name<N: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(name) = text.parse::<N>() {
        assert_eq!(name.to_string(), text);
    }
}

fn id(sent: Option<v1::Id128>) {
    let read = id_from_wire(sent);
    assert_eq!(read.ok().map(v1::Id128::from), sent);
}

fn slot(sent: v1::Slot) {
    assert_eq!(v1::Slot::from(SlotRef::from(sent)), sent);
}

fn tensor(sent: &v1::Tensor) {
    if let Ok(read) = tensor_from_wire(sent) {
        assert_eq!(v1::Tensor::from(&read), *sent);
        assert_eq!(read.shape().byte_len(read.dtype()), Ok(read.slot().len));
    }
}

fn signature(sent: v1::Signature) {
    let Ok(read) = Signature::try_from(sent) else {
        return;
    };
    assert!(read.inputs.len() <= TENSORS_MAX && read.outputs.len() <= TENSORS_MAX);
    assert_eq!(
        Signature::try_from(v1::Signature::from(&read)).as_ref(),
        Ok(&read)
    );
    for (index, spec) in read.inputs.iter().enumerate() {
        let _shown = spec.to_string();
        // Another input of the same name may stand before it.
        assert!(
            read.input(spec.name.as_str())
                .is_some_and(|found| found <= index)
        );
    }
    // Exactly what is asked for, where that is said in full: it is taken, unless two have one name.
    let asked: Option<Vec<_>> = read
        .inputs
        .iter()
        .map(|spec| Some((spec.name.as_str(), spec.dtype, spec.fixed_shape()?)))
        .collect();
    if let Some(asked) = asked {
        let distinct = (1..asked.len()).all(|n| asked[..n].iter().all(|one| one.0 != asked[n].0));
        assert_eq!(read.accepts(asked).is_ok(), distinct);
    }
}

fn error(sent: &v1::Error) {
    assert!(dtype_from_wire(sent.code).is_ok() == (1..=7).contains(&sent.code));
    let fault = Fault::from(sent.clone());
    assert_eq!(fault.code, code_from_wire(sent.code));
    assert_eq!(Fault::from(v1::Error::from(fault.clone())), fault);
    let _shown = fault.to_string();
}

fn resolved(sent: v1::ResolveGraphResponse) {
    name::<ModelRef>(&sent.name);
    sent.signature.into_iter().for_each(signature);
}

fn model(sent: &v1::Model) {
    name::<ModelRef>(&sent.name);
    sent.error.iter().for_each(error);
}

fn infer_request(sent: v1::InferRequest) {
    id(sent.session_id);
    match sent.body {
        Some(v1::infer_request::Body::Compute(sent)) => compute(&sent),
        Some(v1::infer_request::Body::Release(sent)) => sent.slots.into_iter().for_each(slot),
        Some(v1::infer_request::Body::Cancel(v1::Cancel {}))
        | Some(v1::infer_request::Body::ReleaseGraph(_))
        | None => {}
    }
}

fn infer_response(sent: v1::InferResponse) {
    match sent.body {
        Some(v1::infer_response::Body::Outputs(sent)) => sent.outputs.iter().for_each(tensor),
        Some(v1::infer_response::Body::Error(sent)) => error(&sent),
        Some(v1::infer_response::Body::ModelsChanged(_) | v1::infer_response::Body::Leaving(_))
        | None => {}
    }
}

fn compute(sent: &v1::Compute) {
    name::<Trace>(&sent.trace);
    sent.inputs.iter().for_each(tensor);
    #[cfg(fuzzing)]
    nn_daemon::fuzzing::compute(sent);
}
