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
use nn_proto::health::health_check_response::ServingStatus;
use nn_proto::kserve::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use nn_proto::kserve::inference::{
    ModelReadyRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
};
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
    let told = nn_tests::nnctl(&daemon, &["--json", "events"]).ok().stdout;
    let denied: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("\"denied\""))
        .collect();
    let uid = format!("\"uid\":{STRANGER}");
    assert!(denied.iter().all(|line| line.contains(&uid)), "{denied:?}");
    for asked in [
        "\"tenant\":\"ours\"",
        "no session of this user",
        "may not administer",
    ] {
        assert!(
            denied.iter().any(|line| line.contains(asked)),
            "{asked}: {denied:?}"
        );
    }
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

/// What a client is told of a model's workers: tenants and processes.
fn workers_of(model: &nn_proto::v1::Model) -> Vec<(String, u32)> {
    let instances = model.instances.iter();
    instances.map(|of| (of.tenant.clone(), of.pid)).collect()
}

/// A daemon with a tenant of ours and one of a stranger's, each with workers of its own: `echo` is for both, `secret` for
/// ours alone.
fn daemon_with_a_secret() -> Daemon {
    let tenants = format!("[tenants.ours]\nuids = [0]\n[tenants.theirs]\nuids = [{STRANGER}]");
    let daemon = Daemon::builder()
        .with_worker("nn-worker-fake")
        .with_workers("isolation = \"tenant\"\nwarm_spare = false")
        .with_sections(&tenants)
        .start();
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("model.toml");
    std::fs::write(&manifest, "tenants = [\"ours\"]\n").unwrap();
    let (path, manifest) = (fake_model("echo"), manifest.to_str().unwrap().to_owned());
    let words = [
        "load",
        "secret",
        path.to_str().unwrap(),
        "--manifest",
        &manifest,
    ];
    nn_tests::nnctl(&daemon, &words).success();
    daemon.load("echo", &path);
    open_doors(&daemon);
    daemon
}

#[test]
fn another_user_has_nothing_loaded_and_nothing_rest_by_the_kserve_service() {
    require_backends!();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return;
    }
    let daemon = daemon("");
    open_doors(&daemon);
    let runtime = runtime();

    let stranger = Stranger::become_one();
    let asked = runtime.block_on(async {
        let channel = nn_client::channel(&daemon.socket()).await.unwrap();
        let mut client = GrpcInferenceServiceClient::new(channel);
        let load = RepositoryModelLoadRequest {
            model_name: "echo".into(),
            ..RepositoryModelLoadRequest::default()
        };
        let unload = RepositoryModelUnloadRequest {
            model_name: "echo".into(),
            ..RepositoryModelUnloadRequest::default()
        };
        let ready = ModelReadyRequest {
            name: "echo".into(),
            ..ModelReadyRequest::default()
        };
        let load = client.repository_model_load(load).await.unwrap_err();
        let unload = client.repository_model_unload(unload).await.unwrap_err();
        let ready = client.model_ready(ready).await.unwrap();
        ([load, unload], ready.into_inner().ready)
    });
    drop(stranger);
    let (refused, ready) = asked;
    for status in refused {
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
        assert!(status.message().contains("admin-denied"), "{status}");
    }
    assert!(ready, "it is loaded, and may be used");
}

#[test]
fn another_user_sees_neither_models_nor_workers_of_tenants_that_are_not_theirs() {
    require_backends!();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return;
    }
    let daemon = daemon_with_a_secret();
    let runtime = runtime();
    let ours = Raw::of(&daemon, "ours").unwrap();
    for name in ["secret", "echo"] {
        ours.resolve(name).unwrap();
    }
    let listed = || {
        let channel = runtime.block_on(nn_client::channel(&daemon.socket()));
        let mut models = nn_proto::v1::models_client::ModelsClient::new(channel.unwrap());
        let list = models.list(nn_proto::v1::ListRequest::default());
        runtime.block_on(list).unwrap().into_inner().models
    };
    let described = |name: &str| {
        let channel = runtime.block_on(nn_client::channel(&daemon.socket()));
        let mut models = nn_proto::v1::models_client::ModelsClient::new(channel.unwrap());
        let request = nn_proto::v1::DescribeRequest {
            reference: name.to_owned(),
        };
        runtime.block_on(models.describe(request))
    };
    let names = |models: &[nn_proto::v1::Model]| {
        let names = models.iter().map(|model| model.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&listed()), ["echo", "secret"]);
    let operators = workers_of(&listed()[0]);
    assert!(
        operators
            .iter()
            .any(|(tenant, pid)| tenant == "ours" && *pid > 0),
        "{operators:?}"
    );

    let stranger = Stranger::become_one();
    assert_eq!(names(&listed()), ["echo"]);
    assert_eq!(workers_of(&listed()[0]), []);
    let theirs = Raw::of(&daemon, "theirs").unwrap();
    theirs.resolve("echo").unwrap();
    let (seen, refused) = (listed(), described("secret").unwrap_err());
    let unknown = described("nothing").unwrap_err();
    let own = described("echo").unwrap().into_inner().model.unwrap();
    let (checked, watched) = runtime.block_on(healths(&daemon, "secret"));
    drop(stranger);

    for own in [&seen[0], &own] {
        let tenants: Vec<String> = workers_of(own).into_iter().map(|of| of.0).collect();
        assert_eq!(tenants, ["theirs"]);
    }
    assert_eq!(code(&refused), Code::NotFound);
    let text = |status: &tonic::Status| nn_client::status_to_fault(status).message;
    assert_eq!(text(&refused).replace("secret", "nothing"), text(&unknown));
    assert_eq!(checked, Err(tonic::Code::NotFound));
    assert_eq!(watched, ServingStatus::ServiceUnknown);
    let (checked, _) = runtime.block_on(healths(&daemon, "secret"));
    assert_eq!(checked, Ok(ServingStatus::Serving));
}

/// What the health service says of a model: asked, and as the first word of a watch.
async fn healths(
    daemon: &Daemon,
    name: &str,
) -> (Result<ServingStatus, tonic::Code>, ServingStatus) {
    let channel = nn_client::channel(&daemon.socket()).await.unwrap();
    let mut health = nn_proto::health::health_client::HealthClient::new(channel);
    let request = nn_proto::health::HealthCheckRequest {
        service: name.to_owned(),
    };
    let checked = health.check(request.clone()).await;
    let checked = checked.map(|answer| answer.into_inner().status());
    let mut watch = health.watch(request).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap().status();
    (checked.map_err(|status| status.code()), first)
}

#[test]
fn another_user_sees_that_a_model_is_served_and_not_by_which_process() {
    require_backends!();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_root() {
        return;
    }
    let daemon = daemon("");
    open_doors(&daemon);
    let runtime = runtime();
    let listed = || {
        let channel = runtime.block_on(nn_client::channel(&daemon.socket()));
        let mut models = nn_proto::v1::models_client::ModelsClient::new(channel.unwrap());
        let list = models.list(nn_proto::v1::ListRequest::default());
        runtime.block_on(list).unwrap().into_inner().models
    };
    let pid = |models: &[nn_proto::v1::Model]| workers_of(&models[0])[0].1;
    assert!(pid(&listed()) > 0);
    let stranger = Stranger::become_one();
    let seen = listed();
    drop(stranger);
    assert_eq!(pid(&seen), 0);
}
