//! The program as a shell sees it, against a stand-in for the daemon: exit codes, stdout, stderr.
//! That the daemon itself keeps its side is tested with the daemon.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::path::{Path, PathBuf};
use std::process::Output;

use nn_proto::v1;
use nn_proto::v1::models_server::{Models, ModelsServer};
use nn_tensor::{Code, Fault};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::net::UnixListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A daemon that knows the model `foo`, refuses to touch `guarded`, and fails on `broken`.
struct StandIn;

type Answers = ReceiverStream<Result<v1::LoadResponse, Status>>;

fn status(fault: Fault) -> Status {
    let details = v1::Error::from(fault).encode_to_vec();
    Status::with_details(tonic::Code::Unknown, "", details.into())
}

fn foo(bytes: u64, sha256: &[u8]) -> v1::Model {
    v1::Model {
        name: "foo".to_owned(),
        version: 1,
        current: true,
        state: v1::ModelState::Ready.into(),
        bytes,
        sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        backend: "onnxruntime".to_owned(),
        load_us: 5_000,
        ..v1::Model::default()
    }
}

fn judge(name: &str) -> Result<(), Status> {
    match name {
        "foo" => Ok(()),
        "guarded" => Err(status(Fault::new(Code::Security, "not for this peer"))),
        "broken" => Err(status(
            Fault::runtime("the worker died")
                .hint("see the log")
                .log_id("7f3a"),
        )),
        _ => Err(status(
            Fault::not_found("no such model").hint("nnctl list shows what there is"),
        )),
    }
}

#[tonic::async_trait]
impl Models for StandIn {
    type LoadStream = Answers;

    async fn load(
        &self,
        request: Request<Streaming<v1::LoadRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.body);
        let Some(v1::load_request::Body::Header(header)) = first else {
            return Err(status(Fault::invalid_argument("no header")));
        };
        judge(&header.name)?;
        let (mut bytes, mut digest) = (0, Sha256::new());
        while let Some(request) = requests.message().await? {
            if let Some(v1::load_request::Body::Chunk(chunk)) = request.body {
                assert!(chunk.len() <= nn_proto::CHUNK_BYTES_MAX);
                bytes += u64::try_from(chunk.len()).unwrap();
                digest.update(&chunk);
            }
        }
        let digest = digest.finalize().to_vec();
        assert_eq!(
            (header.parts[0].bytes, &header.parts[0].sha256),
            (bytes, &digest)
        );
        let (sender, answers) = tokio::sync::mpsc::channel(2);
        let stored = v1::LoadProgress {
            stage: v1::LoadStage::Stored.into(),
        };
        let bodies = [
            v1::load_response::Body::Progress(stored),
            v1::load_response::Body::Loaded(foo(bytes, &digest)),
        ];
        for body in bodies {
            let answer = v1::LoadResponse { body: Some(body) };
            sender.send(Ok(answer)).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn unload(
        &self,
        request: Request<v1::UnloadRequest>,
    ) -> Result<Response<v1::UnloadResponse>, Status> {
        judge(&request.into_inner().reference)?;
        let unloaded = vec!["foo@1".to_owned()];
        Ok(Response::new(v1::UnloadResponse { unloaded }))
    }

    async fn list(
        &self,
        _: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let models = vec![foo(10, &[0xab; 32])];
        Ok(Response::new(v1::ListResponse { models }))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        judge(&request.into_inner().reference)?;
        Ok(Response::new(v1::DescribeResponse::default()))
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::PromoteResponse>, Status> {
        judge(&request.into_inner().reference)?;
        let model = Some(foo(10, &[0xab; 32]));
        Ok(Response::new(v1::PromoteResponse { model }))
    }

    async fn place(
        &self,
        request: Request<v1::PlaceRequest>,
    ) -> Result<Response<v1::PlaceResponse>, Status> {
        let v1::PlaceRequest {
            reference,
            placement,
        } = request.into_inner();
        judge(&reference)?;
        let model = Some(v1::Model {
            placement,
            ..foo(10, &[0xab; 32])
        });
        Ok(Response::new(v1::PlaceResponse { model }))
    }

    async fn rollback(
        &self,
        request: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        judge(&request.into_inner().name)?;
        let model = Some(foo(10, &[0xab; 32]));
        Ok(Response::new(v1::RollbackResponse { model }))
    }

    async fn set_pin(
        &self,
        request: Request<v1::SetPinRequest>,
    ) -> Result<Response<v1::SetPinResponse>, Status> {
        judge(&request.into_inner().name)?;
        let model = Some(foo(10, &[0xab; 32]));
        Ok(Response::new(v1::SetPinResponse { model }))
    }

    async fn set_alias(
        &self,
        request: Request<v1::SetAliasRequest>,
    ) -> Result<Response<v1::SetAliasResponse>, Status> {
        judge(&request.into_inner().reference)?;
        let model = Some(foo(10, &[0xab; 32]));
        Ok(Response::new(v1::SetAliasResponse { model }))
    }
}

/// A folder with the stand-in's socket `nn.sock` in it, and a model file.
fn serve() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    std::fs::write(folder.path().join("m.onnx"), vec![1; 600_000]).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let (sender, incoming) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = sender.send(Ok::<_, std::io::Error>(stream)).await;
        }
    });
    let incoming = ReceiverStream::new(incoming);
    let server = tonic::transport::Server::builder();
    tokio::spawn(server.serve_with_incoming(ModelsServer::new(StandIn), incoming));
    (folder, socket)
}

