//! What the manual has operators write, read from its pages, so that a step that is walked here is the one that is printed
//! there.

use std::fs;
use std::path::Path;

use nn_tests::Machine;

const CONFIG: &str = "/etc/nn-daemon/nn-daemon.toml";

/// Where `systemctl edit` puts what is changed.
const DROP_INS: &str = "/etc/systemd/system/nn-daemon.service.d";

fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::read_to_string(docs.join(name)).unwrap()
}

/// The block of operations.md that begins with `first` and has `word`, the first below a heading.
pub(crate) fn block(heading: &str, first: &str, word: &str) -> String {
    let page = page("operations.md");
    let below = page.split_once(&format!("\n{heading}\n"));
    let (_, below) = below.unwrap_or_else(|| panic!("no {heading:?}"));
    let mut lines = below.lines().peekable();
    loop {
        let mut block = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
            block.extend([line.trim_start(), "\n"]);
        }
        if block.starts_with(&format!("{first}\n")) && block.contains(word) {
            return block;
        }
        let line = lines.next();
        let line = line.unwrap_or_else(|| panic!("no {first} with {word} below {heading}"));
        assert!(
            !line.starts_with('#'),
            "no {first} with {word} below {heading}"
        );
    }
}

/// The first block of TOML of another page below a heading.
pub(crate) fn toml(name: &str, heading: &str) -> String {
    let page = page(name);
    let (_, below) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let (_, block) = below.split_once("\n```toml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// What stands in a text in place of something that it must have.
pub(crate) fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in {text}");
    text.replace(from, to)
}

/// Writes a drop-in of the daemon's unit, which counts from the next start on.
pub(crate) fn drop_in(machine: &Machine, name: &str, text: &str) {
    machine.write(&format!("{DROP_INS}/{name}.conf"), text);
    machine.run("systemctl daemon-reload").success();
}

/// Writes the configuration: what is installed, and these sections.
pub(crate) fn configure(machine: &Machine, sections: &[&str]) {
    let installed = machine.root().join("usr/share/nn-daemon/nn-daemon.toml");
    let installed = fs::read_to_string(installed).unwrap();
    machine.write(CONFIG, format!("{installed}\n{}", sections.join("\n")));
}

/// Starts the daemon anew.
pub(crate) fn restart(machine: &Machine) {
    let restarted = machine.run("systemctl restart nn-daemon");
    assert_eq!(
        restarted.code,
        Some(0),
        "{}\n{}",
        restarted.stderr,
        machine.journal("nn-daemon")
    );
}
