//! Models as OpenVINO's own IR, made of their ONNX by the library that is in place already. What comes out is pinned like
//! what is fetched.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::record::Record;
use super::{Scratch, unpack};
use crate::manifest::Manifest;
use crate::output::{size, talk};
use crate::process;
use crate::workspace::Workspace;

const RECIPE: &str = "openvino_ir.py";

/// Where the library is, in target/nn.
const RUNTIME: &str = "runtimes/openvino";

/// Writing takes half a second; reading the library from a slow disk takes longer.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Makes the two files of a manifest's `[ir]`, if there is one and they are not in place, and counts them.
///
/// # Errors
/// When the library does not read the model, or something else comes out than is pinned.
pub(crate) fn set_up(
    workspace: &Workspace,
    manifest: &Manifest,
    record: &mut Record,
) -> Result<u32> {
    let (Some(ir), Some(model)) = (&manifest.ir, manifest.model()) else {
        return Ok(0);
    };
    let stem = ir_stem(&model.to);
    let files = [
        (format!("{stem}.xml"), "model.xml", &ir.xml),
        (format!("{stem}.bin"), "model.bin", &ir.weights),
    ];
    let mut all = true;
    for (to, _, file) in &files {
        all &= record.holds(to, &file.sha256, file.bytes)?;
    }
    if all {
        return Ok(0);
    }
    let scratch = Scratch::new(record.folder())?;
    let mut recipe = unpack::python(&workspace.models().join(RECIPE));
    recipe
        .arg(workspace.nn().join(RUNTIME))
        .arg(workspace.nn().join(&model.to))
        .arg(scratch.path().join("model.xml"));
    process::output_within(&mut recipe, TIME_MAX)?;
    for (to, made, file) in &files {
        let made = scratch.path().join(made);
        record
            .place(&made, to, &file.sha256, file.bytes)
            .with_context(|| {
                format!(
                    "models/{RECIPE} makes something else than the manifest says\n\
                     hint: another OpenVINO writes another IR: verify its answers and pin the new digests"
                )
            })?;
        talk(&format!("setup:   {to} ({})", size(file.bytes)));
    }
    Ok(2)
}

/// `models/NAME/1/model.onnx` → `ir/NAME/1/model`: a repository of its own, with the same names.
fn ir_stem(model: &str) -> String {
    let inside = model.strip_prefix("models/").unwrap_or(model);
    let stem = inside.strip_suffix(".onnx").unwrap_or(inside);
    format!("ir/{stem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ir_goes_beside_the_models_under_the_same_name() {
        assert_eq!(ir_stem("models/a/1/model.onnx"), "ir/a/1/model");
    }
}
