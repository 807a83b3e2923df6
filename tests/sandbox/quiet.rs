//! A worker writes no file and attempts no connection: from its birth to its end every call is looked at. Before
//! `pivot_root` it builds its own root, in memory; what counts comes after that: the framework loads, warms
//! up, reads models, computes, fails.

use nix::libc::{self, c_long};
use nn_tests::{children, model_file, require_backends, tiny_model};

use super::tracer::{Call, Tracer};
use super::*;

/// Calls that change a file system or speak to anybody by name. The control socket takes `sendmsg` on
/// descriptor 3, which is looked at apart.
const LOUD: [c_long; 30] = [
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_truncate,
    libc::SYS_chmod,
    libc::SYS_fchmodat,
    libc::SYS_chown,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_sendto,
    libc::SYS_sendmmsg,
    libc::SYS_execve,
    libc::SYS_ptrace,
    libc::SYS_kill,
    libc::SYS_io_uring_setup,
];

/// What is wrong with a call, if anything is.
fn loud(call: &Call) -> bool {
    let [first, second, third, _] = call.arguments;
    let writes = |flags: u64| {
        let flags = libc::c_int::try_from(flags & 0xffff_ffff).unwrap_or(-1);
        flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0
    };
    LOUD.contains(&call.number)
        || (call.number == libc::SYS_open && writes(second))
        || (call.number == libc::SYS_openat && writes(third))
        || (call.number == libc::SYS_sendmsg && first != 3)
}

/// The calls of each worker after it has its own root, pool threads included.
fn inside(calls: &[Call]) -> Vec<&Call> {
    let pivots: Vec<(i32, usize)> = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.number == libc::SYS_pivot_root)
        .map(|(index, call)| (call.thread, index))
        .collect();
    assert!(!pivots.is_empty(), "no worker was seen");
    let before = |(index, call): &(usize, &Call)| {
        let pivot = pivots.iter().find(|(thread, _)| *thread == call.thread);
        // A thread without a pivot of its own is one of a pool, which is made inside.
        pivot.is_some_and(|(_, pivot)| index <= pivot)
    };
    calls
        .iter()
        .enumerate()
        .filter(|call| !before(call))
        .map(|(_, call)| call)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_writes_no_file_and_attempts_no_connection() {
    require_backends!();
    let daemon = Daemon::builder().with_threads(2).start();
    let spawner = children(daemon.pid())[0];
    let tracer = Tracer::of(spawner);
    daemon.load("add", &tiny_model("add-f32"));
    daemon.load("efficientnet", &model_file("efficientnet-lite0"));
    daemon.load("minilm", &model_file("minilm-l6-int8"));
    let client = daemon.client();
    for _ in 0..10 {
        assert_eq!(add(&client).await, Ok(3.0));
    }
    classify(&client, "efficientnet").await;
    if is_root() {
        for worker in daemon.workers() {
            let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
            assert_eq!(environment, b"ORT_DISABLE_TELEMETRY=1\0");
        }
    }
    drop(client);
    nnctl(&daemon, &["unload", "add"]).success();
    assert_eq!(daemon.ended("violation"), 0);
    drop(daemon);

    let calls = tracer.end();
    let inside = inside(&calls);
    let loud: Vec<&&Call> = inside.iter().filter(|call| loud(call)).collect();
    assert!(loud.is_empty(), "{loud:?}");
    let mut opened: Vec<&str> = inside
        .iter()
        .filter_map(|call| call.path.as_deref())
        .collect();
    opened.sort_unstable();
    opened.dedup();
    println!(
        "{} calls inside; opened for reading: {opened:?}",
        inside.len()
    );
}
