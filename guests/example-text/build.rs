//! Turns the model's tokenizer.json into what the guest has built in: its vocabulary, sorted, and its rules. A guest behind
//! HTTP sees no files.
//!
//! `cargo xtask setup` puts the file into target/nn/data/minilm; NN_TOKENIZER is another place.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sentences::{Sorted, read};

const VARIABLE: &str = "NN_TOKENIZER";

fn main() -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let fetched = own.join("../../target/nn/data/minilm/tokenizer.json");
    let path = env::var_os(VARIABLE).map_or(fetched, PathBuf::from);
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed={}", path.display());

    let json = fs::read_to_string(&path).map_err(|error| {
        let path = path.display();
        format!("{path} cannot be read: {error}; hint: `cargo xtask setup` fetches it, or say where it is by {VARIABLE}")
    })?;
    let tokenizer = read(&json)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    write(
        &out,
        "vocabulary.txt",
        &Sorted::text_of(&tokenizer.vocabulary),
    )?;
    // What Debug prints of numbers and truths is Rust.
    write(&out, "rules.rs", &format!("{:?}\n", tokenizer.rules))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(folder.join(name), text)?)
}
