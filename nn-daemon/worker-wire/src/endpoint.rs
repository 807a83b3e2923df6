//! The address of a remote engine, as an operator writes it: `host:port`, and `[address]:port` where the address is one of
//! IPv6. Kept as it was written: an allow-list compares texts, so one place decides which texts there can be.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest name of a host, as DNS has it.
const HOST_BYTES_MAX: usize = 253;

/// The longest label of one.
const LABEL_BYTES_MAX: usize = 63;

/// A host and a port, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no endpoint: {why}; expected HOST:PORT, as engine.example:8001 or [::1]:8001")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let wrong = |why| EndpointError {
            text: text.chars().take(HOST_BYTES_MAX).collect(),
            why,
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse().ok().filter(|&port: &u16| port != 0);
        let port = number
            .filter(|_| digits && !port.starts_with('0'))
            .ok_or_else(|| wrong("its port is no number from 1 to 65535"))?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address
                .parse::<Ipv6Addr>()
                .map_err(|_| wrong("what is in brackets is no address of IPv6"))?
                .to_string(),
            None => name(host).map_err(wrong)?,
        };
        Ok(Self { host, port })
    }

    /// The name or the address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one and no name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// A name of DNS or an address of IPv4, in small letters.
fn name(host: &str) -> Result<String, &'static str> {
    if host.contains(':') {
        return Err("an address of IPv6 stands in brackets");
    }
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return Err("its host has no characters, or more than 253");
    }
    let label = |label: &str| {
        let edges = !label.starts_with('-') && !label.ends_with('-');
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && edges && label.bytes().all(letters)
    };
    if host.split('.').all(label) {
        Ok(host.to_ascii_lowercase())
    } else {
        Err("its host is no name of letters, digits, hyphens and dots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_kept_in_one_form() {
        for (text, wanted) in [
            ("Engine.Example:8001", "engine.example:8001"),
            ("10.0.0.7:1", "10.0.0.7:1"),
            ("[0:0::1]:65535", "[::1]:65535"),
            ("triton_1:8001", "triton_1:8001"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn other_texts_are_no_endpoints() {
        for text in [
            "",
            ":1",
            "a",
            "a:",
            "a:0",
            "a:01",
            "a:+1",
            "a:65536",
            "::1:80",
            "[::1]",
            "[1.2.3.4]:80",
            "a b:1",
            "http://a:1",
            "a/b:1",
            "a..b:1",
            "-a:1",
            "ä:1",
            "a\n:1",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
        let long = format!("{}:1", "a.".repeat(127));
        assert!(Endpoint::parse(&long).is_err());
    }
}
