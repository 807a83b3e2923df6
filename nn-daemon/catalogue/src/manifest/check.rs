//! Values that cannot be meant.

use std::time::Duration;

use nn_tensor::{Fault, Reason};

use super::instances::INSTANCES_MAX;
use super::warm_up::WARM_UPS_MAX;
use super::{MANIFEST_BYTES_MAX, Manifest, Precision, refused};

/// Texts for people, in bytes.
const TEXT_MAX: usize = 8 * 1024;

/// One label, in bytes.
const LABEL_MAX: usize = 256;

/// Threads of one worker: what the profile of its jail allows.
const THREADS_MAX: u32 = 64;

/// Calls that wait for one model.
const QUEUE_MAX: u32 = 65_536;

/// The longest wait that makes sense.
const WAIT_MAX: Duration = Duration::from_hours(24);

impl Manifest {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        for (key, text) in [
            ("description", &self.description),
            ("licence", &self.licence),
            ("source", &self.source),
        ] {
            is_text(key, text, TEXT_MAX)?;
        }
        is_one_of("backend", &self.backend, &["", "onnxruntime", "openvino"])?;
        is_one_of("device", &self.device, &["", "cpu"]).map_err(|fault| {
            fault.hint("say cpu, or leave it out: no other device takes its place unasked")
        })?;
        self.check_precision()?;
        is_within("threads", self.threads, 1, THREADS_MAX)?;
        self.check_instances()?;
        is_within("queue_max", self.queue_max, 1, QUEUE_MAX)?;
        is_wait("compute_ms_max", self.compute_max)?;
        is_wait("load_ms_max", self.load_max)?;
        is_wait("keep_alive_ms", self.keep_alive)?;
        if self
            .tenants
            .as_ref()
            .is_some_and(|tenants| tenants.is_empty())
        {
            return Err(refused("model.toml: tenants names nobody")
                .hint("leave the key out to let everybody use the model"));
        }
        self.check_warm_up()?;
        self.check_placement()?;
        self.conversions().check()?;
        let mut bytes = 0_usize;
        for (output, labels) in &self.labels {
            for label in labels {
                is_text(&format!("outputs.{output}.labels"), label, LABEL_MAX)?;
                bytes = bytes.saturating_add(label.len());
            }
        }
        if bytes > MANIFEST_BYTES_MAX {
            return Err(Fault::too_large("the model has too many labels")
                .expected(format!("at most {MANIFEST_BYTES_MAX} bytes of them"))
                .got(format!("{bytes} bytes")));
        }
        Ok(())
    }

    /// ONNX Runtime computes what the model says, and has no word for anything else.
    fn check_precision(&self) -> Result<(), Fault> {
        if self.precision == Precision::Native && self.backend == "onnxruntime" {
            return Err(Fault::new(
                nn_tensor::Code::UnsupportedOperation,
                "model.toml: onnxruntime computes in the model's own precision only",
            )
            .expected("precision = \"f32\"")
            .got("precision = \"native\"")
            .hint("backend = \"openvino\", or a model with weights of f16"));
        }
        Ok(())
    }

    fn check_instances(&self) -> Result<(), Fault> {
        let Some(instances) = self.instances else {
            return Ok(());
        };
        let (min, max) = (instances.min, instances.max);
        is_within("instances", Some(min), 1, INSTANCES_MAX)?;
        is_within("instances", Some(max), 1, INSTANCES_MAX)?;
        if min > max {
            return Err(
                refused("model.toml: instances.min is more than instances.max")
                    .expected(format!("at most {max}"))
                    .got(min.to_string()),
            );
        }
        Ok(())
    }

    fn check_warm_up(&self) -> Result<(), Fault> {
        if self.warm_up.len() > WARM_UPS_MAX {
            return Err(refused("model.toml: warm_up has too many runs")
                .expected(format!("at most {WARM_UPS_MAX}"))
                .got(self.warm_up.len().to_string()));
        }
        let mut inputs = self.warm_up.iter().flat_map(|run| &run.inputs);
        match inputs.find(|(_, input)| !input.fill.is_finite()) {
            Some((name, input)) => Err(refused(format!(
                "model.toml: warm_up: fill of input {} is no number",
                name.chars().take(64).collect::<String>()
            ))
            .expected("a finite number")
            .got(input.fill.to_string())),
            None => Ok(()),
        }
    }
}

/// A file beside `model.toml`: no path, nothing hidden.
pub(super) fn beside(path: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !path.is_empty() && path.len() <= 128 && !path.starts_with('.') && path.chars().all(plain) {
        return Ok(());
    }
    Err(refused("model.toml names a file that cannot be beside it")
        .expected("a file name of letters, digits, '.', '_' and '-'")
        .got(path.chars().take(128).collect::<String>()))
}

fn is_text(key: &str, text: &str, max: usize) -> Result<(), Fault> {
    if text.len() > max {
        return Err(Fault::too_large(format!("model.toml: {key} is too long"))
            .expected(format!("at most {max} bytes"))
            .got(format!("{} bytes", text.len())));
    }
    match text.chars().find(|c| c.is_control() && *c != '\n') {
        Some(c) => Err(
            refused(format!("model.toml: {key} has a control character"))
                .expected("text")
                .got(format!("U+{:04X}", u32::from(c))),
        ),
        None => Ok(()),
    }
}

/// A name that is kept as it is: text of one line, or nothing.
pub(super) fn is_name(key: &str, text: &str, max: usize) -> Result<(), Fault> {
    is_text(key, text, max)?;
    if text.contains('\n') || text.trim() != text {
        return Err(refused(format!("model.toml: {key} is no name"))
            .expected("one line without blanks around it")
            .got(
                text.chars()
                    .take(64)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            ));
    }
    Ok(())
}

/// A number between two.
pub(super) fn is_between(key: &str, number: u64, (min, max): (u64, u64)) -> Result<(), Fault> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    Err(refused(format!("model.toml: {key} is out of range"))
        .expected(format!("{min} to {max}"))
        .got(number.to_string()))
}

fn is_one_of(key: &str, text: &str, known: &[&str]) -> Result<(), Fault> {
    if known.contains(&text) {
        return Ok(());
    }
    let known: Vec<&str> = known
        .iter()
        .copied()
        .filter(|one| !one.is_empty())
        .collect();
    let reason = match key {
        "device" => Reason::TargetUnsupported,
        _ => Reason::BackendUnknown,
    };
    Err(Fault::of(reason)
        .message(format!("model.toml: there is no such {key} here"))
        .expected(known.join(", "))
        .got(text.chars().take(64).collect::<String>()))
}

fn is_within(key: &str, number: Option<u32>, min: u32, max: u32) -> Result<(), Fault> {
    match number {
        Some(number) if !(min..=max).contains(&number) => {
            Err(refused(format!("model.toml: {key} is out of range"))
                .expected(format!("{min} to {max}"))
                .got(number.to_string()))
        }
        _ => Ok(()),
    }
}

fn is_wait(key: &str, wait: Option<Duration>) -> Result<(), Fault> {
    match wait {
        Some(wait) if wait.is_zero() || wait > WAIT_MAX => {
            Err(refused(format!("model.toml: {key} is out of range"))
                .expected(format!("1 to {}", WAIT_MAX.as_millis()))
                .got(wait.as_millis().to_string()))
        }
        _ => Ok(()),
    }
}
