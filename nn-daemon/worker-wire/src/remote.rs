//! The frames around models that remote engines compute: what a relay is told of one, what it says of its endpoints, and
//! how connections come to it.
//!
//! ```text
//! daemon → relay    Boot, with two descriptors: the socket of interrupts, and the relay's socket to the dialer
//!                   Model { format: REMOTE }, with one sealed part: a Remote, as `Remote::to_bytes` writes it
//! relay → daemon    Endpoints, besides what workers say
//! daemon → dialer   Allow, once and first; Relay, with the dialer's end of a relay's socket
//! dialer → daemon   Ready, once its jail is up
//! relay → dialer    Dial
//! dialer → relay    Dialed, with the connected socket
//! ```

use std::fmt;

use bincode::{Decode, Encode};

use crate::codec::{decode_within, encode_within};
use crate::{Endpoint, WireError};

/// The format of a model that a remote engine computes; the name of such a placement, and of the backend of relays.
pub const REMOTE: &str = "kserve";

/// The name of the profile of relays.
pub const RELAY_PROFILE: &str = "relay";

/// The most endpoints of one model.
pub const ENDPOINTS_MAX: usize = 8;

/// The most endpoints that a dialer may be allowed.
pub const ALLOWED_MAX: usize = 64;

/// The most headers of one model.
pub const HEADERS_MAX: usize = 4;

/// The longest names and values of all of them together, in bytes.
pub const HEADERS_BYTES_MAX: usize = 8 * 1024;

/// The most calls that one relay may have under way.
pub const IN_FLIGHT_MAX: u32 = 64;

/// The longest message to or from an engine, in bytes, that may be set.
pub const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// The longest time that connecting may be given, in milliseconds.
pub const CONNECT_MS_MAX: u32 = 60_000;

/// The most bytes of a [`Remote`] as it is written: a machine's whole list of certificate authorities fits in.
pub const REMOTE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a relay is told of the model that it is to have computed.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Remote {
    /// `host:port` of each, as [`Endpoint`] writes them. From 1 to [`ENDPOINTS_MAX`].
    pub endpoints: Vec<String>,
    /// How connections are protected; `None`: not at all.
    pub tls: Option<RemoteTls>,
    /// Sent along with every call: name, in small letters, and value. At most [`HEADERS_MAX`].
    pub headers: Vec<(String, String)>,
    /// The model's name there.
    pub model: String,
    /// Its version there; empty for the one that the engine chooses.
    pub version: String,
    /// The longest time for a connection to come about, TLS included, in milliseconds.
    pub connect_ms: u32,
    /// The longest that a call of the model may take at all, in milliseconds: whoever calls may wait for less.
    pub compute_ms: u32,
    /// The most calls under way. From 1 to [`IN_FLIGHT_MAX`].
    pub in_flight_max: u32,
    /// The longest message either way, in bytes.
    pub message_bytes_max: u64,
    /// When an endpoint is left alone.
    pub breaker: BreakerRule,
}

/// How connections to an engine are protected.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct RemoteTls {
    /// Certificates of the authorities that are trusted, as PEM.
    pub ca_pem: Vec<u8>,
    /// The client's certificate and its key, as PEM, where the engine wants them.
    pub client_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the engine's certificate must have; `None` for the endpoint's host.
    pub server_name: Option<String>,
}

/// When an endpoint is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BreakerRule {
    /// After so many failures in a row. At least 1.
    pub failures: u32,
    /// For so many milliseconds; then one call is let through, and decides.
    pub open_ms: u32,
}

/// What a relay says of one of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EndpointState {
    /// Which, of [`Remote::endpoints`].
    pub endpoint: u8,
    /// Whether calls go there.
    pub breaker: Breaker,
    /// How many are under way.
    pub in_flight: u32,
    /// How many have failed in a row.
    pub failures: u32,
    /// The last failure, as `nn_tensor::Reason`'s id; empty where there was none since the last success.
    pub reason: String,
}

/// Whether calls go to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Breaker {
    /// They do.
    Closed,
    /// They do not, for now.
    Open,
    /// One does, as a probe.
    HalfOpen,
    /// They never do: it has another model than the others, or none of that name.
    Unfit,
}

/// What the daemon tells the dialer, on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToDialer {
    /// First, and once: what may be dialed. Answered by [`FromDialer::Ready`] when the jail is up.
    Allow {
        /// Must be the dialer's own.
        build_id: String,
        /// `host:port` of each, as [`Endpoint`] writes them. At most [`ALLOWED_MAX`].
        endpoints: Vec<String>,
        /// The layers of its jail, by name.
        layers: Vec<String>,
    },
    /// A relay's socket comes along: `SOCK_SEQPACKET`, on which [`Dial`]s come. It is closed when the other end is.
    Relay {
        /// Names the relay in the log.
        relay: u32,
    },
}

/// What the dialer tells the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FromDialer {
    /// The jail is up; relays may come.
    Ready {
        /// The dialer's own.
        build_id: String,
    },
    /// This relay's socket is closed: by its other end, or because of what came on it.
    Closed {
        /// The relay.
        relay: u32,
        /// What it did that closed it, for the log; empty where it went by itself.
        why: String,
    },
    /// One more relay than there may be: its socket is closed.
    Full {
        /// The relay.
        relay: u32,
    },
}

