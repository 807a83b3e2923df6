//! A client of the Open Inference Protocol over the daemon's socket, as any of its clients is.

use nn_proto::kserve::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use nn_proto::kserve::inference::model_infer_request::{
    InferInputTensor, InferRequestedOutputTensor,
};
use nn_proto::kserve::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use nn_tests::Daemon;
use tonic::transport::Channel;

/// The service, over one connection.
pub(crate) type Service = GrpcInferenceServiceClient<Channel>;

/// As much as tests send and get in a message.
const MESSAGE_MAX: usize = 256 << 20;

/// Connects.
pub(crate) async fn connect(daemon: &Daemon) -> Service {
    service(nn_client::channel(&daemon.socket()).await.unwrap())
}

/// The service over a channel.
pub(crate) fn service(channel: Channel) -> Service {
    GrpcInferenceServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX)
}

/// A request for a model with one input that travels raw.
pub(crate) fn raw(
    model: &str,
    name: &str,
    datatype: &str,
    (shape, bytes): (&[i64], Vec<u8>),
) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.into(),
        inputs: vec![input(name, datatype, shape)],
        raw_input_contents: vec![bytes.into()],
        ..ModelInferRequest::default()
    }
}

/// A request for a model with one input whose elements are listed.
pub(crate) fn typed(
    model: &str,
    name: &str,
    datatype: &str,
    (shape, contents): (&[i64], InferTensorContents),
) -> ModelInferRequest {
    let input = InferInputTensor {
        contents: Some(contents),
        ..input(name, datatype, shape)
    };
    ModelInferRequest {
        model_name: model.into(),
        inputs: vec![input],
        ..ModelInferRequest::default()
    }
}

/// An input without its elements.
pub(crate) fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

/// An output that is asked for.
pub(crate) fn output(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor {
        name: name.into(),
        ..InferRequestedOutputTensor::default()
    }
}

/// So many turns of the model `slow`.
pub(crate) fn slow(turns: i64) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "slow".into(),
        inputs: vec![
            input("iterations", "INT64", &[]),
            input("value", "FP32", &[1]),
        ],
        raw_input_contents: vec![
            turns.to_le_bytes().to_vec().into(),
            1_f32.to_le_bytes().to_vec().into(),
        ],
        ..ModelInferRequest::default()
    }
}

/// The bytes of the one output.
pub(crate) fn only(answer: &ModelInferResponse) -> &[u8] {
    assert_eq!(answer.outputs.len(), 1, "{:?}", answer.outputs);
    assert_eq!(answer.raw_output_contents.len(), 1);
    &answer.raw_output_contents[0]
}
