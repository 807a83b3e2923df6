//! A model that a remote engine computes, under the unit: what the manual has an operator write, the walls of those who speak
//! to the engine, restarts, and the end of the one who connects. The engine is a second daemon of the machine, over TLS.

use std::fs;
use std::time::Duration;

use nn_tests::{Machine, coffee};
use serde_json::Value;

use crate::certificates::{Authority, Files};
use crate::doors::found;
use crate::manual::{block, configure, drop_in, restart, with};
use crate::setup::{is_right, label};

const PATIENCE: Duration = Duration::from_secs(30);

/// Of the manual, and where it is here.
const NAME: &str = "triton.example:8001";
const PORT: u16 = 9001;

const SOCKET: &str = "--socket /run/engine/nn.sock";

/// What operators keep where only root reads.
const SECRETS: &str = "/etc/nn-daemon/engine";

const INFER: &str = "nnctl infer there --input a=/srv/a.npy --input b=/srv/b.npy";

fn endpoint() -> String {
    with(NAME, "8001", &PORT.to_string())
}

/// A model.toml: an engine by its name, a certificate each way, and a token.
fn manifest(model: &str) -> String {
    format!(
        "placement = \"kserve\"\n[kserve]\nendpoints = [{:?}]\nmodel = {model:?}\n\
         [kserve.tls]\nca = \"authority.pem\"\ncertificate = \"own.pem\"\nkey = \"own.key\"\nname = \"localhost\"\n\
         [kserve.auth]\nheader = \"authorization\"\nfile = \"engine-token\"\n",
        endpoint()
    )
}

/// The second daemon: a service of its own, with the models by their names.
fn start_engine(machine: &Machine, files: &Files) {
    for name in ["server.pem", "server.key", "authority.pem"] {
        machine.copy(&files.path(name), &format!("/etc/engine/{name}"));
    }
    let tls = "certificate = \"/etc/engine/server.pem\"\nkey = \"/etc/engine/server.key\"\n\
               clients = \"/etc/engine/authority.pem\"\n";
    let door = format!("[kserve]\nlisten = \"127.0.0.1:{PORT}\"\ntenant = \"default\"\n");
    machine.write(
        "/etc/engine/engine.toml",
        format!("{door}[kserve.tls]\n{tls}"),
    );
    let started = machine.run(
        "systemd-run --unit=engine --service-type=notify --property=Delegate=yes --property=KillMode=mixed \
         --property=StateDirectory=engine --property=RuntimeDirectory=engine \
         /usr/bin/nn-daemon --config /etc/engine/engine.toml",
    );
    assert_eq!(
        started.code,
        Some(0),
        "{}\n{}",
        started.stderr,
        machine.journal("engine")
    );
    for (name, file) in [("add", "add.onnx"), ("efficientnet-lite0", "model.onnx")] {
        let load = format!("nnctl {SOCKET} load {name} /srv/models/{file}");
        machine.run(&load).success();
    }
}

/// Computes that the engine has answered.
fn answered(machine: &Machine) -> u64 {
    let list = machine.json(&format!("nnctl {SOCKET} --json list"));
    let models = list["models"].as_array().unwrap().iter();
    let all = models.map(|model| model["computes_ok"].as_u64().unwrap());
    all.sum()
}

fn status(machine: &Machine) -> Value {
    machine.json("nnctl --json status")
}

/// The manual's steps, from a unit without a network.
pub(crate) fn engine(machine: &mut Machine) -> String {
    let authority = Authority::new();
    let files = Files::of(&authority);
    files.write(&authority.sign(&["nn-daemon.example"]), "own");
    start_engine(machine, &files);
    machine
        .run("echo '127.0.0.1 triton.example' >> /etc/hosts")
        .success();
    for name in ["authority.pem", "own.pem", "own.key"] {
        let text = fs::read(files.path(name)).unwrap();
        machine.write(&format!("{SECRETS}/{name}"), text);
    }
    machine.write("/etc/nn-daemon/engine-token", "Bearer something\n");
    let line = format!("chmod -R go= {SECRETS} /etc/nn-daemon/engine-token");
    machine.run(&line).success();
    machine.write("/srv/there.toml", manifest("add"));

    let section = block("### Remote engines", "[remote]", "endpoints");
    configure(machine, &[&with(&section, NAME, &endpoint())]);
    machine
        .run("rm /etc/systemd/system/nn-daemon.service.d/*.conf && systemctl daemon-reload")
        .success();
    restart(machine);
    let journal = machine.journal("nn-daemon");
    assert!(
        journal.contains("no endpoint of [remote] can be reached"),
        "{journal}"
    );
    let (level, text) = found(machine, "network.unit").unwrap();
    assert_eq!(level, "problem", "{text}");

    let drop = block(
        "### Remote engines",
        "[Service]",
        "LoadCredential=engine-token",
    );
    let drop = with(&drop, "10.0.0.7 10.0.0.53", "127.0.0.1");
    let more: String = ["authority.pem", "own.pem", "own.key"]
        .map(|name| format!("LoadCredential={name}:{SECRETS}/{name}\n"))
        .concat();
    drop_in(machine, "remote", &format!("{drop}{more}"));
    restart(machine);
    let load = "nnctl load there --manifest /srv/there.toml";
    let loaded = machine.run(load);
    assert_eq!(
        loaded.code,
        Some(0),
        "{}\n{}",
        loaded.stderr,
        machine.journal("nn-daemon")
    );
    let before = answered(machine);
    machine.run(INFER).success();
    assert_eq!(answered(machine), before + 1);
    for id in [
        "network.unit",
        "network.dialer",
        "programs.relay",
        "programs.dialer",
    ] {
        let (level, text) = found(machine, id).unwrap();
        assert_eq!(level, "ok", "{id}: {text}");
    }
    format!("{} answered over TLS by a name of /etc/hosts", endpoint())
}

