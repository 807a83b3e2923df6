//! Doors that an operator opens: metrics and KServe over TCP, by the manual's sections and drop-ins to the letter, but for the
//! addresses.

use std::fs;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nn_proto::kserve::inference::ModelInferRequest;
use nn_proto::kserve::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use nn_proto::kserve::inference::model_infer_request::InferInputTensor;
use nn_tests::{Machine, tiny_model};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::certificates::{Authority, Files};
use crate::manual::{block, configure, drop_in, restart, toml, with};

const METRICS: u16 = 9464;
const KSERVE: u16 = 8001;

const PATIENCE: Duration = Duration::from_secs(30);

/// Whom the manual's `[kserve.tenants]` knows.
const CLIENT: &str = "client.example";

/// Where the manual has the daemon read its certificates, where only root reads them, and where systemd hands them over.
const TLS: &str = "/etc/nn-daemon/tls";
const ROOTS: &str = "/etc/ssl/nn-daemon";
const HANDED: &str = "/run/credentials/nn-daemon.service";

/// `[metrics]` as the manual has it.
fn metrics_section() -> String {
    block("## Metrics", "[metrics]", "listen")
}

/// `[kserve]` with all that goes along.
fn kserve_section() -> String {
    toml("kserve.md", "## Over TCP")
}

