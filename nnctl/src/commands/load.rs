//! `nnctl load`: uploads a model and waits until it answers.

mod source;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_catalogue::{KServe, MANIFEST_BYTES_MAX, Manifest, Placement};
use nn_proto::{CHUNK_BYTES_MAX, v1};
use nn_tensor::Fault;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

use super::model::ModelView;
use crate::cli;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::output::{Output, Paint, Phase, Progress, Report, micros, printable};
use source::Source;

/// The one part of an ONNX model.
const PART: &str = "model.onnx";

/// The one part of OpenVINO's IR: model.xml and model.bin as one bundle.
const BUNDLE: &str = "model.nnir";

/// Chunks read ahead of the connection.
const CHUNKS_AHEAD: usize = 4;

/// For the thread that reads the file to say how it ended, once the daemon has answered.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// A file that is fit to be sent.
#[derive(Debug)]
pub(crate) struct Upload {
    header: v1::LoadHeader,
    path: PathBuf,
    source: Source,
    bytes: u64,
    limit: Duration,
}

/// The version that is there now.
#[derive(Debug, Serialize)]
pub(crate) struct Loaded {
    model: ModelView,
}

/// Opens the file, if there is to be one; refuses what the daemon need not be asked about.
pub(crate) fn check(args: cli::Load) -> Result<Upload, Failure> {
    let (path, limit) = (args.path.clone().unwrap_or_default(), args.timeout);
    let (source, bytes, part) = match &args.path {
        Some(path) => {
            let (source, bytes, part) = opened(path)?;
            (source, bytes, Some(part))
        }
        None => (Source::Nothing, 0, None),
    };
    let part = part.map(|name| v1::Part {
        name: name.to_owned(),
        bytes,
        sha256: Vec::new(),
    });
    let header = v1::LoadHeader {
        name: args.model.to_string(),
        format: args.format.clone(),
        parts: part.into_iter().collect(),
        no_wait: args.no_wait,
        manifest: said(&args)?,
        alias: args
            .alias
            .map_or_else(String::new, |alias| alias.as_str().to_owned()),
        staged: args.stage,
        pin: args.pin,
    };
    Ok(Upload {
        header,
        path,
        source,
        bytes,
        limit: Duration::from_secs(limit),
    })
}

/// A file, its size and what it is called on its way.
fn opened(path: &Path) -> Result<(Source, u64, &'static str), Failure> {
    let unusable = |got: &str, hint: &str| {
        let fault = Fault::invalid_argument(format!("{} is not a model file", path.display()));
        Err(Failure::from(
            fault
                .expected("an ONNX file, or the XML of an OpenVINO IR")
                .got(got)
                .hint(hint),
        ))
    };
    let read = |error| Failure::file("read", path, &error);
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if metadata.is_dir() {
        return unusable(
            "a directory",
            "name the file in it, for example DIR/model.onnx",
        );
    }
    if !metadata.is_file() {
        return unusable("neither a file nor a directory", "");
    }
    if metadata.len() == 0 {
        return unusable("an empty file", "was the download or export cut off?");
    }
    if path.extension().is_some_and(|end| end == "xml") {
        let (source, bytes) = Source::pair((file, metadata.len()), weights(path)?);
        return Ok((source, bytes, BUNDLE));
    }
    Ok((Source::File(file), metadata.len(), PART))
}

/// The weights of an IR lie beside its XML, by the same name.
fn weights(xml: &Path) -> Result<(File, u64), Failure> {
    let path = xml.with_extension("bin");
    let open = || -> io::Result<(File, u64)> {
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            Ok((file, metadata.len()))
        } else {
            Err(io::Error::other("it is no file"))
        }
    };
    open().map_err(|error| {
        let fault = Fault::invalid_argument(format!("{} cannot be read", path.display()));
        let fault = fault.expected("the weights of the IR, beside its XML");
        Failure::from(fault.got(error.to_string()))
    })
}

