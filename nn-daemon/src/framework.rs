//! The frameworks that workers run models with: what each is called, which files it is made of, and which of them a
//! model is for. Pure.

use std::path::Path;

use nn_catalogue::Precision;
use nn_sandbox::Profile;
use nn_tensor::{Code, Fault, Reason};
use nn_worker_wire::{PREPARES, RELAY_PROFILE};

/// A framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    OnnxRuntime,
    OpenVino,
    /// None of ours: remote engines that speak KServe's protocol. Its workers are relays.
    KServe,
}

/// What a worker of a framework is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It loads models, and runs them.
    Serves,
    /// It makes of a model what loads faster.
    Prepares,
}

impl Role {
    pub(crate) const ALL: [Self; 2] = [Self::Serves, Self::Prepares];
}

/// Which of them workers can be made of, and why not of the others.
#[derive(Clone, Debug)]
pub(crate) struct Frameworks(pub(crate) Vec<(Framework, Result<(), Fault>)>);

// === impl Framework ===

impl Framework {
    /// Those that run models here. The one that runs what says nothing of its own comes first.
    pub(crate) const ALL: [Self; 2] = [Self::OnnxRuntime, Self::OpenVino];

    /// By which `model.toml` and the configuration name it, and its directory.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino",
            Self::KServe => "kserve",
        }
    }

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "ONNX Runtime",
            Self::OpenVino => "OpenVINO",
            Self::KServe => "KServe",
        }
    }

    /// The profile of its workers' jail.
    pub(crate) const fn profile_name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "worker-ort",
            Self::OpenVino => "worker-openvino",
            Self::KServe => RELAY_PROFILE,
        }
    }

    /// The same; every build has it.
    pub(crate) fn profile(self) -> Option<&'static Profile> {
        self.profile_of(Role::Serves)
    }

    /// The profile of those of its workers that are there for this; every build has it.
    pub(crate) fn profile_of(self, role: Role) -> Option<&'static Profile> {
        let name = self.profile_name();
        match role {
            Role::Serves => Profile::named(name),
            Role::Prepares => Profile::named(&format!("{name}-prepares")),
        }
    }

    /// What the spawner and its workers call it.
    pub(crate) fn backend(self, role: Role) -> String {
        match role {
            Role::Serves => self.name().to_owned(),
            Role::Prepares => format!("{}{PREPARES}", self.name()),
        }
    }

    /// What the name of the library that is opened begins with.
    const fn stem(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "libonnxruntime.so",
            Self::OpenVino => "libopenvino_c.so",
            Self::KServe => "",
        }
    }

    /// What the names of those begin with that it needs from beside that one.
    pub(crate) const fn beside(self) -> &'static [&'static str] {
        match self {
            Self::OnnxRuntime | Self::KServe => &[],
            Self::OpenVino => &[
                "libopenvino.so",
                "libopenvino_intel_cpu_plugin.so",
                "libopenvino_ir_frontend.so",
                "libopenvino_onnx_frontend.so",
                "libtbb.so",
            ],
        }
    }

    /// Whether this is the library that is opened.
    pub(crate) fn is_library(self, path: &Path) -> bool {
        !self.stem().is_empty() && is_named(path, self.stem())
    }

    /// Fails where it does not compute in this precision.
    pub(crate) fn offers(self, precision: Precision) -> Result<(), Fault> {
        match (self, precision) {
            (Self::OpenVino | Self::KServe, _) | (Self::OnnxRuntime, Precision::F32) => Ok(()),
            (Self::OnnxRuntime, Precision::Native) => Err(Fault::new(
                Code::UnsupportedOperation,
                "ONNX Runtime computes in the model's own precision only",
            )
            .expected(Precision::F32.name())
            .got(precision.name())
            .hint("backend = \"openvino\" in model.toml, or leave precision out")),
        }
    }

    /// Which one runs a model of this format whose operator says this.
    pub(crate) fn of(said: &str, format: &str) -> Result<Self, Fault> {
        let by_format = match format {
            "openvino-ir" => Self::OpenVino,
            _ => Self::OnnxRuntime,
        };
        let mut all = Self::ALL.into_iter();
        let named = all.find(|framework| framework.name() == said);
        match named {
            None if said.is_empty() => Ok(by_format),
            Some(named) if named == Self::OpenVino || by_format == named => Ok(named),
            Some(named) => Err(Fault::of(Reason::BackendFormat)
                .message(format!("{} does not read this format", named.title()))
                .expected("onnx")
                .got(format.to_owned())
                .hint("backend = \"openvino\" in model.toml")),
            None => Err(Fault::of(Reason::BackendUnknown)
                .expected(Self::ALL.map(Self::name).join(", "))
                .got(said.chars().take(64).collect::<String>())),
        }
    }
}

