//! The example application (guests/example): a page and two functions behind one `nn-host serve`, by its own site.toml, with
//! real models; in a browser too, where there is one. And the same function in other languages.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs;
use std::path::{Path, PathBuf};

use nn_tests::{
    Browser, Daemon, HttpHost, HttpHostBuilder, Pixels, Reply, coffee, guest_wasm, model_file,
    nnctl, require_backends,
};
use serde_json::{Value, json};

#[path = "example/browser.rs"]
mod browser;
#[path = "example/languages.rs"]
mod languages;

/// scikit-image's coffee.png (CC0, models/pictures.toml) at 192 × 128.
const PIXELS: &[u8] = include_bytes!("conversions/coffee.rgb");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A daemon with the models that the example's README has loaded.
fn daemon() -> Daemon {
    let daemon = Daemon::builder().with_real_models().start();
    load(&daemon);
    daemon
}

fn load(daemon: &Daemon) {
    let model = model_file("efficientnet-lite0");
    let said = root().join("models/labels/efficientnet-lite0.toml");
    let (model, said) = (model.to_str().unwrap(), said.to_str().unwrap());
    nnctl(
        daemon,
        &["load", "picture-labels", model, "--manifest", said],
    )
    .success();
}

/// The file that is checked in, but where it listens and where the guests are.
fn site(daemon: &Daemon) -> HttpHostBuilder {
    let text = fs::read_to_string(root().join("guests/example/site.toml")).unwrap();
    let (top, sections) = text.split_once("[tenants.pictures]").unwrap();
    let limits = top.split_once("[limits]\n").unwrap().1;
    let limit = limits.lines().next().unwrap();
    let guests = guest_wasm("example-page");
    let guests = guests.parent().unwrap().to_str().unwrap();
    let sections =
        format!("[tenants.pictures]{sections}").replace("\"../bin/", &format!("\"{guests}/"));
    let builder = HttpHost::builder().with_socket(daemon.socket());
    builder.with_limit(limit).with_sections(&sections)
}

fn body(reply: &Reply) -> Value {
    let kind = reply.header("content-type");
    assert_eq!(kind, "application/json", "{reply:?}");
    serde_json::from_str(&reply.body).unwrap()
}

/// POST with a type of content.
fn post(host: &HttpHost, path: &str, kind: &str, body: &[u8]) -> Reply {
    let mut begun = host.connect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    begun.send(&[head.as_bytes(), body].concat());
    begun.finish()
}

fn similarity(host: &HttpHost, question: &Value) -> Reply {
    let question = question.to_string();
    post(host, "/similarity", "application/json", question.as_bytes())
}

#[test]
fn coffee_is_an_espresso_and_the_nearest_in_meaning_comes_first() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let seen = body(&host.request("POST", "/classify", &coffee()));
    assert_eq!(seen["labels"][0]["label"], "espresso", "{seen}");
    assert!(seen["labels"][0]["score"].as_f64() > Some(0.9), "{seen}");
    assert_eq!(seen["labels"].as_array().unwrap().len(), 5, "{seen}");

    let texts = [
        "The central bank raised interest rates.",
        "Someone is having a meal.",
    ];
    let compared = similarity(
        &host,
        &json!({ "query": "A man is eating food.", "texts": texts }),
    );
    let compared = body(&compared);
    let [near, far] = [0, 1].map(|at| compared["similarities"][at].clone());
    assert_eq!(
        (&near["text"], &near["index"]),
        (&json!(texts[1]), &json!(1))
    );
    assert!(near["score"].as_f64() > Some(0.6), "{compared}");
    assert!(far["score"].as_f64() < Some(0.1), "{compared}");
}

#[test]
fn pixels_without_a_file_around_them_are_a_picture_too() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let seen = body(&host.request("POST", "/classify?width=192&height=128", PIXELS));
    assert_eq!(seen["labels"][0]["label"], "espresso", "{seen}");
    assert_eq!(
        (&seen["width"], &seen["height"]),
        (&json!(192), &json!(128))
    );
}

/// A PNG of one bit a pixel, all black: small for what it takes when it is decoded.
fn black(width: u32, height: u32) -> Vec<u8> {
    let bytes = u64::from(width.div_ceil(8)) * u64::from(height);
    let rows = vec![0; usize::try_from(bytes).unwrap()];
    nn_tests::png(width, height, Pixels::Bits, &rows)
}