/// What is said of the model: in a `model.toml`, and on the command line, which counts instead.
fn said(args: &cli::Load) -> Result<String, Failure> {
    let path = args.manifest.as_deref();
    let text = path.map_or_else(|| Ok(String::new()), manifest)?;
    let is_silent = args.backend.is_none()
        && args.device.is_none()
        && args.placement.is_none()
        && args.endpoints.is_empty();
    if is_silent {
        return Ok(text);
    }
    // Parsed once more, for what is not to be said.
    let parse = |text: &str| Manifest::parse(text, |_| Ok(String::new()));
    let mut said = parse(&text)?;
    said.backend = args.backend.clone().unwrap_or(said.backend);
    said.device = args.device.clone().unwrap_or(said.device);
    if let Some(placement) = &args.placement {
        said.placement = Placement::parse(placement)?;
    }
    if !args.endpoints.is_empty() {
        // All that is not said of them is as it is by itself.
        let fresh = parse(&format!("[kserve]\nendpoints = {:?}", args.endpoints))?;
        let endpoints = fresh
            .kserve
            .iter()
            .flat_map(|of| of.endpoints.clone())
            .collect();
        said.kserve = match said.kserve {
            Some(kserve) => Some(KServe {
                endpoints,
                ..kserve
            }),
            None => fresh.kserve,
        };
    }
    let text = said.to_text()?;
    parse(&text)?;
    Ok(text)
}

