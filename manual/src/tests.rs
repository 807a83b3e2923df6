//! Pages and completions of a small program, as they come to lie in a folder.

use clap::Arg;

use super::*;

const MANUAL: Manual = Manual {
    section: Section::Administrators,
    chapters: &[
        Chapter {
            title: "FILES",
            items: &[Item::Entry("/etc/thing.toml", "What it runs with.")],
        },
        Chapter {
            title: "SEE ALSO",
            items: &[Item::Text("other(1)")],
        },
    ],
};

fn thing() -> Command {
    Command::new("thing")
        .version("1.2")
        .about("Does a thing.")
        .arg(
            Arg::new("loud")
                .long("loud")
                .global(true)
                .action(clap::ArgAction::SetTrue)
                .help("Says more."),
        )
        .subcommand(
            Command::new("make")
                .about("Makes one.")
                .subcommand(Command::new("twice").about("Makes two.")),
        )
        .subcommand(Command::new("secret").hide(true))
}

fn written() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let files = write(&thing(), &MANUAL, folder.path()).unwrap();
    let names = files.iter().map(|path| {
        let below = path.strip_prefix(folder.path()).unwrap();
        below.display().to_string()
    });
    let names = names.collect();
    (folder, names)
}

fn arguments(words: &[&str]) -> Option<PathBuf> {
    wanted(words.iter().map(OsString::from))
}

#[test]
fn every_command_that_help_shows_gets_a_page_and_every_shell_a_script() {
    let (_folder, names) = written();
    assert_eq!(
        names,
        [
            "man/man8/thing.8",
            "man/man8/thing-make.8",
            "man/man8/thing-make-twice.8",
            "bash/thing",
            "zsh/_thing",
            "fish/thing.fish",
        ]
    );
}

#[test]
fn the_programs_page_has_its_chapters_and_a_commands_page_points_to_it() {
    let (folder, _) = written();
    let read = |name: &str| fs::read_to_string(folder.path().join("man/man8").join(name)).unwrap();
    let (program, command) = (read("thing.8"), read("thing-make.8"));
    assert!(
        program.starts_with(".TH \"THING\" \"8\" \"\" \"thing 1.2\" \"WebAssembly inference\"\n"),
        "{program}"
    );
    assert!(
        program.contains(".SH FILES\n.TP\n\\fB/etc/thing.toml\\fR\nWhat it runs with.\n"),
        "{program}"
    );
    assert!(
        command.ends_with(".SH \"SEE ALSO\"\n\\fBthing\\fR(8)\n"),
        "{command}"
    );
}

#[test]
fn a_commands_page_has_the_flags_that_stand_anywhere() {
    let (folder, _) = written();
    let page = fs::read_to_string(folder.path().join("man/man8/thing-make.8")).unwrap();
    assert!(page.contains("\\-\\-loud"), "{page}");
}

#[test]
fn the_same_program_writes_the_same_bytes() {
    let ((one, names), (two, _)) = (written(), written());
    let read = |folder: &tempfile::TempDir| -> Vec<Vec<u8>> {
        let paths = names.iter().map(|name| folder.path().join(name));
        paths.map(|path| fs::read(path).unwrap()).collect()
    };
    assert_eq!(read(&one), read(&two));
}

#[test]
fn scripts_know_the_commands_and_not_the_hidden_ones() {
    let scripts = Shell::ALL.map(|shell| completion(&thing(), shell));
    assert!(scripts.iter().all(|script| script.contains("twice")));
    assert!(!scripts.iter().any(|script| script.contains("write-manual")));
}

#[test]
fn only_the_flag_alone_with_a_folder_asks_for_the_manual() {
    assert_eq!(
        arguments(&["nnctl", "--write-manual", "d"]),
        Some("d".into())
    );
    let others: [&[&str]; 5] = [
        &["nnctl"],
        &["nnctl", "--write-manual"],
        &["nnctl", "--write-manual", ""],
        &["nnctl", "--write-manual", "d", "list"],
        &["nnctl", "list", "--write-manual", "d"],
    ];
    assert_eq!(others.map(arguments), [const { None }; 5]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let error = write(&thing(), &MANUAL, Path::new("/dev/null/x")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot make the folder /dev/null/x/man/man8"
    );
}