#[test]
fn what_a_client_does_wrong_has_a_status_a_sentence_and_a_hint() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let picture = |bytes: &[u8]| host.request("POST", "/classify", bytes);
    let question = |question: Value| similarity(&host, &question);
    let many = vec!["a"; 65];
    let replies = [
        (415, picture(b"GIF89a")),
        (415, picture(b"")),
        (422, picture(&coffee()[..200])),
        (422, picture(&black(100, 100)[..60])),
        (413, picture(&black(4001, 3000))),
        (405, host.get("/classify")),
        (404, host.get("/classify/more")),
        (400, host.request("POST", "/classify?width=7", PIXELS)),
        (
            400,
            host.request("POST", "/classify?width=a&height=b", PIXELS),
        ),
        (
            422,
            host.request("POST", "/classify?width=9&height=9", PIXELS),
        ),
        (
            422,
            host.request("POST", "/classify?width=1&height=24576", PIXELS),
        ),
        (
            413,
            host.request("POST", "/classify?width=4294967295&height=4294967295", b""),
        ),
        (415, host.request("POST", "/similarity", b"{}")),
        (405, host.request("DELETE", "/similarity", b"")),
        (
            400,
            post(&host, "/similarity", "application/json", b"{\"query\""),
        ),
        (400, post(&host, "/similarity", "application/json", b"\xff")),
        (422, question(json!({ "query": "a" }))),
        (422, question(json!({ "query": "a", "texts": [] }))),
        (422, question(json!({ "query": "", "texts": ["a"] }))),
        (413, question(json!({ "query": "a", "texts": many }))),
        (
            413,
            question(json!({ "query": "a".repeat(4001), "texts": ["a"] })),
        ),
    ];
    let told = |reply: &Reply| {
        let body = body(reply);
        body["error"].as_str().is_some_and(|text| !text.is_empty())
            && body["hint"].as_str().is_some_and(|text| !text.is_empty())
    };
    let wrong: Vec<_> = (replies.iter())
        .filter(|(status, reply)| reply.status != *status || !told(reply))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(host.times_logged("the guest failed"), 0);
}

#[test]
fn the_largest_picture_is_decoded_within_the_routes_memory() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let reply = host.request("POST", "/classify", &black(4000, 3000));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(body(&reply)["width"], 4000);
}

#[test]
fn a_body_beyond_a_routes_bound_does_not_reach_its_guest() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let large = "a".repeat(300_000);
    let reply = similarity(&host, &json!({ "query": large, "texts": ["a"] }));
    assert_eq!(reply.status, 413, "{reply:?}");
}

#[test]
fn a_tenant_without_room_is_told_busy_and_when_to_come_again_and_the_other_is_served() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    host.reconfigure(
        "[tenants.pictures]",
        "[tenants.pictures]\ntensor_bytes_max = 1000",
    );
    host.wait_log("read again");
    let busy = host.request("POST", "/classify", &coffee());
    let said = body(&busy);
    assert_eq!(
        (busy.status, busy.header("retry-after")),
        (503, "1"),
        "{busy:?}"
    );
    assert!(
        said["error"].as_str().unwrap().starts_with("busy"),
        "{said}"
    );
    let other = similarity(&host, &json!({ "query": "a", "texts": ["b"] }));
    assert_eq!(other.status, 200, "{other:?}");
}

#[test]
fn a_model_that_was_unloaded_is_a_503_and_no_fault_of_the_client() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    nnctl(&daemon, &["unload", "picture-labels"]).success();
    host.wait_log("picture-labels");
    nn_tests::wait_until(
        "its going is known",
        std::time::Duration::from_secs(20),
        || host.request("POST", "/classify", &coffee()).status == 503,
    );
    let reply = host.request("POST", "/classify", &coffee());
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, "10"),
        "{reply:?}"
    );
    assert!(body(&reply)["hint"].is_string(), "{reply:?}");
}

#[test]
fn each_function_has_a_model_for_a_tenant_of_its_own_and_the_page_has_none() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let statuses = [
        host.get("/").status,
        host.request("POST", "/classify", &coffee()).status,
        similarity(&host, &json!({ "query": "a", "texts": ["b"] })).status,
    ];
    assert_eq!(statuses, [200; 3]);
    let status = daemon.status();
    let sessions = status["sessions"].as_array().unwrap().iter();
    let graphs = sessions.map(|one| (one["tenant"].as_str().unwrap(), &one["graphs"]));
    let mut graphs: Vec<_> = graphs.collect();
    graphs.sort_unstable_by_key(|(tenant, _)| *tenant);
    let (one, none) = (json!(1), json!(0));
    assert_eq!(
        graphs,
        [("pictures", &one), ("texts", &one), ("web", &none)]
    );
    host.wait_log("POST /similarity 200");
    let whose = |line: &str, tenant: &str| {
        let log = host.log();
        log.lines()
            .any(|one| one.contains(line) && one.contains(tenant))
    };
    assert!(whose("GET / 200", "tenant=web") && whose("POST /classify 200", "tenant=pictures"));
}

#[test]
fn the_page_may_do_no_more_than_it_does() {
    require_backends!();
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    let page = host.get("/");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.whole && page.body.ends_with("</html>\n"));
    let others = [
        host.request("POST", "/", b"").status,
        host.get("/favicon.ico").status,
    ];
    assert_eq!(others, [405, 404]);
}
