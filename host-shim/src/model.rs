//! Models as a guest holds them, found by name or loaded from its bytes; the same for both ABIs.
//!
//! A guest's bytes are copied to the heap once: they must outlive an await, and the guest's memory may not
//! be borrowed across one. That is done a piece at a time, so that a large model stalls nobody.

use std::future::Future;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use nn_client::{Format, Graph};
use nn_tensor::{Fault, Reason};
use nn_witx::{Encoding, PARTS_MAX, Target};

use crate::ctx::WasiNnCtx;
use crate::limits::{Held, ModelHeld};

/// Bytes copied between two chances for others to run.
const PIECE_BYTES: usize = 1024 * 1024;

/// A model that something of a guest's holds, and its share of the quota where it came as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) graph: Arc<Graph>,
    _share: Option<Arc<ModelHeld>>,
}

/// A graph, held by a guest.
#[derive(Debug)]
pub struct GraphHandle {
    pub(crate) model: Model,
    _held: Held,
}

/// A model's bytes on their way out of a guest.
#[derive(Debug)]
pub(crate) struct Upload {
    format: Format,
    parts: Vec<Vec<u8>>,
    bytes: u64,
    digest: DefaultHasher,
    held: Held,
}

/// What the daemon is to make of bytes of that encoding, run on that target.
fn format(encoding: Encoding, target: Target) -> Result<Format, Fault> {
    match target {
        Target::Cpu | Target::Auto => {}
        Target::Gpu | Target::Tpu => {
            let text = format!("the execution target {target} is not offered");
            return Err(Fault::of(Reason::TargetUnsupported)
                .message(text)
                .expected("the execution target cpu")
                .got(target.name()));
        }
    }
    match encoding {
        Encoding::Onnx => Ok(Format::Onnx),
        Encoding::Openvino => Ok(Format::OpenVinoIr),
        Encoding::Autodetect => Ok(Format::Detect),
        Encoding::Tensorflow | Encoding::Pytorch | Encoding::TensorflowLite | Encoding::Ggml => {
            let text = format!("models in the encoding {encoding} are not loaded from bytes");
            Err(Fault::of(Reason::EncodingUnsupported)
                .message(text)
                .expected("onnx, openvino, or autodetect")
                .got(encoding.name()))
        }
    }
}

// === impl Upload ===

impl Upload {
    /// Begins a part of so many bytes.
    pub(crate) fn part(&mut self, len: usize) {
        self.digest.write_usize(len);
        self.parts.push(Vec::with_capacity(len));
    }

    /// Copies the next piece of the part, which `rest` begins with; says how long it was.
    pub(crate) fn piece(&mut self, rest: &[u8]) -> usize {
        let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
        if let Some(part) = self.parts.last_mut() {
            self.digest.write(piece);
            part.extend_from_slice(piece);
        }
        piece.len()
    }
}

// === impl WasiNnCtx ===

impl WasiNnCtx {
    /// The graph of a name.
    pub(crate) async fn find(&mut self, name: &str) -> Result<GraphHandle, Fault> {
        let held = self.quota.graph()?;
        self.may_find(name)?;
        let graph = self.ready(self.client.resolve(name)).await?;
        Ok(self.handle(graph, None, held))
    }

    /// Looks at what is asked before any byte is copied. Fails with `invalid-encoding`,
    /// `unsupported-operation`, and beyond the guest's ceilings.
    pub(crate) fn begin_load(
        &self,
        encoding: Encoding,
        target: Target,
        lens: impl Iterator<Item = u64>,
    ) -> Result<Upload, Fault> {
        let format = format(encoding, target)?;
        let mut bytes = 0_u64;
        let mut count = 0_usize;
        for len in lens {
            bytes = bytes.saturating_add(len);
            count = count.saturating_add(1);
        }
        if !(1..=PARTS_MAX).contains(&count) {
            return Err(Fault::of(Reason::PartsWrong)
                .message("a model consists of too many or too few parts")
                .expected(format!("1 to {PARTS_MAX}"))
                .got(count.to_string()));
        }
        let format = format.of_parts(count)?;
        self.quota.model_fits(bytes)?;
        Ok(Upload {
            format,
            parts: Vec::with_capacity(count),
            bytes,
            digest: self.quota.digest(),
            held: self.quota.graph()?,
        })
    }

    /// The graph of a model whose bytes are all here.
    pub(crate) async fn finish_load(&mut self, upload: Upload) -> Result<GraphHandle, Fault> {
        let share = self.quota.model(upload.digest.finish(), upload.bytes)?;
        let Upload {
            format,
            parts,
            held,
            ..
        } = upload;
        let graph = self.ready(self.client.load(format, &parts)).await?;
        Ok(self.handle(graph, Some(share), held))
    }

    async fn ready(
        &self,
        graph: impl Future<Output = Result<Arc<Graph>, Fault>>,
    ) -> Result<Arc<Graph>, Fault> {
        let limit = self.load_timeout;
        let late = |_| {
            Fault::of(Reason::LoadLate).expected(format!("ready within {} ms", limit.as_millis()))
        };
        tokio::time::timeout(limit, graph).await.map_err(late)?
    }