/// A `model.toml`, with what it names put in: the daemon sees no file beside it.
fn manifest(path: &Path) -> Result<String, Failure> {
    let read = |path: &Path| {
        let bytes = std::fs::metadata(path)?.len();
        if bytes > wide(MANIFEST_BYTES_MAX) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        std::fs::read_to_string(path)
    };
    let text = read(path).map_err(|error| Failure::file("read", path, &error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let manifest = Manifest::parse(&text, |name| {
        let beside = folder.join(name);
        let named = format!("{} cannot be read", beside.display());
        read(&beside).map_err(|error| Fault::invalid_argument(named).got(error.to_string()))
    });
    Ok(manifest?.to_text()?)
}

/// Sends it and waits.
pub(crate) async fn run(daemon: &Daemon, upload: Upload) -> Result<Loaded, Failure> {
    let limit = upload.limit;
    let progress = Output::progress(upload.bytes);
    let loaded = tokio::time::timeout(limit, transfer(daemon, upload, &progress)).await;
    progress.end();
    loaded.unwrap_or_else(|_| Err(Failure::late("load", limit)))
}

async fn transfer(
    daemon: &Daemon,
    mut upload: Upload,
    progress: &Progress,
) -> Result<Loaded, Failure> {
    let bar = progress.clone();
    let hashing = tokio::task::spawn_blocking(move || upload.hash(&bar).map(|()| upload));
    let upload = hashing.await.map_err(|error| panicked(&error))??;

    let (sender, requests) = mpsc::channel(CHUNKS_AHEAD);
    let bar = progress.clone();
    let reader = tokio::task::spawn_blocking(move || upload.send(&sender, &bar));
    match converse(daemon, requests, progress).await {
        Ok(model) => Loaded::read(model),
        Err(failure) => Err(reader_failure(reader).await.unwrap_or(failure)),
    }
}

/// The call itself, to its last message.
async fn converse(
    daemon: &Daemon,
    requests: mpsc::Receiver<v1::LoadRequest>,
    progress: &Progress,
) -> Result<v1::Model, Failure> {
    let mut models = daemon.models();
    let answer = models.load(ReceiverStream::new(requests)).await?;
    let mut answers = answer.into_inner();
    while let Some(answer) = answers.message().await? {
        match answer.body {
            Some(v1::load_response::Body::Loaded(model)) => return Ok(model),
            Some(v1::load_response::Body::Progress(step)) => {
                if let Some(phase) = next(step.stage()) {
                    progress.phase(phase);
                }
            }
            None => {}
        }
    }
    Err(Failure::from(Fault::runtime(
        "the daemon ended the upload without an answer",
    )))
}

/// Why the file could not be read to its end, if that is what went wrong: it explains more than the
/// daemon's complaint about an upload that stopped.
async fn reader_failure(reader: JoinHandle<Result<(), Failure>>) -> Option<Failure> {
    let ended = tokio::time::timeout(READER_PATIENCE, reader).await.ok()?;
    ended
        .map_err(|error| panicked(&error))
        .and_then(|sent| sent)
        .err()
}

fn panicked(error: &JoinError) -> Failure {
    Failure::from(Fault::runtime("reading the file panicked").got(error.to_string()))
}

/// The phase that begins where the daemon says that a stage is reached.
fn next(stage: v1::LoadStage) -> Option<Phase> {
    match stage {
        v1::LoadStage::Unspecified => None,
        v1::LoadStage::Received => Some(Phase::Vetting),
        v1::LoadStage::Vetted => Some(Phase::Storing),
        v1::LoadStage::Stored | v1::LoadStage::Loading => Some(Phase::Loading),
        v1::LoadStage::Warming => Some(Phase::WarmUp),
    }
}

// === impl Upload ===

impl Upload {
    /// Puts the file's digest into the header and goes back to its begin.
    fn hash(&mut self, progress: &Progress) -> Result<(), Failure> {
        progress.phase(Phase::Checking);
        let mut digest = Sha256::new();
        let (path, bytes) = (self.path.clone(), self.bytes);
        each_chunk(&mut self.source, &path, bytes, |chunk| {
            digest.update(&chunk);
            progress.add(wide(chunk.len()));
            true
        })?;
        for part in &mut self.header.parts {
            part.sha256 = digest.clone().finalize().to_vec();
        }
        let rewound = self.source.rewind();
        rewound.map_err(|error| Failure::file("read", &self.path, &error))
    }

    /// Header and chunks, as fast as they are taken. That nobody takes them any more is no failure
    /// here: the daemon's answer says why.
    fn send(
        mut self,
        sender: &mpsc::Sender<v1::LoadRequest>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        progress.phase(Phase::Upload);
        let request = |body| v1::LoadRequest { body: Some(body) };
        let header = v1::load_request::Body::Header(self.header);
        if sender.blocking_send(request(header)).is_err() {
            return Ok(());
        }
        each_chunk(&mut self.source, &self.path, self.bytes, |chunk| {
            let bytes = wide(chunk.len());
            let body = v1::load_request::Body::Chunk(chunk);
            let taken = sender.blocking_send(request(body)).is_ok();
            progress.add(bytes);
            taken
        })
    }
}

/// Reads exactly `bytes` bytes, a chunk at a time, until `take` has enough.
fn each_chunk(
    file: &mut Source,
    path: &Path,
    bytes: u64,
    mut take: impl FnMut(Vec<u8>) -> bool,
) -> Result<(), Failure> {
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).map_or(CHUNK_BYTES_MAX, |left| left.min(CHUNK_BYTES_MAX));
        let mut chunk = vec![0; most];
        file.read_exact(&mut chunk)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => shrunk(path, bytes),
                _ => Failure::file("read", path, &error),
            })?;
        left -= wide(most);
        if !take(chunk) {
            break;
        }
    }
    Ok(())
}

fn shrunk(path: &Path, bytes: u64) -> Failure {
    let fault = Fault::invalid_argument(format!("{} became shorter meanwhile", path.display()));
    let fault = fault.expected(format!("{bytes} bytes, as at the start"));
    Failure::from(fault.hint("load it once nobody writes it any more"))
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

// === impl Loaded ===

impl Loaded {
    fn read(model: v1::Model) -> Result<Self, Failure> {
        let model = ModelView::from(model);
        match model.fault {
            Some(fault) => Err(Failure::from(fault)),
            None => Ok(Self { model }),
        }
    }
}

impl Report for Loaded {
    fn text(&self, paint: Paint) -> String {
        let model = &self.model;
        let reference = printable(&model.reference());
        let state = paint.word(model.state);
        match model.state {
            "ready" => format!(
                "{reference} {state} in {} ({}){}\n",
                micros(model.load_us),
                printable(&model.backend),
                if model.current { "" } else { "; not current" },
            ),
            // Asked for by --no-wait.
            "absent" | "loading" => format!("{reference} stored; loading goes on\n"),
            _ => format!("{reference} {state}\n"),
        }
    }
}

#[cfg(test)]
mod tests;
