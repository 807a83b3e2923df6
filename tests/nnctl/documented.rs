//! docs/json.md says what nnctl prints for scripts: every key that is printed stands there with its type, and every key
//! that stands there is printed by some command here.

use std::collections::{BTreeMap, BTreeSet};

use nn_tests::{Daemon, nnctl, require_backends, tiny_model, until};
use serde_json::Value;

use crate::{Files, PANIC, SOON, crash, crashing, documentation, objects, text};

/// What a value may be.
#[derive(Clone, Debug)]
struct Kind {
    of: Of,
    or_null: bool,
    or_missing: bool,
}

#[derive(Clone, Debug)]
enum Of {
    Text,
    Digest,
    Number,
    Bool,
    /// Numbers, or null among them.
    Open,
    List(Box<Of>),
    Object(String),
}

/// The page, and what has been heard of it.
struct Page {
    objects: BTreeMap<String, BTreeMap<String, Kind>>,
    /// What each command prints, and whether in lines.
    commands: BTreeMap<String, (String, bool)>,
    heard: BTreeSet<(String, String)>,
    wrong: Vec<String>,
}

impl Kind {
    fn parse(text: &str) -> Self {
        let (text, or_missing) = match text.strip_suffix(", or not there") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (text, or_null) = match text.strip_suffix(" or null") {
            Some(text) => (text, true),
            None => (text, false),
        };
        Self {
            of: Of::parse(text),
            or_null,
            or_missing,
        }
    }
}

impl Of {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("list of ") {
            return Self::List(Box::new(Self::parse(element)));
        }
        if let Some(name) = text.strip_prefix('[') {
            let (name, _) = name.split_once(']').unwrap();
            return Self::Object(name.to_owned());
        }
        match text {
            "text" => Self::Text,
            "digest" => Self::Digest,
            "number" => Self::Number,
            "bool" => Self::Bool,
            "sizes" | "values" => Self::Open,
            other => panic!("docs/json.md has a type {other:?}"),
        }
    }
}

impl Page {
    fn read() -> Self {
        let page = documentation("json.md");
        let mut sections = page.split("\n## ");
        let head = sections.next().unwrap();
        let mut commands = BTreeMap::new();
        for [names, prints] in rows(head) {
            let is_lines = prints.starts_with("lines of ");
            let (_, object) = prints.split_once('[').unwrap();
            let (object, _) = object.split_once(']').unwrap();
            for name in names.split(", ") {
                let name = name.trim_matches('`').to_owned();
                commands.insert(name, (object.to_owned(), is_lines));
            }
        }
        let objects = sections.map(|section| {
            let (name, body) = section.split_once('\n').unwrap();
            let keys = rows(body).map(|[key, kind]| {
                let key = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'));
                (key.unwrap().to_owned(), Kind::parse(kind))
            });
            (name.to_owned(), keys.collect())
        });
        Self {
            objects: objects.collect(),
            commands,
            heard: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    /// Runs a command, whose first word or words the page knows, and compares.
    fn hear(&mut self, daemon: &Daemon, args: &[&str]) {
        let named = [args.get(..2).unwrap_or(args).join(" "), args[0].to_owned()];
        let known = named.iter().find_map(|name| self.commands.get(name));
        let (object, is_lines) = known.unwrap().clone();
        let output = nnctl(daemon, &[&["--json"], args].concat());
        if is_lines {
            assert_eq!(output.code, Some(0), "{output:?}");
            let lines = objects(&output.stdout);
            lines.iter().for_each(|line| self.compare(&object, line));
            return;
        }
        let value: Value = serde_json::from_str(&output.stdout).unwrap();
        // A doctor that finds a problem says so by its exit code too.
        let is_well = output.code == Some(0) || args[0] == "doctor";
        assert!(is_well, "{args:?}: {value}");
        self.compare(&object, &value);
    }

    /// The same for a command that is to fail.
    fn hear_failure(&mut self, daemon: &Daemon, args: &[&str]) {
        let output = nnctl(daemon, &[&["--json"], args].concat());
        let value = serde_json::from_str(&output.stdout).unwrap();
        assert_ne!(output.code, Some(0), "{output:?}");
        self.compare("failure", &value);
    }

    /// Of the spawner and the daemon it is another object.
    fn hear_own(&mut self, daemon: &Daemon, profile: &str) {
        let value = daemon.json(&["sandbox", "explain", profile]);
        self.compare("own explanation", &value);
    }

    fn compare(&mut self, object: &str, value: &Value) {
        let Some(keys) = self.objects.get(object).cloned() else {
            self.wrong.push(format!("there is no {object}"));
            return;
        };
        let Some(fields) = value.as_object() else {
            self.wrong.push(format!("{object} is no object: {value}"));
            return;
        };
        for (key, field) in fields {
            self.heard.insert((object.to_owned(), key.clone()));
            match keys.get(key) {
                Some(kind) if field.is_null() && kind.or_null => {}
                Some(kind) => self.compare_to(&format!("{object}.{key}"), &kind.of, field),
                None => self.wrong.push(format!("{object}.{key} is printed")),
            }
        }
        let missing = keys.iter().filter(|(_, kind)| !kind.or_missing);
        let missing = missing.filter(|(key, _)| !fields.contains_key(*key));
        let missing = missing.map(|(key, _)| format!("{object}.{key} is not printed"));
        self.wrong.extend(missing);
    }

    fn compare_to(&mut self, place: &str, of: &Of, value: &Value) {
        let fits = match of {
            Of::Text => value.is_string(),
            Of::Digest => value.as_str().is_some_and(|text| {
                text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
            }),
            Of::Number => value.is_number(),
            Of::Bool => value.is_boolean(),
            Of::Open => value
                .as_array()
                .is_some_and(|values| values.iter().all(|one| one.is_number() || one.is_null())),
            Of::List(element) => {
                let elements = value.as_array();
                for one in elements.into_iter().flatten() {
                    self.compare_to(place, element, one);
                }
                elements.is_some()
            }
            Of::Object(name) => {
                self.compare(name, value);
                true
            }
        };
        if !fits {
            self.wrong.push(format!("{place} is no {of:?}: {value}"));
        }
    }

    /// Everything that was printed is documented, and everything that is documented was printed.
    fn end(mut self) {
        let documented = self
            .objects
            .iter()
            .flat_map(|(object, keys)| keys.keys().map(move |key| (object.clone(), key.clone())));
        let unheard = documented.filter(|key| !self.heard.contains(key));
        let unheard: Vec<String> = unheard
            .map(|(object, key)| format!("nothing printed {object}.{key}"))
            .collect();
        self.wrong.extend(unheard);
        self.wrong.sort();
        self.wrong.dedup();
        assert_eq!(self.wrong, Vec::<String>::new());
    }
}

/// The first two cells of each row of the tables in a text, headings left out.
fn rows(text: &str) -> impl Iterator<Item = [&str; 2]> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        [
            cells.next().unwrap(),
            cells.next().unwrap().trim_end_matches(" |"),
        ]
    })
}

