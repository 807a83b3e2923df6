//! How messages of the KServe service are read and written: as those of nn.v1, but that an inference is looked through
//! before it is decoded.

use std::any::TypeId;
use std::marker::PhantomData;

use bytes::Buf;
use nn_tensor::{Fault, Reason};
use prost::Message;
use tonic::Status;
use tonic::codec::DecodeBuf;
use tonic_prost::ProstEncoder;

use super::guard;
use super::inference::ModelInferRequest;

/// The codec that the generated code names.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<fn() -> (T, U)>);

/// Reads messages.
#[derive(Debug)]
pub struct Decoder<U>(PhantomData<fn() -> U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder(PhantomData)
    }
}

impl<U: Message + Default + 'static> tonic::codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if TypeId::of::<U>() == TypeId::of::<ModelInferRequest>() {
            // All of the message lies in one piece.
            guard::check(buf.chunk()).map_err(|fault| refused(&fault))?;
        }
        let decoded = U::decode(buf).map_err(|error| {
            let fault = Fault::of(Reason::MessageWrong).got(error.to_string());
            refused(&fault)
        });
        decoded.map(Some)
    }
}

fn refused(fault: &Fault) -> Status {
    let code = match fault.code {
        nn_tensor::Code::TooLarge => tonic::Code::OutOfRange,
        _ => tonic::Code::InvalidArgument,
    };
    Status::new(code, fault.to_string())
}
