//! `nn-host serve` through real processes: the right answer over HTTP, and what is left of it when guests, clients and
//! the daemon misbehave.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use nn_tests::{
    Daemon, HttpHost, Reply, coffee, guest_wasm, require_backends, serve_and_end, wait_until,
};

#[path = "serve/base.rs"]
mod base;
#[path = "serve/endings.rs"]
mod endings;
#[path = "serve/http2.rs"]
mod http2;
#[path = "serve/limits.rs"]
mod limits;
#[path = "serve/models.rs"]
mod models;
#[path = "serve/reload.rs"]
mod reload;
#[path = "serve/routes.rs"]
mod routes;

/// Far below any bound of the host's own, far above what an answer takes.
const SOON: Duration = Duration::from_secs(5);

/// The largest body that the tests' hosts take.
const BODY_MAX: &str = "body_bytes_max = 1000";

fn classifying(daemon: &Daemon) -> HttpHost {
    let host = HttpHost::builder().with_socket(daemon.socket());
    host.start("http-classify")
}

fn within(limit: Duration, work: impl FnOnce() -> Reply) -> Reply {
    let begun = Instant::now();
    let reply = work();
    let took = begun.elapsed();
    assert!(took < limit, "{took:?}: {reply:?}");
    reply
}

/// The answer to so many bytes on a connection of their own.
fn said(host: &HttpHost, text: &str) -> Reply {
    let mut begun = host.connect();
    begun.send(text.as_bytes());
    begun.finish()
}

// --- inference

#[test]
fn coffee_over_http_is_an_espresso() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let host = classifying(&daemon);
    let reply = host.request("POST", "/", &coffee());
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.starts_with("espresso 0.9"), "{reply:?}");
    assert_eq!(reply.body.lines().count(), 5, "{reply:?}");
}

#[test]
fn what_the_client_does_wrong_and_what_the_model_refuses_are_told_apart() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let host = classifying(&daemon);
    let unknown = host.request("POST", "/?model=nobody", &coffee());
    let replies = [
        host.get("/"),
        host.request("PUT", "/", b""),
        host.get("/elsewhere"),
        host.request("POST", "/", b"GIF89a"),
        unknown.clone(),
        host.request("POST", "/?model=no+body", &coffee()),
    ];
    let statuses = replies.map(|reply| reply.status);
    assert_eq!(statuses, [200, 405, 404, 400, 404, 400]);
    assert!(unknown.body.contains("no model nobody"), "{unknown:?}");
}

