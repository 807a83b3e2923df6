//! Runs child processes, and says which command failed and how.
//!
//! The one place of this package where children are born.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// A command to fill in: the program, and nothing set yet.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "tasks run cargo, python3 and the built programs; this is the place"
    )]
    Command::new(program)
}

/// The cargo that runs this task, so that a toolchain chosen by `+name` is kept.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What the compiler builds for, unless it is told otherwise.
///
/// # Errors
/// When there is no compiler, or it does not say.
pub(crate) fn target() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let words = output(command(rustc).arg("-vV"))?;
    let target = words.lines().find_map(|line| line.strip_prefix("host: "));
    target
        .map(str::to_owned)
        .with_context(|| format!("rustc does not say what it builds for:\n{words}"))
}

/// Runs to the end with the terminal's streams.
///
/// # Errors
/// When the program cannot start or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    expect_success(command, status)
}

/// Runs in this process's place, so that signals reach it. Returns only if it cannot be started, and says why.
pub(crate) fn become_it(command: &mut Command) -> anyhow::Error {
    anyhow::Error::new(command.exec()).context(not_started(command))
}

/// Runs to the end and returns what was printed to stdout; stderr goes to the terminal.
///
/// # Errors
/// When the program cannot start, does not succeed, or prints what is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| not_started(command))?;
    expect_success(command, output.status)?;
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed bytes", shown(command)))
}

/// As [`output`], but kills the program when it takes too long.
///
/// # Errors
/// As [`output`], and when it takes too long.
pub(crate) fn output_within(command: &mut Command, time_max: Duration) -> Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| not_started(command))?;
    let mut pipe = child.stdout.take().context("the child has no stdout")?;
    // Read while waiting: a child whose pipe is full would never end.
    let reader = std::thread::Builder::new()
        .name("read-stdout".to_owned())
        .spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_bytes| text)
        })?;
    let deadline = Instant::now() + time_max;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{}` did not end within {} s",
                shown(command),
                time_max.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    expect_success(command, status)?;
    match reader.join() {
        Ok(text) => text.with_context(|| format!("`{}` printed bytes", shown(command))),
        Err(_panic) => bail!("the output of `{}` could not be read", shown(command)),
    }
}

/// Runs to the end in silence; what was printed is shown only if it fails.
///
/// # Errors
/// When the program cannot start or does not succeed.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command))?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    expect_success(command, output.status).map_err(|error| anyhow!("{error}\n{}", printed.trim()))
}

/// Whether a program is there to be run.
pub(crate) fn is_available(program: &str, argument: &str) -> bool {
    is_available_as(command(program).arg(argument))
}

/// Whether a command can be run; what it prints is not shown.
pub(crate) fn is_available_as(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn not_started(command: &Command) -> String {
    format!(
        "`{}` could not be started\nhint: is {} installed and on PATH?",
        shown(command),
        command.get_program().to_string_lossy()
    )
}

fn expect_success(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed: {status}", shown(command));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_command_is_named_with_its_status() {
        let error = run(&mut command("false")).unwrap_err().to_string();
        assert!(error.contains("`false` failed: exit status: 1"), "{error}");
    }

    #[test]
    fn missing_program_gets_a_hint() {
        let error = run(&mut command("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("on PATH"), "{error:#}");
    }

    #[test]
    fn quiet_command_shows_its_words_when_it_fails() {
        let mut talkative = command("sh");
        talkative.args(["-c", "echo because; exit 3"]);
        let error = run_quietly(&mut talkative).unwrap_err();
        assert!(format!("{error:#}").contains("because"), "{error:#}");
    }

    #[test]
    fn the_compiler_says_what_it_builds_for() {
        let target = target().unwrap();
        assert!(target.starts_with(std::env::consts::ARCH), "{target}");
    }

    #[test]
    fn hanging_command_is_killed() {
        let mut hanging = command("sleep");
        let error = output_within(hanging.arg("60"), Duration::from_millis(20)).unwrap_err();
        assert!(
            error.to_string().contains("did not end within"),
            "{error:#}"
        );
    }

    #[test]
    fn output_in_time_is_returned() {
        let mut quick = command("echo");
        assert_eq!(
            output_within(quick.arg("a"), Duration::from_secs(60)).unwrap(),
            "a\n"
        );
    }
}