fn scrape(machine: &Machine) -> io::Result<String> {
    let mut stream = machine.connect(METRICS)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What a check of `nnctl doctor` has found: its level, and what it says.
pub(crate) fn found(machine: &Machine, id: &str) -> Option<(String, String)> {
    let said = machine.run("nnctl --json doctor");
    let diagnosis: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let mut checks = diagnosis["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["id"] == id)?;
    let text = |key: &str| check[key].as_str().unwrap().to_owned();
    Some((text("level"), text("found")))
}

/// Whether IPAddressAllow= means something here: it takes a kernel that filters for control groups, which counts then too.
fn has_filter(machine: &Machine) -> bool {
    let counted = machine.property("nn-daemon", "IPIngressBytes");
    counted.parse::<u64>().is_ok()
}

/// Without its drop-in a door is one that the daemon cannot open, or that nobody can reach, and both are told.
pub(crate) fn without(machine: &mut Machine) -> String {
    configure(machine, &[&metrics_section()]);
    assert_ne!(machine.run("systemctl restart nn-daemon").code, Some(0));
    let journal = machine.journal("nn-daemon");
    assert!(
        journal.contains("cannot listen on 127.0.0.1:9464") && journal.contains("takes a drop-in"),
        "{journal}"
    );
    drop_in(
        machine,
        "metrics",
        "[Service]\nRestrictAddressFamilies=AF_INET AF_INET6\n",
    );
    restart(machine);
    assert!(scrape(machine).is_err());
    let (level, text) = found(machine, "network.unit").unwrap();
    assert_eq!(level, "problem");
    assert!(text.contains("PrivateNetwork=yes"), "{text}");
    text
}

pub(crate) fn metrics(machine: &mut Machine) -> String {
    drop_in(
        machine,
        "metrics",
        &block("## Metrics", "[Service]", "PrivateNetwork"),
    );
    restart(machine);
    let answer = scrape(machine).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("nn_draining 0"), "{answer}");
    let (level, text) = found(machine, "network.unit").unwrap();
    assert_eq!(level, "ok", "{text}");
    format!("{} bytes", answer.len())
}

/// Puts certificates where a section names them; readable to the daemon's group, or to root alone.
fn put(machine: &Machine, files: &Files, folder: &str, owner: (&str, &str)) {
    for (own, named) in [
        ("server.pem", "server.pem"),
        ("server.key", "server.key"),
        ("authority.pem", "clients.pem"),
    ] {
        let text = fs::read(files.path(own)).unwrap();
        machine.write(&format!("{folder}/{named}"), text);
    }
    let (owner, mode) = owner;
    let line = format!(
        "chown -R {owner} {folder} && chmod {mode} {folder}/* && chmod u=rwx,g=rx,o= {folder}"
    );
    machine.run(&line).success();
}

/// Infers once over TLS, with a certificate of the client that the manual knows.
fn infer(machine: &Machine, authority: &Authority) -> Result<Vec<u8>, Status> {
    let config = authority.trusted_by(Some(authority.sign(&[CLIENT])));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let asked = async { tokio::time::timeout(PATIENCE, ask(machine, config)).await };
    let answer = runtime.block_on(asked);
    answer.map_err(|_| Status::deadline_exceeded("no answer"))?
}

async fn ask(machine: &Machine, config: Arc<ClientConfig>) -> Result<Vec<u8>, Status> {
    let stream = machine.connect(KSERVE)?;
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or(io::ErrorKind::NotConnected);
        async move { stream.map_err(io::Error::from) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| Status::from_error(Box::new(error)))?;
    let input = InferInputTensor {
        name: "input".to_owned(),
        datatype: "UINT8".to_owned(),
        shape: vec![3],
        ..InferInputTensor::default()
    };
    let request = ModelInferRequest {
        model_name: "identity".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![vec![1, 2, 3].into()],
        ..ModelInferRequest::default()
    };
    let mut client = GrpcInferenceServiceClient::new(channel);
    let answer = client.model_infer(request).await?.into_inner();
    Ok(answer.raw_output_contents.concat())
}

/// A door for clients of one network, whose names say for whom they act.
pub(crate) fn kserve(machine: &mut Machine) -> String {
    machine.copy(&tiny_model("identity-u8"), "/srv/models/identity.onnx");
    machine
        .run("nnctl load identity /srv/models/identity.onnx")
        .success();
    let (authority, stranger) = (Authority::new(), Authority::new());
    put(
        machine,
        &Files::of(&authority),
        TLS,
        ("root:nn-daemon", "0640"),
    );
    configure(machine, &[&metrics_section(), &kserve_section()]);
    let text = block(
        "### KServe over TCP",
        "[Service]",
        "IPAddressAllow=10.0.0.0/8",
    );
    // First for somebody else: whoever is not named is not heard, where the kernel filters.
    let of = |addresses: &str| with(&text, "10.0.0.0/8", addresses);
    let counts = "IPAccounting=yes\n";
    drop_in(machine, "kserve", &(of("192.0.2.1") + counts));
    // What the metrics' drop-in allows counts as well.
    drop_in(machine, "metrics", "[Service]\n");
    restart(machine);
    let is_shut = machine
        .run("timeout 2 bash -c '</dev/tcp/127.0.0.1/8001'")
        .code
        != Some(0);
    let has_filter = has_filter(machine);
    assert_eq!(is_shut, has_filter, "who is let in is not who is named");
    drop_in(machine, "kserve", &of("127.0.0.1"));
    restart(machine);
    assert_eq!(infer(machine, &authority).unwrap(), [1, 2, 3]);
    assert!(infer(machine, &stranger).is_err());

    let (renewed, before) = (Authority::new(), machine.property("nn-daemon", "MainPID"));
    put(
        machine,
        &Files::of(&renewed),
        TLS,
        ("root:nn-daemon", "0640"),
    );
    machine.run("systemctl reload nn-daemon").success();
    machine.wait("the new certificate is shown", PATIENCE, |machine| {
        infer(machine, &renewed).is_ok()
    });
    assert!(infer(machine, &authority).is_err());
    assert_eq!(machine.property("nn-daemon", "MainPID"), before);
    let filter = if has_filter { "in" } else { "not in" };
    format!("read again by the same process; the filter of addresses is {filter} force here")
}

/// The same, with files that only root reads: systemd hands over what there is at the start.
pub(crate) fn credentials(machine: &mut Machine) -> String {
    machine.run(&format!("rm -r {TLS}")).success();
    let (first, second) = (Authority::new(), Authority::new());
    put(machine, &Files::of(&first), ROOTS, ("root:root", "0600"));
    let section = with(&kserve_section(), TLS, HANDED);
    configure(machine, &[&metrics_section(), &section]);
    let door = block("### KServe over TCP", "[Service]", "PrivateNetwork");
    let handed = block("### KServe over TCP", "[Service]", "LoadCredential");
    let door = with(&door, "10.0.0.0/8", "127.0.0.1");
    drop_in(machine, "kserve", &format!("{door}{handed}"));
    restart(machine);
    assert_eq!(infer(machine, &first).unwrap(), [1, 2, 3]);

    put(machine, &Files::of(&second), ROOTS, ("root:root", "0600"));
    let reloads = |machine: &Machine| {
        let journal = machine.journal("nn-daemon");
        journal.matches("configuration reloaded").count()
    };
    let before = reloads(machine);
    machine.run("systemctl reload nn-daemon").success();
    machine.wait("it is read again", PATIENCE, |machine| {
        reloads(machine) > before
    });
    assert!(
        infer(machine, &first).is_ok(),
        "what was handed over is what it was"
    );
    restart(machine);
    assert!(infer(machine, &second).is_ok());
    assert!(infer(machine, &first).is_err());
    "handed over at the start, and no reload changes them".to_owned()
}
