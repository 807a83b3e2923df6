//! What to try, as text. Pure.
//!
//! ```text
//! script   = ["@thread"] step { "|" step }          tried in order, up to the first that is refused
//! step     = "call" NUMBER { argument }             a system call
//!          | "int80" NUMBER { argument }            by the entry of 32-bit programs
//!          | "child" NUMBER { argument }            one that may return twice; the child ends at once
//!          | "take"                                 the descriptor of the next packet on the control socket
//!          | "fds"                                  fails unless exactly 0, 1, 2, 3 are open
//!          | "writes" FIRST LAST                    write to each of these descriptors
//!          | "threads" COUNT
//!          | "eat" ("private" | "shared" | "stack" | "moved" | "tables") BYTES
//!          | "flood" BYTES                          lines to the log, with what terminals obey
//!          | "grow" BYTES                           one block that grows, as an honest program's may
//!          | "hang"                                 never ends, hears no signal
//! argument = NUMBER                                 decimal, or hexadecimal after 0x
//!          | "r"                                    what the step before gave
//!          | "s:" TEXT | "x:" HEX ["+" ZEROS] | "z:" LENGTH     the address of a C string, of bytes, of so many zero bytes
//!          | "l:" TEXT                              the address of a C string below 2 GiB
//!          | "[" { argument } "]"                   the address of an array of these words
//! ```

/// What one model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// Whether a thread other than the first is to do it.
    pub(crate) thread: bool,
    pub(crate) steps: Vec<Step>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Call(u64, Vec<Argument>),
    Int80(u64, Vec<Argument>),
    Child(u64, Vec<Argument>),
    Take,
    Fds,
    Writes(u64, u64),
    Threads(u64),
    Eat(Food, u64),
    Flood(u64),
    Grow(u64),
    Hang,
}

/// What memory is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Food {
    /// Private pages.
    Private,
    /// Shared pages without a file.
    Shared,
    /// A mapping that is called a stack.
    Stack,
    /// The first thread's stack, made larger.
    Moved,
    /// The kernel's tables of pages that hold nothing.
    Tables,
}

/// One word of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    Number(u64),
    Last,
    Bytes(Vec<u8>),
    Low(Vec<u8>),
    Words(Vec<Argument>),
}

/// A script that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no script: {0}")]
pub(crate) struct ScriptError(String);

const START: &[u8] = b"nn-probe:";

type Words<'a> = std::str::SplitAsciiWhitespace<'a>;

fn wrong<T>(what: &str) -> Result<T, ScriptError> {
    Err(ScriptError(what.to_owned()))
}

// === impl Script ===

impl Script {
    /// The script that is somewhere in these bytes.
    pub(crate) fn find(model: &[u8]) -> Result<Self, ScriptError> {
        let start = model.windows(START.len()).position(|at| at == START);
        let rest = start.and_then(|start| model.get(start + START.len()..));
        let text = rest.and_then(|rest| rest.split(|&byte| byte == b';').next());
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        Self::parse(text.ok_or_else(|| ScriptError("the model holds none".to_owned()))?)
    }

    fn parse(text: &str) -> Result<Self, ScriptError> {
        let text = text.trim();
        let (thread, steps) = match text.strip_prefix("@thread") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let steps: Result<_, _> = steps.split('|').map(step).collect();
        Ok(Self {
            thread,
            steps: steps?,
        })
    }
}

fn step(text: &str) -> Result<Step, ScriptError> {
    let mut words = text.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default();
    let step = match verb {
        "call" => Step::Call(number(words.next())?, arguments(&mut words)?),
        "int80" => Step::Int80(number(words.next())?, arguments(&mut words)?),
        "child" => Step::Child(number(words.next())?, arguments(&mut words)?),
        "take" => Step::Take,
        "fds" => Step::Fds,
        "writes" => Step::Writes(number(words.next())?, number(words.next())?),
        "threads" => Step::Threads(number(words.next())?),
        "eat" => Step::Eat(food(words.next())?, number(words.next())?),
        "flood" => Step::Flood(number(words.next())?),
        "grow" => Step::Grow(number(words.next())?),
        "hang" => Step::Hang,
        _ => return wrong(verb),
    };
    words.next().map_or(Ok(step), wrong)
}

fn food(word: Option<&str>) -> Result<Food, ScriptError> {
    match word {
        Some("private") => Ok(Food::Private),
        Some("shared") => Ok(Food::Shared),
        Some("stack") => Ok(Food::Stack),
        Some("moved") => Ok(Food::Moved),
        Some("tables") => Ok(Food::Tables),
        other => wrong(other.unwrap_or("eat what?")),
    }
}

/// Up to the end, or to the bracket that closes.
fn arguments(words: &mut Words<'_>) -> Result<Vec<Argument>, ScriptError> {
    let mut arguments = Vec::new();
    while let Some(word) = words.next() {
        arguments.push(match word {
            "]" => break,
            "[" => Argument::Words(self::arguments(words)?),
            "r" => Argument::Last,
            _ => argument(word)?,
        });
    }
    Ok(arguments)
}

fn argument(word: &str) -> Result<Argument, ScriptError> {
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    match word.split_once(':') {
        Some(("s", rest)) => Ok(Argument::Bytes(text(rest))),
        Some(("l", rest)) => Ok(Argument::Low(text(rest))),
        Some(("x", rest)) => {
            let (digits, more) = rest.split_once('+').unwrap_or((rest, "0"));
            Ok(Argument::Bytes([hex(digits)?, zeros(more)?].concat()))
        }
        Some(("z", rest)) => zeros(rest).map(Argument::Bytes),
        _ => number(Some(word)).map(Argument::Number),
    }
}

fn number(word: Option<&str>) -> Result<u64, ScriptError> {
    let word = word.unwrap_or("a number is missing");
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if word.starts_with('-') => word.parse::<i64>().ok().map(i64::cast_unsigned),
        None => word.parse().ok(),
    };
    parsed.ok_or_else(|| ScriptError(word.to_owned()))
}

fn zeros(text: &str) -> Result<Vec<u8>, ScriptError> {
    let length = usize::try_from(number(Some(text))?);
    let length = length.map_err(|_| ScriptError(text.to_owned()))?;
    Ok(vec![0; length])
}

fn hex(text: &str) -> Result<Vec<u8>, ScriptError> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    let bytes = bytes.filter(|_| rest.is_empty());
    bytes.ok_or_else(|| ScriptError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_and_read() {
        let model = b"\x08\x08nn-probe: @thread call 0x101 -100 s:/etc/passwd | call 3 r;\xff";
        let open = vec![
            Argument::Number(100_u64.wrapping_neg()),
            Argument::Bytes(b"/etc/passwd\0".to_vec()),
        ];
        let steps = vec![Step::Call(257, open), Step::Call(3, vec![Argument::Last])];
        let thread = true;
        assert_eq!(Script::find(model), Ok(Script { thread, steps }));
    }

    #[test]
    fn words_nest() {
        let Ok(script) = Script::parse("call 1 [ 2 [ x:00ff ] ] 3") else {
            panic!("a script")
        };
        let inner = Argument::Words(vec![Argument::Bytes(vec![0, 255])]);
        let outer = Argument::Words(vec![Argument::Number(2), inner]);
        let call = Step::Call(1, vec![outer, Argument::Number(3)]);
        assert_eq!(script.steps, [call]);
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for model in [
            "",
            "nn-probe:",
            "nn-probe: dance;",
            "nn-probe: call x;",
            "nn-probe: take 1;",
        ] {
            assert!(Script::find(model.as_bytes()).is_err(), "{model}");
        }
    }
}