/// A field of /proc/PID/status.
fn field(machine: &Machine, pid: u64, name: &str) -> String {
    let status = machine.run(&format!("cat /proc/{pid}/status")).ok().stdout;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

/// The process of the model's relay.
fn relay(machine: &Machine) -> u64 {
    let told = machine.json("nnctl --json describe there");
    told["model"]["instances"][0]["pid"].as_u64().unwrap()
}

/// Who speaks to the engine is nobody but the daemon's user, in jails of their own.
pub(crate) fn walls(machine: &mut Machine) -> String {
    let status = status(machine);
    assert_eq!(status["degraded"], false);
    let jails = status["jails"].as_array().unwrap();
    let jail = |process: &str| {
        let jail = jails.iter().find(|jail| jail["process"] == process);
        jail.unwrap()
    };
    let layers = jail("nn-dialer")["layers"].as_array().unwrap();
    assert!(
        layers.iter().all(|layer| layer["active"] == true),
        "{layers:?}"
    );
    let (daemon, dialer) = (
        status["pid"].as_u64().unwrap(),
        status["remote"]["pid"].as_u64().unwrap(),
    );
    let relay = relay(machine);
    let uid = machine.run("id --user nn-daemon").ok().stdout;
    for (name, pid) in [
        ("nn-daemon", daemon),
        ("nn-dialer", dialer),
        // It is started as workers are, and called so.
        ("nn-worker", relay),
    ] {
        let program = machine.run(&format!("cat /proc/{pid}/cmdline"));
        let program = program.stdout.split('\0').next().unwrap_or_default();
        assert!(program.ends_with(name), "{name}: {program}");
        let of = |field: &str| self::field(machine, pid, field);
        assert_eq!(
            of("Uid").split_whitespace().next(),
            Some(uid.trim()),
            "{name}"
        );
        assert_eq!(
            (of("NoNewPrivs"), of("Seccomp")),
            ("1".to_owned(), "2".to_owned()),
            "{name}"
        );
        assert_eq!(of("CapEff").trim_matches('0'), "", "{name}");
    }
    let link = |pid: u64, of: &str| {
        let line = format!("readlink /proc/{pid}/ns/{of}");
        machine.run(&line).ok().stdout
    };
    assert_eq!(link(dialer, "net"), link(1, "net"));
    for of in ["net", "user", "mnt", "pid", "ipc"] {
        assert_ne!(link(relay, of), link(daemon, of), "the relay's {of}");
    }
    let devices = machine.run(&format!("grep --count : /proc/{relay}/net/dev"));
    let files = machine
        .run(&format!("ls --almost-all /proc/{relay}/root"))
        .stdout;
    assert_eq!(
        (devices.stdout.trim(), files.trim()),
        ("1", ""),
        "the relay's network, and its root"
    );
    format!("nn-relay as uid {} without a network", uid.trim())
}

/// The guest's model goes there too: what `load::restart` asks for is computed by the engine.
pub(crate) fn placed_guest(machine: &mut Machine) -> String {
    machine.write("/srv/lite0.toml", manifest("efficientnet-lite0"));
    machine
        .run("nnctl load efficientnet-lite0 /srv/models/model.onnx --manifest /srv/lite0.toml")
        .success();
    let before = answered(machine);
    let picture = coffee();
    machine.wait("the guest answers", PATIENCE, |machine| {
        is_right(&label(machine, &picture))
    });
    assert!(answered(machine) > before);
    let said = machine
        .run("nnctl place efficientnet-lite0 local")
        .ok()
        .stdout;
    assert!(said.contains("is computed here"), "{said}");
    assert!(is_right(&label(machine, &picture)));
    let said = machine
        .run("nnctl place efficientnet-lite0 kserve")
        .ok()
        .stdout;
    assert!(is_right(&label(machine, &picture)));
    said.trim().to_owned()
}

/// Connections that there are stay, new relays are refused, and it is told; a restart mends it.
pub(crate) fn killed_dialer(machine: &mut Machine) -> String {
    let main = |machine: &Machine| machine.property("nn-daemon", "MainPID");
    let before = main(machine);
    let dialer = status(machine)["remote"]["pid"].as_u64().unwrap();
    machine.run(INFER).success();
    machine.run(&format!("kill -KILL {dialer}")).success();
    machine.wait("the status says so", PATIENCE, |machine| {
        status(machine)["remote"]["available"] == false
    });
    machine.run(INFER).success();
    let journal = machine.journal("nn-daemon");
    assert!(journal.contains("the dialer is gone"), "{journal}");
    let (level, text) = found(machine, "network.dialer").unwrap();
    assert_eq!(level, "problem");
    let refused = machine.run("nnctl load another --manifest /srv/there.toml");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("placement-away"), "{refused:?}");
    let local = "nnctl infer add --input a=/srv/a.npy --input b=/srv/b.npy";
    machine.run(local).success();
    assert_eq!(main(machine), before);

    restart(machine);
    machine.wait("the engine is asked again", PATIENCE, |machine| {
        machine.run(INFER).code == Some(0)
    });
    assert!(status(machine)["remote"]["available"] == true);
    machine.run("systemctl stop engine").success();
    text
}
