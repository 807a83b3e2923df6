//! The ways that are compared, and how the process of each is started.

use std::path::Path;

use anyhow::Result;

use crate::child::Way;
use crate::models::Payload;
use crate::path::Options;
use crate::procs::Placement;
use crate::shim;

/// The ways, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Floor,
    Bound,
    Copy,
    InprocWit,
    InprocWitx,
    OursWit,
    OursWitx,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Floor,
        Self::Bound,
        Self::Copy,
        Self::InprocWit,
        Self::InprocWitx,
        Self::OursWit,
        Self::OursWitx,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Bound => "plain, bound",
            Self::Copy => "plain, copied",
            Self::InprocWit => "in process, WIT",
            Self::InprocWitx => "in process, witx",
            Self::OursWit => "isolated, WIT",
            Self::OursWitx => "isolated, witx",
        }
    }

    /// The way in process that this one replaces.
    pub(crate) fn peer(self) -> Option<Self> {
        match self {
            Self::OursWit => Some(Self::InprocWit),
            Self::OursWitx => Some(Self::InprocWitx),
            Self::Floor | Self::Bound | Self::Copy | Self::InprocWit | Self::InprocWitx => None,
        }
    }

    pub(crate) fn is_isolated(self) -> bool {
        self.peer().is_some()
    }

    /// Whether it answers at all, and how quickly it loads: the floor does neither.
    pub(crate) fn has_model(self) -> bool {
        self != Self::Floor
    }

    /// Whether it gets models by name from a host.
    pub(crate) fn has_names(self) -> bool {
        !matches!(self, Self::Floor | Self::Bound | Self::Copy)
    }

    fn guest(self) -> &'static str {
        match self {
            Self::InprocWitx | Self::OursWitx => "bench-witx.wasm",
            Self::Floor | Self::Bound | Self::Copy | Self::InprocWit | Self::OursWit => {
                "bench-wit.wasm"
            }
        }
    }

    /// Starts its process. `payload`: the model that it will be asked for.
    pub(crate) fn start(
        self,
        options: &Options,
        placement: Placement,
        repository: &Path,
        socket: &Path,
        payload: Payload,
    ) -> Result<Way> {
        let own = std::env::current_exe()?;
        let dir = format!("{}::/models", repository.display());
        let guest = options.setting.guests.join(self.guest());
        let mut command = match self {
            Self::Floor => {
                let mut command = placement.command(own);
                command.arg("floor");
                command
            }
            Self::Bound | Self::Copy => {
                let mut command = placement.command(own);
                command
                    .arg("plain")
                    .arg("--runtime")
                    .arg(&options.setting.runtime);
                command.arg("--models").arg(repository);
                command.args((self == Self::Copy).then_some("--copy"));
                command
            }
            Self::InprocWit | Self::InprocWitx => {
                let mut command = placement.command(&options.inproc);
                command
                    .arg("run")
                    .arg("--runtime")
                    .arg(&options.setting.runtime);
                let file = repository.join(payload.model).join("1/model.onnx");
                let pair = format!("{}={}", payload.model, file.display());
                command.arg("--model").arg(pair);
                command.arg("--dir").arg(dir).arg(guest);
                command
            }
            Self::OursWit | Self::OursWitx => shim::command(placement, socket, Some(&dir), &guest)?,
        };
        Way::start(self.name(), &mut command)
    }
}
