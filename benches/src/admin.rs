//! The operator's side of a daemon: what its workers are jailed by, and models that come and go.
//!
//! Each call has a connection of its own: between two of them nobody would answer the daemon's signs of life.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nn_proto::v1::admin_client::AdminClient;
use nn_proto::v1::models_client::ModelsClient;
use nn_proto::v1::{self, load_request, load_response};

/// The longest that one call may take.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// What the daemon says of one protection that depends on the machine.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) active: bool,
}

/// The layers of the jail, in their order.
pub(crate) fn layers(socket: &Path) -> Result<Vec<Layer>> {
    wait(async {
        let mut admin = AdminClient::new(nn_client::channel(socket).await?);
        let status = admin.status(v1::StatusRequest {}).await?.into_inner();
        let jail = status.isolation.into_iter();
        let jail = jail.filter(|protection| protection.need != "always");
        let layer = |protection: v1::ProtectionStatus| Layer {
            name: protection.layer,
            active: protection.active,
        };
        Ok(jail.map(layer).collect())
    })
}

/// Loads a model of one chunk under a name; gives how long that took, as the daemon says.
pub(crate) fn load(socket: &Path, name: &str, model: &[u8]) -> Result<Duration> {
    let part = v1::Part {
        name: "model.onnx".to_owned(),
        bytes: u64::try_from(model.len())?,
        sha256: Vec::new(),
    };
    let header = v1::LoadHeader {
        name: name.to_owned(),
        format: "onnx".to_owned(),
        parts: vec![part],
        ..v1::LoadHeader::default()
    };
    let bodies = [
        load_request::Body::Header(header),
        load_request::Body::Chunk(model.to_vec()),
    ];
    let messages = bodies.map(|body| v1::LoadRequest { body: Some(body) });
    wait(async {
        let mut models = ModelsClient::new(nn_client::channel(socket).await?);
        let answer = models.load(tokio_stream::iter(messages)).await?;
        let mut answers = answer.into_inner();
        while let Some(answer) = answers.message().await? {
            if let Some(load_response::Body::Loaded(model)) = answer.body {
                return Ok(Duration::from_micros(model.load_us));
            }
        }
        bail!("the daemon ended the upload without an answer")
    })
}

/// Takes a model away, in every version.
pub(crate) fn unload(socket: &Path, name: &str) -> Result<()> {
    let reference = name.to_owned();
    wait(async {
        let mut models = ModelsClient::new(nn_client::channel(socket).await?);
        models.unload(v1::UnloadRequest { reference }).await?;
        Ok(())
    })
}

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let bounded = async { tokio::time::timeout(ANSWER_MAX, work).await };
    runtime
        .block_on(bounded)
        .context("nn-daemon does not answer")?
}
