//! Several routes and tenants from one file: who answers what, and on whose behalf.

use nn_tests::{Daemon, HttpHost, guest_wasm, require_backends, serve_and_end, tiny_model};

/// A route to the tests' own guest, which tells which one it is.
fn route(keys: &str, mode: &str) -> String {
    let guest = guest_wasm("http-cases");
    format!("[[routes]]\ncomponent = {guest:?}\nenv = {{ MODE = {mode:?} }}\n{keys}\n")
}

fn world(host: &HttpHost, name: &str, path: &str) -> String {
    let mut begun = host.connect();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
    begun.send(head.as_bytes());
    let reply = begun.finish();
    format!("{} {}", reply.status, reply.body.trim())
}

#[test]
fn the_longest_path_of_the_named_host_answers() {
    let routes = [
        route("path = \"/\"", "all"),
        route("path = \"/shop\"", "shop"),
        route("path = \"/shop/new/\"", "new"),
        route("host = \"Search.example\"\npath = \"/\"", "search"),
    ];
    let host = HttpHost::builder().with_sections(&routes.concat());
    let host = host.start_routes();
    let answers = [
        world(&host, "a", "/world"),
        world(&host, "a", "/shop/world"),
        world(&host, "a", "/shop/new/world"),
        world(&host, "a", "/shopping/world"),
        world(&host, "search.EXAMPLE:80", "/shop/new/world"),
    ];
    let expected = ["all", "shop", "new", "all", "search"];
    assert_eq!(answers, expected.map(|mode| format!("200 env MODE={mode}")));
}

#[test]
fn where_no_route_leads_there_is_nothing() {
    let host = HttpHost::builder().with_sections(&route("path = \"/shop\"", "shop"));
    let host = host.start_routes();
    let reply = host.get("/elsewhere");
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(reply.body.contains("nothing is served here"), "{reply:?}");
    assert!(
        reply.body.contains(reply.header("x-request-id")),
        "{reply:?}"
    );
    assert_eq!(host.get("/shop/world").status, 200);
}

#[test]
fn each_tenant_has_a_session_of_its_own_and_the_log_says_whose_a_request_is() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let routes = [
        route("path = \"/a\"\ntenant = \"shop\"", "a"),
        route("path = \"/b\"\ntenant = \"search\"", "b"),
    ];
    let host = HttpHost::builder().with_socket(daemon.socket());
    let host = host.with_sections(&routes.concat()).start_routes();
    let replies = [host.get("/a/infer"), host.get("/b/infer")];
    assert_eq!(replies.map(|reply| reply.status), [200, 200]);
    let status = daemon.status();
    let mut tenants: Vec<_> = status["sessions"].as_array().unwrap().iter().collect();
    tenants.sort_by_key(|session| session["tenant"].to_string());
    let tenants = tenants.iter().map(|session| session["tenant"].as_str());
    assert_eq!(tenants.collect::<Vec<_>>(), [Some("search"), Some("shop")]);
    host.wait_log("tenant=search");
    assert!(
        host.log()
            .lines()
            .any(|line| line.contains("tenant=shop") && line.contains("/a/infer"))
    );
}

#[test]
fn a_request_id_reaches_the_daemons_log() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let host = HttpHost::builder().with_socket(daemon.socket());
    let host = host.start("http-cases");
    let mut begun = host.connect();
    begun.send(
        b"GET /infer HTTP/1.1\r\nhost: a\r\nx-request-id: mine-7\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(begun.finish().status, 200);
    nn_tests::wait_until("the daemon tells of it", super::SOON, || {
        let log = daemon.log();
        log.lines()
            .any(|line| line.contains("mine-7") && line.contains("slow@1"))
    });
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_its_line_and_ends_the_start() {
    let told = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        std::fs::write(&path, text).unwrap();
        let output = serve_and_end(&["--config", path.to_str().unwrap()]);
        assert_eq!(output.code, Some(2), "{output:?}");
        output.stderr
    };
    let key = told("listen = \"127.0.0.1:0\"\n[[routes]]\ncomponent = \"a\"\ntenent = \"b\"\n");
    assert!(
        key.contains("site.toml, line 4: unknown key routes.0.tenent"),
        "{key}"
    );
    assert!(key.contains("hint: did you mean routes.0.tenant?"), "{key}");
    let value =
        told("listen = \"127.0.0.1:0\"\ncomponent = \"a\"\n[tenants.a]\nrequests_max = \"3\"\n");
    assert!(
        value.contains("line 4: tenants.a.requests_max is \"3\"; expected 1 to 1024"),
        "{value}"
    );
    let text = told("listen = \n");
    assert!(text.contains("site.toml, line 1: "), "{text}");
}