/// What is said of `sum`.
const SAID: &str = "\
description = \"Adds\"
licence = \"CC0-1.0\"
source = \"a test\"
queue_max = 1

[outputs.c]
labels = [\"sum\"]

[kserve]
endpoints = [\"127.0.0.1:9\"]
";

fn names_and_models(page: &mut Page, daemon: &Daemon, files: &Files) {
    let (sum, said) = (files.sum(), files.write("model.toml", SAID));
    page.hear(daemon, &["load", "sum", &sum, "--manifest", &said]);
    page.hear(daemon, &["load", "sum", &sum]);
    page.hear(daemon, &["alias", "sum@1", "old"]);
    page.hear(daemon, &["promote", "sum@1"]);
    page.hear(daemon, &["rollback", "sum"]);
    page.hear(daemon, &["promote", "sum@1"]);
    page.hear(daemon, &["pin", "sum"]);
    page.hear(daemon, &["unpin", "sum"]);
    page.hear(daemon, &["place", "sum", "local"]);
    page.hear(daemon, &["list"]);
}

fn computes(page: &mut Page, daemon: &Daemon, files: &Files) {
    let of = |name: &str, elements| {
        let file = files.ones(&format!("{name}{elements}.npy"), elements);
        format!("{name}={file}")
    };
    let (a, b, longer) = (of("a", 2), of("b", 2), of("b", 3));
    let out = files.write("out-of-the-way", "");
    page.hear(daemon, &["infer", "sum", "--input", &a, "--input", &b]);
    page.hear(daemon, &["describe", "sum"]);
    page.hear_failure(daemon, &["infer", "sum", "--input", &a]);
    // The framework refuses it at run time.
    page.hear_failure(daemon, &["infer", "sum", "--input", &a, "--input", &longer]);
    page.hear_failure(daemon, &["describe", "nosuch"]);
    page.hear_failure(daemon, &["infer", "sum", "--output", &out]);
    let slow = text(&tiny_model("slow-f32"));
    let said = files.write("slow.toml", "queue_max = 1\n");
    page.hear(daemon, &["load", "slow", &slow, "--manifest", &said]);
    let iterations = files.npy("iterations", "<i8", (0, &2000_i64.to_le_bytes()));
    let iterations = format!("iterations={iterations}");
    let bench = ["bench", "slow", "--input", &iterations];
    let made_up = ["--shape", "value=1", "--seconds", "1", "--concurrency"];
    page.hear(daemon, &[&bench[..], &made_up, &["16"]].concat());
}

fn the_daemon_itself(page: &mut Page, daemon: &Daemon) {
    page.hear(daemon, &["status"]);
    page.hear(daemon, &["status", "--tenant", "default"]);
    page.hear(daemon, &["sandbox", "explain"]);
    page.hear_own(daemon, "broker");
    page.hear_own(daemon, "spawner");
    page.hear_own(daemon, "dialer");
    page.hear(daemon, &["explain", "input-missing"]);
    page.hear(daemon, &["doctor"]);
    page.hear(daemon, &["events"]);
    page.hear(daemon, &["unload", "sum"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_for_scripts_is_what_is_documented() {
    require_backends!();
    let (mut page, files) = (Page::read(), Files::new());
    // Nobody listens there, and nobody is asked.
    let remote = "\n[remote]\nendpoints = [\"127.0.0.1:9\"]\n";
    let daemon = Daemon::builder().with_sections(remote).start();
    let client = daemon.client();
    client.connect().await.unwrap();
    tokio::task::block_in_place(|| {
        names_and_models(&mut page, &daemon, &files);
        computes(&mut page, &daemon, &files);
        the_daemon_itself(&mut page, &daemon);
    });

    let daemon = crashing();
    let graph = daemon.client().resolve("crash").await.unwrap();
    for _ in 0..3 {
        crash(&graph, PANIC).await;
    }
    let is_refused = || daemon.models()[0]["quarantined"] == true;
    until("it is refused", SOON, is_refused).await;
    tokio::task::block_in_place(|| {
        page.hear(&daemon, &["list"]);
        page.hear(&daemon, &["quarantine", "list"]);
        page.hear(&daemon, &["logs", "crash"]);
        page.hear(&daemon, &["quarantine", "lift", "crash"]);
        page.hear(&daemon, &["drain"]);
    });
    page.end();
}
