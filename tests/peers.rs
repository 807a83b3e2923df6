//! A second user of the machine at the doors: kept out by the sockets' mode, then let in by it and kept to what
//! `[tenants]` and its own uid allow. Needs root, who alone can be two users; skipped for others.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say why they are skipped"
)]

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setegid, seteuid, setgroups};
use nn_client::{Client, Format};
use nn_tensor::{Code, Tenant};
use nn_tests::{Daemon, fake_model, require_backends};

#[expect(dead_code, reason = "some of it is for the tests of the doors alone")]
#[path = "doors/raw.rs"]
mod raw;

use raw::{Raw, hello, knock, opened, refusal, runtime, send};

/// Nobody, who is in nobody's group.
const STRANGER: u32 = 65_534;

/// The whole process is the other user for a while: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

/// The process, as the other user; itself again when dropped.
struct Stranger {
    group: Gid,
    groups: Vec<Gid>,
}

impl Stranger {
    fn become_one() -> Self {
        let before = Self {
            group: getegid(),
            groups: getgroups().unwrap(),
        };
        setgroups(&[]).unwrap();
        setegid(Gid::from_raw(STRANGER)).unwrap();
        seteuid(Uid::from_raw(STRANGER)).unwrap();
        before
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        seteuid(Uid::from_raw(0)).unwrap();
        setegid(self.group).unwrap();
        setgroups(&self.groups).unwrap();
    }
}

fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        println!("skipped: only root can be a second user");
    }
    root
}

fn daemon(tenants: &str) -> Daemon {
    let daemon = Daemon::builder()
        .with_worker("nn-worker-fake")
        .with_sections(tenants)
        .start();
    daemon.load("echo", &fake_model("echo"));
    daemon
}

/// Lets everybody connect, as an operator lets a group.
fn open_doors(daemon: &Daemon) {
    let socket = daemon.socket();
    let run = socket.parent().unwrap();
    set_permissions(run.parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    chown(run, None, Some(STRANGER)).unwrap();
    set_permissions(run, Permissions::from_mode(0o755)).unwrap();
    for name in [nn_proto::GRPC_SOCKET, nn_proto::FD_SOCKET] {
        set_permissions(run.join(name), Permissions::from_mode(0o666)).unwrap();
    }
}

fn code(status: &tonic::Status) -> Code {
    nn_client::status_to_fault(status).code
}

#[test]
fn another_user_is_kept_out_by_the_mode_of_the_directory_and_of_each_socket() {
    require_backends!();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return;
    }
    let daemon = daemon("");
    let run = daemon.socket().parent().unwrap().to_owned();
    // The test's own directory is as private as can be: it is not what keeps anybody out here.
    set_permissions(run.parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    let denied = || {
        let _stranger = Stranger::become_one();
        let stream = std::os::unix::net::UnixStream::connect(daemon.socket());
        (
            stream.map_err(|error| error.kind()).err(),
            knock(&daemon).err(),
        )
    };
    let both = (
        Some(std::io::ErrorKind::PermissionDenied),
        Some(nix::Error::EACCES),
    );
    assert_eq!(denied(), both, "the directory");
    set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(denied(), both, "the sockets");
}

#[test]
fn another_user_who_may_connect_gets_no_tenant_that_does_not_list_them_and_nothing_of_others() {
    require_backends!();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return;
    }
    let tenants = format!("[tenants.ours]\nuids = [0]\n[tenants.theirs]\nuids = [{STRANGER}]");
    let daemon = daemon(&tenants);
    open_doors(&daemon);
    let runtime = runtime();
    let ours = Raw::of(&daemon, "ours").unwrap();
    let (_rpc, unclaimed) = runtime.block_on(opened(&daemon, "ours")).unwrap();

    let stranger = Stranger::become_one();
    for tenant in ["ours", "", "nobodys"] {
        let status = runtime.block_on(opened(&daemon, tenant)).unwrap_err();
        assert_eq!(code(&status), Code::Security, "{tenant}: {status:?}");
    }
    let theirs = Raw::of(&daemon, "theirs").unwrap();
    assert!(theirs.resolve("echo").is_ok(), "what is theirs works");

    // A session's number, and even its token, are of no use to another user.
    let mut stolen = Raw::of(&daemon, "theirs").unwrap();
    stolen.id = ours.id;
    assert_eq!(code(&stolen.resolve("echo").unwrap_err()), Code::NotFound);
    let fd = knock(&daemon).unwrap();
    send(&fd, &hello(unclaimed.session_id, unclaimed.fd_token), &[]).unwrap();
    assert_eq!(refusal(&fd), Some(nn_proto::v1::Code::NotFound));

    let channel = runtime
        .block_on(nn_client::channel(&daemon.socket()))
        .unwrap();
    let mut admin = nn_proto::v1::admin_client::AdminClient::new(channel.clone());
    let status = runtime.block_on(admin.status(nn_proto::v1::StatusRequest::default()));
    assert_eq!(code(&status.unwrap_err()), Code::Security);
    let mut models = nn_proto::v1::models_client::ModelsClient::new(channel);
    let unload = nn_proto::v1::UnloadRequest {
        reference: "echo".to_owned(),
    };
    let status = runtime.block_on(models.unload(unload)).unwrap_err();
    assert_eq!(code(&status), Code::Security);
    drop(stranger);

    let again = knock(&daemon).unwrap();
    send(
        &again,
        &hello(unclaimed.session_id, unclaimed.fd_token),
        &[],
    )
    .unwrap();
    let first = raw::receive(&again);
    assert!(first.is_some(), "whose it is can still claim it");
    assert!(ours.resolve("echo").is_ok());
}

#[test]
fn what_one_users_guests_crash_at_load_is_not_refused_to_anothers_of_the_same_tenant() {
    require_backends!();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return;
    }
    let daemon = daemon("");
    open_doors(&daemon);
    let bytes = std::fs::read(fake_model("broken")).unwrap();
    let runtime = runtime();
    let load = || {
        let client = Client::new(daemon.socket(), Tenant::default());
        let loaded = runtime.block_on(client.load(Format::Onnx, std::slice::from_ref(&bytes)));
        loaded.err().unwrap().code
    };
    let stranger = Stranger::become_one();
    load();
    assert_eq!(load(), Code::Security);
    drop(stranger);
    assert_eq!(daemon.ended("crash"), 3);
    load();
    assert_eq!(daemon.ended("crash"), 6);
}