#[test]
fn sixty_four_requests_at_once_all_have_the_answer() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let host = classifying(&daemon);
    let picture = coffee();
    let replies: Vec<Reply> = thread::scope(|scope| {
        let ask = || host.request("POST", "/", &picture);
        let asking: Vec<_> = (0..64).map(|_| scope.spawn(ask)).collect();
        asking
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    let right = |reply: &&Reply| reply.body.starts_with("espresso 0.9");
    let wrong: Vec<&Reply> = replies.iter().filter(|reply| !right(reply)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_daemon_that_comes_later_is_found_without_a_restart() {
    require_backends!();
    let mut daemon = Daemon::builder().with_real_models().start();
    daemon.kill();
    let host = classifying(&daemon);
    host.wait_log("nn-daemon is away");
    let usage = host.get("/");
    daemon.restart();
    host.wait_log("nn-daemon answers");
    let reply = host.request("POST", "/", &coffee());
    assert_eq!((usage.status, reply.status), (200, 200), "{reply:?}");
}

// --- guests

#[test]
fn a_guest_that_traps_is_a_500_that_names_the_line_in_the_log() {
    let host = HttpHost::start();
    let reply = host.get("/trap");
    let id = reply.header("x-request-id").to_owned();
    assert_eq!((reply.status, id.len()), (500, 16), "{reply:?}");
    assert!(reply.body.contains(&id), "{reply:?}");
    let log = host.log();
    let mut lines = log.lines().filter(|line| line.contains(&id));
    assert!(lines.any(|line| line.contains("unreachable")), "{log}");
    assert_eq!(
        host.request("POST", "/echo", b"still here").body,
        "still here\n"
    );
}

#[test]
fn a_guest_that_never_ends_is_a_504_and_keeps_nobody_waiting() {
    let limits = HttpHost::builder().with_limit("request_timeout_ms = 1500");
    let host = limits.start("http-cases");
    let spinning: Vec<_> = (0..4).map(|_| host.begin("GET", "/spin", b"")).collect();
    let meanwhile = within(SOON, || host.request("POST", "/echo", b"quick"));
    assert_eq!(meanwhile.status, 200, "{meanwhile:?}");
    let late = spinning.into_iter().map(|begun| begun.finish().status);
    assert_eq!(late.collect::<Vec<_>>(), [504; 4]);
}

#[test]
fn a_guest_that_gives_no_answer_is_a_500() {
    let host = HttpHost::start();
    let paths = ["/silent", "/refuse", "/status?code=101", "/status?code=103"];
    let statuses = paths.map(|path| host.get(path).status);
    assert_eq!(statuses, [500; 4]);
}

#[test]
fn a_guests_refusal_of_any_length_is_a_short_line_of_the_log() {
    let host = HttpHost::start();
    assert_eq!(host.get("/refuse?bytes=10000000").status, 500);
    host.wait_log("InternalError");
    let longest = host.log().lines().map(str::len).max();
    assert!(longest < Some(1000), "{longest:?}");
}

#[test]
fn an_answer_that_breaks_off_does_not_look_complete() {
    let limits = HttpHost::builder().with_limit("request_timeout_ms = 500");
    let host = limits.start("http-cases");
    let dead = host.get("/late-trap");
    let stalled = within(SOON, || host.get("/stall"));
    assert!(!dead.whole, "{dead:?}");
    assert!(!stalled.whole && stalled.body == "begun\n", "{stalled:?}");
    assert!(host.get("/stream?bytes=1000000").whole);
}

#[test]
fn a_guest_that_asks_for_more_memory_than_it_may_have_goes_without() {
    let limits = HttpHost::builder().with_limit("memory_max = 33554432");
    let host = limits.start("http-cases");
    let (modest, greedy) = (host.get("/grow?mib=16"), host.get("/grow?mib=64"));
    assert_eq!((modest.status, greedy.status), (200, 507), "{greedy:?}");
}

#[test]
fn what_a_guest_holds_in_the_host_has_bounds_of_its_own() {
    let host = HttpHost::start();
    let fields = [
        host.get("/fields?count=200&bytes=16000"),
        host.get("/fields?count=300&bytes=1"),
        host.get("/fields?count=1&bytes=33000"),
    ];
    let (short, long) = (host.get("/names?bytes=100"), host.get("/names?bytes=5000"));
    assert_eq!(fields.map(|reply| reply.status), [200, 500, 500]);
    assert_eq!(short.body, "[true, true, true]\n");
    assert_eq!(long.body, "[false, false, false]\n");
}

#[test]
fn what_a_guest_prints_is_in_the_log_escaped_and_nowhere_else() {
    let host = HttpHost::start();
    assert_eq!(host.get("/print").status, 200);
    host.wait_log("guest's stdout: without an end");
    let log = host.log();
    assert!(
        log.contains("guest's stdout: to stdout \\u{1b}[31mred\\u{7}"),
        "{log}"
    );
    assert!(log.contains("guest's stderr: to stderr"), "{log}");
    assert_eq!(host.stdout(), "");
}

#[test]
fn a_guest_that_prints_without_end_fills_no_log() {
    let host = HttpHost::start();
    assert_eq!(host.get("/flood").status, 200);
    let log = host.log();
    assert!(log.len() < 100_000, "{}", log.len());
}

#[test]
fn a_guest_sends_no_requests_of_its_own() {
    let host = HttpHost::start();
    let reply = host.get("/fetch");
    assert!(reply.body.contains("HttpRequestDenied"), "{reply:?}");
}

#[test]
fn a_guest_sees_the_variables_of_the_file_and_no_others() {
    let host = HttpHost::builder().with_sections("[env]\nMODE = \"test\"\n");
    let host = host.with_env("SECRET", "value").start("http-cases");
    assert_eq!(host.get("/world").body, "env MODE=test\n");
}

#[test]
fn a_guest_sees_the_requests_id_and_a_clients_own_is_kept() {
    let host = HttpHost::start();
    let mut begun = host.connect();
    begun.send(
        b"GET /headers HTTP/1.1\r\nhost: a\r\nx-request-id: mine-1\r\nconnection: close\r\n\r\n",
    );
    let reply = begun.finish();
    assert_eq!(reply.header("x-request-id"), "mine-1");
    assert!(reply.body.contains("x-request-id: mine-1"), "{reply:?}");
    host.wait_log("GET /headers 200");
}

// --- clients

#[test]
fn a_body_beyond_the_bound_is_a_413_whether_its_size_is_told_or_not() {
    let host = HttpHost::builder().with_limit(BODY_MAX).start("http-cases");
    let fits = host.request("POST", "/count", &[b'x'; 1000]);
    let told = host.request("POST", "/count", &[b'x'; 1001]);
    let mut begun = host.connect();
    begun.send(b"POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    begun.send(format!("3e9\r\n{}\r\n", "x".repeat(1001)).as_bytes());
    let untold = begun.finish();
    assert_eq!((fits.status, fits.body.as_str()), (200, "1000\n"));
    assert_eq!((told.status, untold.status), (413, 413), "{untold:?}");
}

#[test]
fn a_body_that_does_not_come_is_a_408() {
    let limits = HttpHost::builder().with_limit("request_timeout_ms = 500");
    let host = limits.start("http-cases");
    let mut begun = host.connect();
    begun.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    let reply = within(SOON, || begun.finish());
    assert_eq!(reply.status, 408, "{reply:?}");
}

#[test]
fn clients_that_dawdle_are_given_up_and_leave_nothing_behind() {
    let limits = HttpHost::builder().with_limit("requests_max = 1");
    let host = limits.start("http-cases");
    let mut headless = host.connect();
    headless.send(b"GET / HTTP/1.1\r\nho");
    let mut idle = host.connect();
    idle.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    host.wait_log("POST /echo 200");
    // More than all buffers on the way hold.
    let unread = host.begin("GET", "/stream?bytes=50000000", b"");
    assert_eq!(headless.finish().status, 0);
    assert_eq!(idle.finish().body, "hi\n");
    host.wait_log("GET /stream 200 cut");
    wait_until("its place is free again", SOON, || {
        host.get("/world").status == 200
    });
    unread.leave();
}

#[test]
fn a_client_that_leaves_stops_its_guest() {
    let limits = HttpHost::builder().with_limit("requests_max = 1");
    let host = limits.start("http-cases");
    let begun = host.begin("GET", "/linger?ms=30000", b"").until("begun");
    assert_eq!(host.get("/world").status, 503);
    begun.leave();
    wait_until("its place is free again", SOON, || {
        host.get("/world").status == 200
    });
    host.wait_log("GET /linger 200 cut");
}

#[test]
fn one_request_too_many_is_told_so_at_once() {
    let limits = HttpHost::builder().with_limit("requests_max = 2");
    let host = limits.start("http-cases");
    let linger = || host.begin("GET", "/linger?ms=2000", b"").until("begun");
    let first = [linger(), linger()];
    let refused = within(Duration::from_secs(1), || host.get("/world"));
    assert_eq!(refused.header("retry-after"), "1", "{refused:?}");
    assert_eq!(first.map(|begun| begun.finish().whole), [true, true]);
    wait_until("there is room again", SOON, || {
        host.get("/world").status == 200
    });
}

#[test]
fn one_connection_too_many_is_told_so_and_closed() {
    let limits = HttpHost::builder().with_limit("connections_max = 1");
    let host = limits.start("http-cases");
    let only = host.connect();
    let refused = within(SOON, || host.connect().finish());
    assert_eq!(refused.status, 503, "{refused:?}");
    only.leave();
    wait_until("there is room again", SOON, || {
        host.get("/world").status == 200
    });
}

#[test]
fn requests_that_no_guest_should_see_are_answered_without_one() {
    let host = HttpHost::start();
    let raw = |text: &str| said(&host, text).status;
    let fields = "a: b\r\n".repeat(200);
    let long = "x".repeat(40_000);
    let statuses = [
        raw("GET / HTTP/1.1\r\nconnection: close\r\n\r\n"),
        raw("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n"),
        raw("CONNECT a:1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        raw(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")),
        raw(&format!(
            "GET / HTTP/1.1\r\nhost: a\r\nlong: {long}\r\n\r\n"
        )),
        raw("nonsense\r\n\r\n"),
    ];
    assert_eq!(statuses, [400, 400, 501, 431, 431, 400]);
    assert_eq!(host.get("/world").status, 200);
}

#[test]
fn a_connection_is_closed_after_a_request_that_others_may_read_otherwise() {
    let host = HttpHost::start();
    let raw = |text: &str| within(SOON, || said(&host, text));
    let replies = [
        raw("CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n"),
        raw("GET / HTTP/1.1\r\n\r\n"),
        raw("GET / HTTP/1.1\r\nhost: \r\n\r\n"),
        raw("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    ];
    let statuses = replies.map(|reply| reply.status);
    assert_eq!(statuses, [501, 400, 400, 400]);
}

#[test]
fn a_long_method_is_cut_in_the_log() {
    let host = HttpHost::start();
    assert_eq!(host.request(&"M".repeat(30_000), "/world", b"").status, 200);
    host.wait_log("/world 200");
    assert!(host.log().contains("MMMMMMMMMMMMMMMM… /world 200"));
}

// --- the service

#[test]
fn sigterm_lets_requests_in_flight_finish_and_takes_no_new_ones() {
    let mut host = HttpHost::start();
    let begun = host.begin("GET", "/linger?ms=1000", b"").until("begun");
    let mut idle = host.connect();
    idle.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    host.wait_log("POST /echo 200");
    host.ask_to_end();
    host.wait_log("asked to end");
    wait_until("nobody listens", SOON, || {
        TcpStream::connect(host.address()).is_err()
    });
    assert!(begun.finish().whole);
    assert_eq!(idle.finish().body, "hi\n");
    assert_eq!(host.wait_end(), Some(0));
}

#[test]
fn requests_that_do_not_finish_do_not_keep_the_host_from_ending() {
    let limits = HttpHost::builder().with_limit("drain_ms_max = 300");
    let mut host = limits.start("http-cases");
    let lingering = host.begin("GET", "/linger?ms=30000", b"").until("begun");
    let spinning = host.begin("GET", "/spin", b"");
    host.ask_to_end();
    let asked = Instant::now();
    assert_eq!(host.wait_end(), Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert!(!lingering.finish().whole && !spinning.finish().whole);
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let mut host = HttpHost::start();
    let _begun = host.begin("GET", "/linger?ms=30000", b"").until("begun");
    host.ask_to_end();
    host.wait_log("asked to end");
    host.ask_to_end();
    let asked = Instant::now();
    assert_eq!(host.wait_end(), Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[test]
fn a_second_sigterm_does_not_wait_for_guests_that_have_answered() {
    let mut host = HttpHost::start();
    assert!(host.get("/after?ms=30000").whole);
    host.ask_to_end();
    host.wait_log("asked to end");
    host.ask_to_end();
    let asked = Instant::now();
    assert_eq!(host.wait_end(), Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[test]
fn a_service_manager_is_told_of_readiness_life_and_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let hear = |what: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = manager.recv(&mut bytes).unwrap();
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.contains(what) {
                return message;
            }
        }
    };
    let told = HttpHost::builder().with_env("NOTIFY_SOCKET", path.to_str().unwrap());
    let mut host = told.with_env("WATCHDOG_USEC", "300000").start("http-cases");
    assert!(hear("READY=1").contains("STATUS=serving"));
    hear("nn-daemon is away");
    hear("WATCHDOG=1");
    let _begun = host.begin("GET", "/linger?ms=1500", b"").until("begun");
    host.ask_to_end();
    hear("STOPPING=1");
    // Also while it drains.
    hear("WATCHDOG=1");
    assert_eq!(host.wait_end(), Some(0));
}

#[test]
fn a_service_manager_that_does_not_read_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let told = HttpHost::builder().with_env("NOTIFY_SOCKET", path.to_str().unwrap());
    let mut host = told.with_env("WATCHDOG_USEC", "3000").start("http-cases");
    host.wait_log("nn-daemon is away");
    let slept = host.get("/sleep?ms=1000");
    assert_eq!(slept.status, 200);
    host.ask_to_end();
    let asked = Instant::now();
    assert_eq!(host.wait_end(), Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[test]
fn a_socket_that_it_inherits_goes_before_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let inheriting = HttpHost::builder().with_listener(listener.try_clone().unwrap());
    let mut host = inheriting.start("http-cases");
    assert_eq!(host.address(), address);
    assert_eq!(host.get("/world").status, 200);
    host.ask_to_end();
    assert_eq!(host.wait_end(), Some(0));
    // It is the manager's: connections wait there for the next host.
    assert!(TcpStream::connect(address).is_ok());
}

// --- beginnings that fail

#[test]
fn an_unknown_key_ends_it_with_wrong_usage_and_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.toml");
    std::fs::write(&path, "lisen = \"127.0.0.1:0\"\ncomponent = \"x.wasm\"\n").unwrap();
    let output = serve_and_end(&["--config", path.to_str().unwrap()]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output
            .stderr
            .contains("site.toml, line 1: unknown key lisen"),
        "{output:?}"
    );
    assert!(output.stderr.contains("did you mean listen?"), "{output:?}");
}

#[test]
fn a_command_and_a_core_module_are_no_guests_for_http() {
    let refused = ["wit-cases", "witx-cases"].map(|guest| {
        let guest = guest_wasm(guest);
        serve_and_end(&["--listen", "127.0.0.1:0", guest.to_str().unwrap()])
    });
    for output in &refused {
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains("hint:"), "{output:?}");
        assert!(output.stderr.contains("wasi:http"), "{output:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_told_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let guest = guest_wasm("http-cases");
    let output = serve_and_end(&["--listen", &address, guest.to_str().unwrap()]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains(&address), "{output:?}");
    assert!(output.stderr.contains("hint:"), "{output:?}");
}
