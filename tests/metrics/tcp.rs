//! `GET /metrics`: only where the operator wants it, and whoever asks for it costs nobody who computes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nn_tests::{Daemon, is_running, require_backends, slow, tiny_model, wait_until};

use super::SOON;
use super::parse::Said;

/// More than are served at a time, and more than wait for the kernel.
const HANGING: usize = 200;

/// At least, while others ask at least so often.
const COMPUTES: usize = 100;
const ASKED: usize = 20;

/// A daemon that says where it listens, by its log.
fn daemon() -> (Daemon, String) {
    let daemon = Daemon::builder()
        .with_sections("[metrics]\nlisten = \"127.0.0.1:0\"\n")
        .start();
    let log = daemon.log();
    let line = log
        .lines()
        .find(|line| line.contains("metrics are served"))
        .unwrap();
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap().to_owned();
    (daemon, address)
}

/// Sends what is given; gives what comes until the end.
fn asked(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn get(address: &str, path: &str) -> std::io::Result<String> {
    asked(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )
}

/// Sockets that the daemon listens on by TCP: those of its descriptors that the kernel lists.
fn ports(daemon: &Daemon) -> usize {
    let pid = daemon.pid();
    let listed: String = ["tcp", "tcp6"]
        .map(|table| {
            std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default()
        })
        .concat();
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let sockets = links.filter_map(|link| {
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    });
    let is_tcp = |inode: &String| {
        let mut fields = listed
            .lines()
            .filter_map(|line| line.split_whitespace().nth(9));
        fields.any(|field| field == inode)
    };
    sockets.filter(is_tcp).count()
}

#[test]
fn without_a_word_of_the_operator_there_is_no_port() {
    let daemon = Daemon::start();
    assert_eq!(ports(&daemon), 0);
    let (daemon, _) = self::daemon();
    assert_eq!(ports(&daemon), 1);
}

#[test]
fn a_scrape_is_answered_with_the_text_and_the_connection_ends() {
    let (_daemon, address) = daemon();
    let answer = get(&address, "/metrics").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(Said::parse(body).value("nn_draining", &[]), Some(0.0));
}

#[test]
fn anything_else_is_refused_by_what_it_is() {
    let (daemon, address) = daemon();
    let status = |request: &str| {
        let answer = asked(&address, request).unwrap_or_default();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    let long = format!(
        "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    assert_eq!(status(&head("GET /")), "404");
    assert_eq!(status(&head("POST /metrics")), "405");
    assert_eq!(status("nonsense\r\n\r\n"), "400");
    // Told, or cut off: what is sent beyond the bound is not read.
    assert!(["431", ""].contains(&&*status(&long)));
    assert!(get(&address, "/metrics").unwrap().contains("nn_draining 0"));
    assert!(is_running(daemon.pid()));
}

#[test]
fn an_address_that_is_not_this_machines_is_told() {
    let (status, log) = Daemon::builder()
        .with_sections("[metrics]\nlisten = \"192.0.2.1:9464\"\n")
        .start_and_end();
    assert_eq!(status, Some(1));
    assert!(log.contains("cannot listen on 192.0.2.1:9464"), "{log}");
}

#[test]
fn who_listens_for_more_than_this_machine_is_warned() {
    let daemon = Daemon::builder()
        .with_sections("[metrics]\nlisten = \"0.0.0.0:0\"\n")
        .start();
    let log = daemon.log();
    let warned =
        |line: &str| line.contains("WARN") && line.contains("whoever reaches this address");
    assert!(log.lines().any(warned), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scrapers_that_hang_and_that_flood_change_nothing_for_who_computes() {
    require_backends!();
    let (daemon, address) = daemon();
    daemon.load("slow", &tiny_model("slow-f32"));
    let client = daemon.client();
    slow(&client, 1, None).await.unwrap();
    let hanging: Vec<TcpStream> = (0..HANGING)
        .filter_map(|_| {
            let address = address.parse().unwrap();
            let mut stream =
                TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\n").ok()?;
            Some(stream)
        })
        .collect();
    assert!(hanging.len() >= 100, "{} hang", hanging.len());
    let (ended, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let (ended, asked, address) = (Arc::clone(&ended), Arc::clone(&asked), address.clone());
            std::thread::Builder::new()
                .spawn(move || {
                    let address = address.parse().unwrap();
                    while !ended.load(Ordering::Relaxed) {
                        let timeout = Duration::from_millis(20);
                        if let Ok(mut stream) = TcpStream::connect_timeout(&address, timeout) {
                            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
                .unwrap()
        })
        .collect();
    let (mut computes, mut answered) = (0, 0);
    let begun = Instant::now();
    while computes < COMPUTES || asked.load(Ordering::Relaxed) < ASKED {
        assert!(
            begun.elapsed() < SOON,
            "{computes} computes, {asked:?} asked"
        );
        computes += 1;
        answered += usize::from(slow(&client, 1, None).await.is_ok());
    }
    ended.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    assert_eq!(answered, computes);
    drop(hanging);
    // An honest one has its turn again.
    tokio::task::block_in_place(|| {
        wait_until("a scrape is answered", SOON, || {
            let answer = get(&address, "/metrics").unwrap_or_default();
            answer.contains("nn_computes_total{code=\"ok\"}")
        });
    });
}
