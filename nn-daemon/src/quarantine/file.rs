//! What is held, on disk, so that it outlives the daemon: STATE/quarantine.toml. A file that is damaged is put aside
//! and never a reason not to start.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nn_tensor::Tenant;
use serde::{Deserialize, Serialize};

use super::held::{Digest, Held, Kind, Whose};
use crate::guests::Owner;
use crate::registry::{StoreError, hex, replace};

/// More than it can be by this program's hand: some 300 bytes for each that is held, of operators and of guests.
const BYTES_MAX: u64 = 1024 * 1024;

const NAME: &str = "quarantine.toml";

/// As written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    held: Vec<WrittenHeld>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHeld {
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default)]
    guest: bool,
    /// Of the guest's peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(default)]
    at_load: bool,
    since_unix_s: u64,
    crashes: BTreeMap<String, u32>,
}

/// Why a file tells nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("it is not in the form that it was written in: {0}")]
    Form(#[from] Box<toml::de::Error>),
    #[error("it names {what} {got:?}; expected {expected}")]
    Value {
        what: &'static str,
        got: String,
        expected: &'static str,
    },
}

/// The file of a state directory.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// What was held when it was written last; nothing where there is no file.
pub(super) fn read(path: &Path) -> Result<Vec<Held>, Damage> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(Damage::TooLarge);
    }
    let written: Written = toml::from_str(&text).map_err(Box::new)?;
    let held = written.held.into_iter().map(WrittenHeld::held);
    held.filter_map(Result::transpose).collect()
}

/// Writes what is held now.
pub(super) fn write(path: &Path, held: &[Held]) -> Result<(), StoreError> {
    let held = held.iter().map(WrittenHeld::of).collect();
    let text = toml::to_string(&Written { held }).map_err(|error| {
        let source = io::Error::other(error);
        StoreError::writing(path, source)
    })?;
    replace(path, text.as_bytes())
}

/// Where a damaged file goes.
pub(super) fn aside(path: &Path) -> PathBuf {
    path.with_extension("toml.damaged")
}

/// Thirty-two bytes from their digits.
pub(super) fn digest(digits: &str) -> Option<Digest> {
    let mut sha256 = Digest::default();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in sha256.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(sha256)
}

// === impl WrittenHeld ===

impl WrittenHeld {
    fn of(held: &Held) -> Self {
        let crashes = held.crashes.iter();
        Self {
            sha256: hex(&held.sha256),
            tenant: held.whose.tenant().map(|t| t.as_str().to_owned()),
            guest: held.whose.guest_uid().is_some(),
            uid: held.whose.guest_uid(),
            at_load: held.at_load,
            since_unix_s: held.since_unix_s,
            crashes: crashes.map(|(k, n)| (k.name().to_owned(), *n)).collect(),
        }
    }

    /// `None` for what is held against nobody who can be told from others: a guest's by a version that did not note whose.
    fn held(self) -> Result<Option<Held>, Damage> {
        let sha256 = digest(&self.sha256).ok_or(Damage::Value {
            what: "the digest",
            got: self.sha256,
            expected: "64 hexadecimal digits",
        })?;
        let tenant = self.tenant.map(|name| {
            name.parse::<Tenant>().map_err(|_| Damage::Value {
                what: "the tenant",
                got: name,
                expected: "a tenant's name",
            })
        });
        let kind = |(name, count): (String, u32)| match Kind::named(&name) {
            Some(kind) => Ok((kind, count)),
            None => Err(Damage::Value {
                what: "the end",
                got: name,
                expected: "one that `nnctl quarantine list` knows",
            }),
        };
        let whose = match (self.guest, self.uid, tenant.transpose()?) {
            (false, _, None) => Whose::All,
            (false, _, Some(tenant)) => Whose::Tenant(tenant),
            (true, Some(uid), Some(tenant)) => Whose::Guest(Owner { uid, tenant }),
            (true, ..) => return Ok(None),
        };
        Ok(Some(Held {
            sha256,
            whose,
            at_load: self.at_load,
            since_unix_s: self.since_unix_s,
            crashes: self
                .crashes
                .into_iter()
                .map(kind)
                .collect::<Result<_, _>>()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(byte: u8, whose: Whose) -> Held {
        Held {
            sha256: [byte; 32],
            at_load: whose == Whose::All,
            whose,
            since_unix_s: 1_790_000_000,
            crashes: Kind::ALL.into_iter().zip(1..).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let tenant: Tenant = "shop".parse().unwrap();
        let owner = Owner {
            uid: 7,
            tenant: tenant.clone(),
        };
        let all = [
            held(1, Whose::All),
            held(2, Whose::Tenant(tenant)),
            held(2, Whose::Guest(owner)),
        ];
        write(&path, &all).unwrap();
        assert_eq!(read(&path).unwrap(), all);
    }

    #[test]
    fn no_file_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&path(dir.path())).unwrap(), []);
    }

    #[test]
    fn a_guests_entry_that_does_not_say_whose_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let entry = |whose: &str| {
            let sha256 = hex(&[1; 32]);
            format!(
                "[[held]]\nsha256 = \"{sha256}\"\n{whose}since_unix_s = 1\n[held.crashes]\ncrash = 3\n"
            )
        };
        let whose = ["", "guest = true\n", "tenant = \"shop\"\nguest = true\n"];
        fs::write(&path, whose.map(entry).concat()).unwrap();
        let held: Vec<Whose> = read(&path).unwrap().into_iter().map(|h| h.whose).collect();
        assert_eq!(held, [Whose::All]);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        let good = "[[held]]\nsha256 = \"x\"\nsince_unix_s = 1\ncrashes = { }\n";
        let texts = ["[[held", "held = 3", good, "unknown = 1", "\u{0}"];
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read(&path).is_err()
        };
        assert_eq!(texts.map(read), [true; 5]);
        fs::write(&path, [0xff; 9]).unwrap();
        assert!(super::read(&path).is_err());
    }
}