/// What a relay asks of the dialer: a connection. Answered by [`Dialed`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Dial {
    /// Comes back in the answer.
    pub turn: u64,
    /// `host:port`, as [`Endpoint`] writes it.
    pub endpoint: String,
    /// Within so many milliseconds; at most [`CONNECT_MS_MAX`].
    pub timeout_ms: u32,
}

/// What came of it. With the connected socket as descriptor where it did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Dialed {
    /// As it was asked.
    pub turn: u64,
    /// Else why not.
    pub result: Result<(), DialFailure>,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DialFailure {
    /// The endpoint is not among those that are allowed.
    NotAllowed,
    /// Its host has no address.
    NoAddress,
    /// Nobody listens there, or the way there is closed.
    Refused,
    /// It took too long.
    Late,
    /// Too many are under way.
    Busy,
    /// The dialer's own machine could not.
    System,
}

// === impl Remote ===

impl Remote {
    /// As the one part of the model that the relay is given.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        encode_within::<REMOTE_BYTES_MAX>(self)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, and checks it; what is wrong with it is said.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let remote: Self =
            decode_within::<_, REMOTE_BYTES_MAX>(bytes).map_err(|error| error.to_string())?;
        remote.check()?;
        Ok(remote)
    }

    fn check(&self) -> Result<(), String> {
        let within = |what: &str, is: bool| is.then_some(()).ok_or_else(|| what.to_owned());
        let endpoints = self.endpoints.len();
        within(
            "from 1 to 8 endpoints",
            (1..=ENDPOINTS_MAX).contains(&endpoints),
        )?;
        for text in &self.endpoints {
            let endpoint = Endpoint::parse(text).map_err(|error| error.to_string())?;
            within(
                "an endpoint as it is written",
                endpoint.to_string() == *text,
            )?;
        }
        let headers = self.headers.iter();
        let bytes: usize = headers
            .map(|(name, value)| name.len().saturating_add(value.len()))
            .sum();
        let few = self.headers.len() <= HEADERS_MAX && bytes <= HEADERS_BYTES_MAX;
        within("at most 4 headers of 8 KiB", few)?;
        within("a model's name", !self.model.is_empty())?;
        let calls = (1..=IN_FLIGHT_MAX).contains(&self.in_flight_max);
        within("from 1 to 64 calls under way", calls)?;
        let message = (1..=MESSAGE_BYTES_MAX).contains(&self.message_bytes_max);
        within("messages of 1 byte to 1 GiB", message)?;
        let connect = (1..=CONNECT_MS_MAX).contains(&self.connect_ms);
        within("from 1 to 60000 ms for connecting", connect)?;
        within("1 ms or more for a call", self.compute_ms > 0)?;
        within("a breaker of 1 failure or more", self.breaker.failures > 0)
    }
}

/// Without what is secret.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Remote")
            .field("endpoints", &self.endpoints)
            .field("tls", &self.tls)
            .field("headers", &names)
            .field("model", &self.model)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Without what is secret.
impl fmt::Debug for RemoteTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTls")
            .field("client", &self.client_pem.is_some())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> Remote {
        Remote {
            endpoints: vec!["engine.example:8001".to_owned()],
            tls: Some(RemoteTls {
                ca_pem: vec![b'c'; 300 * 1024],
                client_pem: Some((b"certificate".to_vec(), b"hidden".to_vec())),
                server_name: None,
            }),
            headers: vec![("authorization".to_owned(), "hidden".to_owned())],
            model: "foo".to_owned(),
            version: String::new(),
            connect_ms: 1000,
            compute_ms: 60_000,
            in_flight_max: 8,
            message_bytes_max: 1 << 20,
            breaker: BreakerRule {
                failures: 3,
                open_ms: 1000,
            },
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = remote().to_bytes().unwrap();
        assert_eq!(Remote::from_bytes(&bytes).unwrap(), remote());
    }

    #[test]
    fn secrets_are_in_no_debug_text() {
        let text = format!("{:?}", remote());
        assert!(
            !text.contains("hidden") && text.contains("authorization"),
            "{text}"
        );
    }

    #[test]
    fn what_is_beyond_a_bound_is_said() {
        let wrong: [fn(&mut Remote); 8] = [
            |remote| remote.endpoints.clear(),
            |remote| remote.endpoints = vec!["a:1".to_owned(); 9],
            |remote| remote.endpoints = vec!["A:1".to_owned()],
            |remote| remote.headers = vec![("a".to_owned(), "b".repeat(9000))],
            |remote| remote.model.clear(),
            |remote| remote.in_flight_max = 65,
            |remote| remote.message_bytes_max = 0,
            |remote| remote.breaker.failures = 0,
        ];
        for change in wrong {
            let mut remote = remote();
            change(&mut remote);
            assert!(Remote::from_bytes(&remote.to_bytes().unwrap()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_remote_or_an_error() {
        for len in 0..200_u8 {
            let bytes: Vec<u8> = (0..len).map(|byte| byte.wrapping_mul(37)).collect();
            assert!(Remote::from_bytes(&bytes).is_err());
        }
    }
}