    fn handle(
        &mut self,
        graph: Arc<Graph>,
        share: Option<Arc<ModelHeld>>,
        held: Held,
    ) -> GraphHandle {
        self.last_graph = Arc::downgrade(&graph);
        GraphHandle {
            model: Model {
                graph,
                _share: share,
            },
            _held: held,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nn_client::Client;
    use nn_tensor::{Code, Tenant};

    use super::*;
    use crate::limits::GuestLimits;

    fn ctx() -> WasiNnCtx {
        let client = Client::builder("/nowhere".into(), Tenant::default())
            .wait(Duration::ZERO)
            .build();
        let limits = GuestLimits {
            model_bytes_max: 1 << 22,
            ..GuestLimits::default()
        };
        WasiNnCtx::builder(client).limits(limits).build()
    }

    fn refusal(ctx: &WasiNnCtx, encoding: Encoding, target: Target, lens: &[u64]) -> Fault {
        let begun = ctx.begin_load(encoding, target, lens.iter().copied());
        begun.map(|_| ()).unwrap_err()
    }

    #[test]
    fn what_is_not_offered_is_refused_with_what_is() {
        let tflite = refusal(&ctx(), Encoding::TensorflowLite, Target::Cpu, &[1]);
        assert_eq!(tflite.code, Code::InvalidEncoding);
        assert_eq!(tflite.expected, "onnx, openvino, or autodetect");
        let alone = refusal(&ctx(), Encoding::Openvino, Target::Cpu, &[1]);
        assert_eq!(alone.code, Code::InvalidArgument);
        assert!(
            alone.expected.contains("the XML, then the weights"),
            "{alone}"
        );
        let gpu = refusal(&ctx(), Encoding::Onnx, Target::Gpu, &[1]);
        assert_eq!(gpu.code, Code::UnsupportedOperation);
        assert_eq!(gpu.expected, "the execution target cpu");
    }

    #[test]
    fn onnx_and_autodetect_are_loaded_wherever_the_host_likes() {
        assert_eq!(format(Encoding::Onnx, Target::Cpu), Ok(Format::Onnx));
        let detected = format(Encoding::Autodetect, Target::Auto);
        assert_eq!(detected, Ok(Format::Detect));
    }

    #[test]
    fn parts_and_bytes_beyond_the_ceilings_are_refused_before_they_are_copied() {
        let ctx = ctx();
        let none = refusal(&ctx, Encoding::Onnx, Target::Cpu, &[]);
        let many = refusal(&ctx, Encoding::Onnx, Target::Cpu, &[0; PARTS_MAX + 1]);
        let large = refusal(&ctx, Encoding::Openvino, Target::Cpu, &[1, 1 << 22]);
        let endless = refusal(&ctx, Encoding::Openvino, Target::Cpu, &[u64::MAX; 2]);
        assert_eq!(none.code, Code::InvalidArgument);
        assert_eq!(many.code, Code::InvalidArgument);
        assert_eq!(large.code, Code::TooLarge);
        assert_eq!(endless.code, Code::TooLarge);
    }

    fn copied(ctx: &WasiNnCtx, parts: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let lens = parts.iter().map(|part| part.len() as u64);
        let begun = ctx.begin_load(Encoding::Openvino, Target::Cpu, lens);
        let mut upload = begun.unwrap();
        for part in parts {
            upload.part(part.len());
            let mut rest = *part;
            while !rest.is_empty() {
                rest = &rest[upload.piece(rest)..];
            }
        }
        let digest = upload.digest.finish();
        (upload.parts, digest)
    }

    #[test]
    fn a_part_longer_than_a_piece_arrives_whole() {
        let ctx = ctx();
        let long: Vec<u8> = (0..=250).cycle().take(PIECE_BYTES * 2 + 17).collect();
        let (parts, digest) = copied(&ctx, &[&long, b"end"]);
        assert_eq!(parts, [long.clone(), b"end".to_vec()]);
        assert_eq!(copied(&ctx, &[&long, b"end"]).1, digest);
    }

    #[test]
    fn the_same_bytes_parted_otherwise_are_another_model() {
        let ctx = ctx();
        let (_, one) = copied(&ctx, &[b"ab", b"c"]);
        let (_, other) = copied(&ctx, &[b"a", b"bc"]);
        assert_ne!(one, other);
    }

    #[tokio::test]
    async fn a_load_that_fails_gives_its_share_back() {
        let mut ctx = ctx();
        for _ in 0..3 {
            let upload = ctx.begin_load(Encoding::Onnx, Target::Cpu, [0].into_iter());
            let loaded = ctx.finish_load(upload.unwrap()).await;
            assert_ne!(loaded.unwrap_err().code, Code::Busy);
        }
        assert!(ctx.quota.model(7, 1 << 22).is_ok());
    }
}