/// Runs the program to its end, in the folder of the socket.
async fn nnctl(socket: &Path, args: &'static [&'static str]) -> Output {
    let socket = socket.to_owned();
    let run = move || {
        #[expect(
            clippy::disallowed_methods,
            reason = "the program under test is a child"
        )]
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nnctl"));
        command
            .args(args)
            .env("NN_SOCKET", &socket)
            .current_dir(socket.parent().unwrap())
            .output()
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[tokio::test]
async fn load_sends_the_file_and_says_what_came_of_it() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["load", "foo", "m.onnx"]).await;
    assert_eq!(stderr(&output), "");
    assert_eq!(stdout(&output), "foo@1 ready in 5.0 ms (onnxruntime)\n");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_load_that_is_refused_at_its_header_says_why() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["load", "guarded", "m.onnx"]).await;
    assert_eq!(stderr(&output), "error: not for this peer\n");
    assert_eq!(output.status.code(), Some(5));
}

#[tokio::test]
async fn a_failed_operation_is_told_on_stderr_with_its_parts() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["unload", "broken"]).await;
    let text = "error: the worker died\n  hint: see the log\n  log id: 7f3a\n";
    assert_eq!((stdout(&output), stderr(&output)), ("", text));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn with_json_a_failure_is_an_object_on_stdout_too() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["--json", "describe", "nosuch"]).await;
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["error"]["code"], "not-found");
    assert_eq!(value["exit"], 4);
    assert!(stderr(&output).starts_with("error: no such model\n"));
    assert_eq!(output.status.code(), Some(4));
}

#[tokio::test]
async fn list_is_one_json_value() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["list", "--json"]).await;
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["models"][0]["state"], "ready");
}

#[tokio::test]
async fn a_daemon_that_lacks_a_service_is_of_another_version() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["status"]).await;
    assert!(stderr(&output).contains("gRPC Unimplemented"));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn without_a_daemon_the_socket_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let output = nnctl(&socket, &["list"]).await;
    assert!(stderr(&output).contains(&socket.display().to_string()));
    assert_eq!(output.status.code(), Some(3));
}

/// As while systemd holds the sockets for a daemon that does not start. It takes the 30 s after which a connection
/// without a sign of life is given up.
#[tokio::test]
async fn a_socket_that_nobody_answers_on_points_to_the_daemons_log() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let output = nnctl(&socket, &["list"]).await;
    let text = stderr(&output);
    assert!(text.contains("nothing answers"), "{text}");
    assert!(text.contains("journalctl --unit nn-daemon"), "{text}");
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test]
async fn the_jail_is_explained_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let output = nnctl(&socket, &["sandbox", "explain"]).await;
    let at = socket.display();
    let source =
        format!("no daemon answers at {at}: as this user finds them; namespaces were not tried\n");
    assert!(stdout(&output).contains(&source), "{}", stdout(&output));
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));
}

#[tokio::test]
async fn the_jail_is_explained_where_the_daemon_gives_no_status() {
    let (_folder, socket) = serve();
    let output = nnctl(&socket, &["--json", "sandbox", "explain", "worker-ort"]).await;
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["source"]["kind"], "machine");
    assert_eq!(value["layers"][0]["layer"], "userns");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let output = nnctl(&socket, &["sandbox", "explain", "nosuch"]).await;
    let text = "error: no sandbox profile is called nosuch\n  expected: one of: relay, worker-openvino, worker-openvino-prepares, worker-ort, worker-ort-prepares, broker, dialer, spawner\n";
    assert!(stderr(&output).starts_with(text), "{}", stderr(&output));
    assert_eq!((stdout(&output), output.status.code()), ("", Some(4)));
}

#[tokio::test]
async fn a_file_is_checked_before_the_daemon_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let output = nnctl(&socket, &["load", "foo", "nosuch.onnx"]).await;
    assert!(stderr(&output).starts_with("error: cannot read nosuch.onnx\n"));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let bad_name = nnctl(&socket, &["load", "no/name", "m.onnx"]).await;
    let alias = nnctl(&socket, &["unload", "foo:canary"]).await;
    assert_eq!(
        (bad_name.status.code(), alias.status.code()),
        (Some(2), Some(2))
    );
}

#[tokio::test]
async fn completions_are_a_script_for_each_shell_and_need_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let bash = nnctl(&socket, &["completions", "bash"]).await;
    let zsh = nnctl(&socket, &["completions", "zsh", "--json"]).await;
    let other = nnctl(&socket, &["completions", "tcsh"]).await;
    assert!(stdout(&bash).contains("complete -F _nnctl"), "{bash:?}");
    assert!(stdout(&zsh).starts_with("#compdef nnctl"), "{zsh:?}");
    assert_eq!(other.status.code(), Some(2));
}

#[tokio::test]
async fn the_manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nn.sock");
    let output = nnctl(&socket, &["--write-manual", "manual"]).await;
    assert_eq!(stderr(&output), "");
    let page = folder
        .path()
        .join("manual/man/man1/nnctl-sandbox-explain.1");
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains(".SH OPTIONS"), "{text}");
    let help = nnctl(&socket, &["--help"]).await;
    assert!(!stdout(&help).contains("write-manual"));
}