// === impl Frameworks ===

impl Frameworks {
    /// Fails where workers cannot be made of it.
    pub(crate) fn has(&self, framework: Framework) -> Result<(), Fault> {
        let mut all = self.0.iter();
        let found = all.find(|(one, _)| *one == framework);
        found.map_or_else(
            || Err(Fault::of(Reason::FrameworkMissing).message("an unknown framework")),
            |(_, is)| is.clone(),
        )
    }

    /// Fails where no worker can be made at all.
    pub(crate) fn any(&self) -> Result<(), Fault> {
        match self.has(Framework::KServe) {
            Ok(()) => Ok(()),
            Err(_) => self.first().map(drop),
        }
    }

    /// The first that there is here; else why the first is not.
    pub(crate) fn first(&self) -> Result<Framework, Fault> {
        let mut all = self.0.iter();
        let ours = |(framework, is): &(Framework, Result<(), Fault>)| {
            (is.is_ok() && *framework != Framework::KServe).then_some(*framework)
        };
        let found = all.find_map(ours);
        let why = || self.has(Framework::OnnxRuntime).err();
        found.ok_or_else(|| {
            why().unwrap_or_else(|| Fault::of(Reason::FrameworkMissing).message("no framework"))
        })
    }
}

/// Whether a file's name is this, or this and a version.
pub(crate) fn is_named(path: &Path, stem: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let rest = name.and_then(|name| name.strip_prefix(stem));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_says_nothing_is_for_its_formats_framework() {
        assert_eq!(Framework::of("", "onnx"), Ok(Framework::OnnxRuntime));
        assert_eq!(Framework::of("", "openvino-ir"), Ok(Framework::OpenVino));
        assert_eq!(Framework::of("openvino", "onnx"), Ok(Framework::OpenVino));
    }

    #[test]
    fn a_format_that_the_framework_does_not_read_is_refused() {
        let fault = Framework::of("onnxruntime", "openvino-ir").unwrap_err();
        assert_eq!(fault.code, Code::UnsupportedOperation);
        assert!(fault.hint.contains("openvino"), "{fault}");
    }

    #[test]
    fn only_openvino_computes_in_what_the_processor_is_fastest_with() {
        let native = Framework::ALL.map(|framework| framework.offers(Precision::Native).is_ok());
        assert_eq!(native, [false, true]);
        let f32 = Framework::ALL.map(|framework| framework.offers(Precision::F32).is_ok());
        assert_eq!(f32, [true, true]);
    }

    #[test]
    fn every_framework_has_a_profile_with_the_layers_of_the_first() {
        let of = |role: Role| Framework::ALL.map(|framework| framework.profile_of(role).unwrap());
        let [first, others @ ..] = &Role::ALL.map(of).concat()[..] else {
            panic!("four profiles");
        };
        let walls = |profile: &Profile| (profile.require, profile.prefer, profile.threads_max);
        assert!(others.iter().all(|other| walls(other) == walls(first)));
    }

    #[test]
    fn a_library_is_known_by_its_name_with_or_without_a_version() {
        let is = |name: &str| Framework::OpenVino.is_library(Path::new(name));
        assert!(is("/x/libopenvino_c.so.2641") && is("libopenvino_c.so"));
        assert!(!is("libopenvino.so.2641") && !is("libopenvino_c.sox"));
    }
}
