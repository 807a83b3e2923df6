//! Says in a header what the page may do: its own style and script, known by their digests, and nothing else.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use sha2::{Digest as _, Sha256};

const PAGE: &str = "src/page.html";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PAGE}");
    let page = fs::read_to_string(PAGE)?;
    let style = digest(between(&page, "<style>", "</style>")?);
    let script = digest(between(&page, "<script>", "</script>")?);
    let policy = [
        "default-src 'none'".to_owned(),
        format!("style-src '{style}'"),
        format!("script-src '{script}'"),
        // The picture that was chosen, and the icon.
        "img-src blob: data:".to_owned(),
        "connect-src 'self'".to_owned(),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ];
    let out = PathBuf::from(env::var("OUT_DIR")?).join("policy.txt");
    Ok(fs::write(out, policy.join("; "))?)
}

/// What is inside the only such element.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> Result<&'a str, String> {
    let inside = page
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end));
    match inside {
        Some((inside, rest)) if !rest.contains(begin) => Ok(inside),
        _ => Err(format!("{PAGE} has no {begin}, or more than one")),
    }
}

/// As the header has it.
fn digest(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |piece: &[u8]| {
        let number = (0..3).fold(0, |number, at| {
            number << 8 | usize::from(piece.get(at).copied().unwrap_or(0))
        });
        let letter = |at: usize| match at <= piece.len() {
            true => char::from(LETTERS[number >> (18 - 6 * at) & 63]),
            false => '=',
        };
        [0, 1, 2, 3].map(letter)
    };
    bytes.chunks(3).flat_map(letters).collect()
}
