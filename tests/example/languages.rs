//! The function that names pictures, in Python and JavaScript: components of tens of megabytes that are not checked in. They run
//! under the limits that a request has where nothing is said.

use nn_tests::{Daemon, HttpHost, Reply, built_guest, guest_wasm, nnctl, require_backends};
use serde_json::{Value, json};

use super::{PIXELS, body, daemon};

/// Whether a function is built: `cargo xtask guests --out target/nn/guests python-http js-http`.
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
fn is_built(function: &str) -> bool {
    let file = built_guest(function);
    if !file.is_file() {
        println!("skipped: {} is not built", file.display());
    }
    file.is_file()
}

/// Ends the test early where backends or the function are not there.
macro_rules! require_function {
    ($function:expr) => {
        require_backends!();
        if !is_built($function) {
            return;
        }
    };
}

fn host(daemon: &Daemon, function: &str) -> HttpHost {
    let component = format!("component = {:?}", built_guest(function));
    let builder = HttpHost::builder().with_socket(daemon.socket());
    builder.with_top(&component).start_routes()
}

fn classify(host: &HttpHost) -> Reply {
    host.request("POST", "/classify?width=192&height=128", PIXELS)
}

fn labels(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen = body(reply);
    let labels = seen["labels"].as_array().unwrap().iter();
    labels.map(|label| label["label"].clone()).collect()
}

/// What the function says, and what the same one in Rust does.
fn both(function: &str) -> [Vec<Value>; 2] {
    let daemon = daemon();
    let rust = format!("component = {:?}", guest_wasm("example-vision"));
    let rust = HttpHost::builder()
        .with_socket(daemon.socket())
        .with_top(&rust);
    let hosts = [host(&daemon, function), rust.start_routes()];
    hosts.map(|host| labels(&classify(&host)))
}

/// The statuses of what a client, and then the operator, does wrong.
fn statuses(function: &str) -> Vec<u16> {
    let daemon = daemon();
    let host = host(&daemon, function);
    let ask = |target: &str| host.request("POST", target, PIXELS);
    let mut replies = vec![
        host.get("/"),
        ask("/?width=a&height=2"),
        ask("/?width=9&height=9"),
        ask("/?width=24576&height=1"),
    ];
    nnctl(&daemon, &["unload", "picture-labels"]).success();
    replies.push(classify(&host));
    let told = |reply: &Reply| body(reply)["error"].is_string() && body(reply)["hint"].is_string();
    assert!(replies.iter().all(told), "{replies:?}");
    replies.iter().map(|reply| reply.status).collect()
}

#[test]
fn a_function_in_python_gives_the_same_labels() {
    require_function!("python-http");
    let [python, rust] = both("python-http");
    assert_eq!((&python, &python[0]), (&rust, &json!("espresso")));
}

#[test]
fn a_function_in_javascript_gives_the_same_labels() {
    require_function!("js-http");
    let [javascript, rust] = both("js-http");
    assert_eq!((&javascript, &javascript[0]), (&rust, &json!("espresso")));
}

#[test]
fn what_goes_wrong_is_told_in_python() {
    require_function!("python-http");
    assert_eq!(statuses("python-http"), [405, 400, 422, 422, 503]);
}

#[test]
fn what_goes_wrong_is_told_in_javascript() {
    require_function!("js-http");
    assert_eq!(statuses("js-http"), [405, 400, 422, 422, 503]);
}
