//! The certificate authorities that this machine trusts, read while the daemon may still read everything: for engines whose
//! `model.toml` names none.

use std::fs::File;
use std::io::Read;

/// Where systems keep them, as one file of PEM.
const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The largest of such files that is read.
const BYTES_MAX: u64 = 1024 * 1024;

/// As PEM; nothing where there are none.
#[derive(Clone, Default)]
pub(crate) struct Authorities(pub(super) Vec<u8>);

impl Authorities {
    /// Those of this machine.
    pub(crate) fn of_machine() -> Self {
        let read = |place: &&str| {
            let mut bytes = Vec::new();
            let file = File::open(place).ok()?;
            file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
            (!bytes.is_empty()).then_some(bytes)
        };
        Self(PLACES.iter().find_map(read).unwrap_or_default())
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authorities({} bytes)", self.0.len())
    }
}
