//! A real browser of the test's own: Chromium without a window, driven over WebDriver's HTTP by chromedriver.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::proc::{descendants, is_running, kill, processes_with, wait_until};
use crate::reply::Begun;

/// A browser that starts on a busy machine.
const ANSWER: Duration = Duration::from_secs(60);

/// As root it has no sandbox of its own; the rest keeps it from asking anybody but the page's server.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// What chromedriver calls an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    dir: TempDir,
    driver: Child,
    address: SocketAddr,
    session: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "programs that a test drives another by"
)]
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Why there is no browser here.
fn missing() -> Option<String> {
    let lacks = |name: &&str| program(name).arg("--version").output().is_err();
    let name = ["chromium", "chromedriver"].into_iter().find(lacks)?;
    Some(format!(
        "{name} is not installed (Debian: apt-get install chromium chromium-driver)"
    ))
}

// === impl Browser ===

impl Browser {
    /// Opens one; `None` where there is none to be had, and the reason is printed.
    ///
    /// # Panics
    /// When one is there and does not start.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
    pub fn open() -> Option<Self> {
        if let Some(reason) = missing() {
            println!("skipped: {reason}");
            return None;
        }
        let dir = tempfile::Builder::new()
            .prefix("nn-browser-")
            .tempdir()
            .expect("a temporary directory");
        let log = dir.path().join("driver.log");
        let mut driver = program("chromedriver")
            .arg("--port=0")
            .arg(format!("--log-path={}", log.display()))
            // What they leave behind goes with the directory.
            .env("TMPDIR", dir.path())
            .env("HOME", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver starts");
        let port = port(&mut driver).expect("chromedriver says where it listens");
        let mut browser = Self {
            dir,
            driver,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            session: String::new(),
        };
        browser.begin();
        Some(browser)
    }

    fn begin(&mut self) {
        let profile = self.dir.path().join("profile");
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "timeouts": { "script": 30_000, "pageLoad": 30_000 },
        } } });
        let begun = self.send("POST", "/session", &wanted);
        let id = begun["sessionId"].as_str().expect("a session");
        id.clone_into(&mut self.session);
    }

    /// Opens an address.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What the body of a function gives, in the page.
    ///
    /// # Panics
    /// When it throws.
    #[must_use]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression of the page's is true.
    ///
    /// # Panics
    /// When it does not become so.
    pub fn wait(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        wait_until(expression, ANSWER, || self.run(&script) == json!(true));
    }

    /// Sends keys to an element, or the path of a file to an input of files, as a user's choice of it.
    ///
    /// # Panics
    /// When there is no such element.
    pub fn keys(&self, selector: &str, text: &str) {
        let path = format!("/element/{}/value", self.element(selector));
        self.post(&path, &json!({ "text": text }));
    }

    /// Clicks on an element.
    ///
    /// # Panics
    /// When there is no such element, or another one above it.
    pub fn click(&self, selector: &str) {
        self.post(
            &format!("/element/{}/click", self.element(selector)),
            &json!({}),
        );
    }

    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &wanted);
        let id = found[ELEMENT].as_str().expect("an element");
        id.to_owned()
    }

    /// Drags a file over the middle of an element and drops it there.
    ///
    /// # Panics
    /// When there is no such element.
    pub fn drop_file(&self, selector: &str, file: &Path) {
        let place = self.run(&format!(
            "const box = document.querySelector('{selector}').getBoundingClientRect();
             return [box.x + box.width / 2, box.y + box.height / 2]"
        ));
        let data = json!({ "items": [], "files": [file], "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "data": data });
            self.tell("Input.dispatchDragEvent", &event);
        }
    }

    /// Makes the page so many pixels wide and high, as a display of that size would.
    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Says what the user prefers: a feature of CSS media queries, and its value.
    pub fn prefer(&self, feature: &str, value: &str) {
        let media = json!({ "features": [{ "name": feature, "value": value }] });
        self.tell("Emulation.setEmulatedMedia", &media);
    }

    /// Saves the page as it looks, as a PNG.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn screenshot(&self, file: &Path) {
        let shot = self.send(
            "GET",
            &format!("/session/{}/screenshot", self.session),
            &json!({}),
        );
        let bytes = unbase64(shot.as_str().expect("a picture"));
        fs::write(file, bytes).expect("a file to write");
    }

    /// A command of the browser's own protocol.
    fn tell(&self, command: &str, parameters: &Value) {
        let wanted = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &wanted);
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let stream = TcpStream::connect(self.address).expect("chromedriver listens");
        let bounded = stream.set_read_timeout(Some(ANSWER));
        bounded.expect("a time above zero");
        let mut begun = Begun::over(stream);
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        begun.send((head + &body).as_bytes());
        let reply = begun.whole();
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.body);
        let mut reply: Value = serde_json::from_str(&reply.body).expect("JSON");
        reply["value"].take()
    }
}

/// The port that it has taken.
fn port(driver: &mut Child) -> Option<u16> {
    let mut lines = BufReader::new(driver.stdout.take()?).lines();
    let port = lines.find_map(|line| {
        let line = line.ok()?;
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // It may go on printing.
    driver.stdout = None;
    port
}

/// The bytes that base64 stands for. What is no letter of it stands for nothing.
fn unbase64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}

impl Drop for Browser {
    fn drop(&mut self) {
        let below = descendants(self.driver.id());
        for pid in below.into_iter().chain([self.driver.id()]) {
            kill(pid);
        }
        let _ = self.driver.wait();
        // What it starts as daemons of its own knows the directory.
        let ours = self.dir.path().to_str().unwrap_or("nothing");
        for pid in processes_with(ours) {
            kill(pid);
        }
        wait_until("the browser has ended", ANSWER, || {
            processes_with(ours).into_iter().all(|pid| !is_running(pid))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_undone() {
        assert_eq!(unbase64("aGVsbG8="), b"hello");
        assert_eq!(unbase64("/+8A"), [255, 239, 0]);
        assert_eq!(unbase64(""), b"");
    }
}
