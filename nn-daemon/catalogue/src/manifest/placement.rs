//! Who computes a model: a worker of the daemon, or a remote engine that speaks KServe's protocol; and what is said of such
//! engines in `[kserve]`. Files with secrets are named, never written here: they lie in the daemon's `[remote] secrets`.

use nn_tensor::{Fault, Reason};
use nn_worker_wire::{CONNECT_MS_MAX, ENDPOINTS_MAX, Endpoint, IN_FLIGHT_MAX, MESSAGE_BYTES_MAX};
use serde::{Deserialize, Serialize};

use super::{Manifest, check, refused};

/// The longest that connecting may take unless `model.toml` says so, in milliseconds.
const CONNECT_MS: u32 = 1000;

/// Calls under way at a time, unless it says so.
const IN_FLIGHT: u32 = 16;

/// The longest message, unless it says so.
const MESSAGE_BYTES: u64 = 64 * 1024 * 1024;

/// Failures in a row until an endpoint is left alone, unless it says so.
const FAILURES: u32 = 3;

/// For how long, unless it says so, in milliseconds.
const OPEN_MS: u32 = 5000;

/// The most failures that a breaker may wait for, and the longest that it may stay open, in milliseconds.
const FAILURES_MAX: u32 = 1000;
const OPEN_MS_MAX: u32 = 3_600_000;

/// Names of models and versions elsewhere, and of headers, in bytes.
const NAME_MAX: usize = 256;

/// Who computes a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placement {
    /// A worker of the daemon.
    #[default]
    Local,
    /// The endpoints that its `model.toml` names.
    KServe,
}

/// What `[kserve]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KServe {
    /// `host:port` of each, in one form. From 1 to 8.
    pub endpoints: Vec<String>,
    /// The model's name there; empty for the name that it has here.
    pub model: String,
    /// Its version there; empty for the one that the engine chooses.
    pub version: String,
    /// The longest that connecting may take, in milliseconds.
    pub connect_ms: u32,
    /// Calls under way at a time.
    pub in_flight_max: u32,
    /// The longest message either way.
    pub message_bytes_max: u64,
    /// How connections are protected; `None`: not at all.
    pub tls: Option<KServeTls>,
    /// A header that goes along with each call.
    pub auth: Option<KServeAuth>,
    /// Failures in a row until an endpoint is left alone.
    pub failures: u32,
    /// For how long, in milliseconds.
    pub open_ms: u32,
    /// Whether a worker here computes what no endpoint could be asked.
    pub falls_back: bool,
}

/// What `[kserve.tls]` says. Its files lie in the daemon's directory of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KServeTls {
    /// Certificates of the authorities that are trusted; empty for the machine's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// The client's certificate; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// The key to it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The name in the engine's certificate; empty for the endpoint's host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What `[kserve.auth]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KServeAuth {
    /// The header's name, in small letters.
    pub header: String,
    /// The file with its value, in the daemon's directory of secrets.
    pub file: String,
    /// Whether it goes along on connections that are not protected, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// `[kserve]` as it is written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    endpoints: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    model: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_bytes_max: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    fallback: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<KServeTls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<KServeAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<WrittenBreaker>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenBreaker {
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_ms: Option<u32>,
}

// === impl Placement ===

impl Placement {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::KServe];

    /// As `model.toml` and people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::KServe => "kserve",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|placement| placement.name() == text);
        found.ok_or_else(|| {
            refused("there is no such placement")
                .expected(Self::ALL.map(Self::name).join(", "))
                .got(text.chars().take(64).collect::<String>())
        })
    }
}

// === impl Written ===

impl Written {
    pub(super) fn into_kserve(self) -> Result<KServe, Fault> {
        let breaker = self.breaker.unwrap_or_default();
        let endpoints = self.endpoints.iter().map(|text| {
            let endpoint = Endpoint::parse(text);
            let endpoint = endpoint
                .map_err(|error| refused(format!("model.toml: kserve.endpoints: {error}")))?;
            Ok(endpoint.to_string())
        });
        Ok(KServe {
            endpoints: endpoints.collect::<Result<_, Fault>>()?,
            falls_back: match &*self.fallback {
                "" => false,
                "local" => true,
                other => {
                    return Err(refused("model.toml: there is no such kserve.fallback")
                        .expected("local, or leave it out")
                        .got(other.chars().take(64).collect::<String>()));
                }
            },
            model: self.model,
            version: self.version,
            connect_ms: self.connect_ms.unwrap_or(CONNECT_MS),
            in_flight_max: self.in_flight_max.unwrap_or(IN_FLIGHT),
            message_bytes_max: self.message_bytes_max.unwrap_or(MESSAGE_BYTES),
            tls: self.tls,
            auth: self.auth,
            failures: breaker.failures.unwrap_or(FAILURES),
            open_ms: breaker.open_ms.unwrap_or(OPEN_MS),
        })
    }
}

impl From<&KServe> for Written {
    fn from(kserve: &KServe) -> Self {
        let breaker = WrittenBreaker {
            failures: Some(kserve.failures),
            open_ms: Some(kserve.open_ms),
        };
        Self {
            endpoints: kserve.endpoints.clone(),
            model: kserve.model.clone(),
            version: kserve.version.clone(),
            connect_ms: Some(kserve.connect_ms),
            in_flight_max: Some(kserve.in_flight_max),
            message_bytes_max: Some(kserve.message_bytes_max),
            fallback: if kserve.falls_back { "local" } else { "" }.to_owned(),
            tls: kserve.tls.clone(),
            auth: kserve.auth.clone(),
            breaker: Some(breaker),
        }
    }
}

// === impl Manifest ===

impl Manifest {
    pub(super) fn check_placement(&self) -> Result<(), Fault> {
        let Some(kserve) = &self.kserve else {
            return match self.placement {
                Placement::Local => Ok(()),
                Placement::KServe => Err(refused(
                    "model.toml: placement = \"kserve\" names no endpoints",
                )
                .hint("[kserve] endpoints = [\"HOST:PORT\"]")),
            };
        };
        if !self.conversions().is_empty() {
            return Err(Fault::of(Reason::ManifestWrong)
                .message("model.toml: tensors of a model with [kserve] are not converted")
                .expected("no [inputs] and no [outputs] but for labels")
                .hint("have the engine convert them, or the guest"));
        }
        kserve.check()
    }
}

// === impl KServe ===

impl KServe {
    fn check(&self) -> Result<(), Fault> {
        let count = self.endpoints.len();
        if !(1..=ENDPOINTS_MAX).contains(&count) {
            return Err(refused("model.toml: kserve.endpoints is out of range")
                .expected(format!("1 to {ENDPOINTS_MAX}"))
                .got(count.to_string()));
        }
        let mut others = self.endpoints.iter().enumerate();
        let twice =
            |(at, one): &(usize, &String)| self.endpoints.iter().take(*at).any(|of| of == *one);
        if let Some((_, one)) = others.find(twice) {
            return Err(refused("model.toml: kserve.endpoints names one twice").got(one.clone()));
        }
        check::is_name("kserve.model", &self.model, NAME_MAX)?;
        check::is_name("kserve.version", &self.version, NAME_MAX)?;
        let within = |key: &str, number: u64, max: u64| check::is_between(key, number, (1, max));
        within(
            "kserve.connect_ms",
            self.connect_ms.into(),
            CONNECT_MS_MAX.into(),
        )?;
        within(
            "kserve.in_flight_max",
            self.in_flight_max.into(),
            IN_FLIGHT_MAX.into(),
        )?;
        within(
            "kserve.message_bytes_max",
            self.message_bytes_max,
            MESSAGE_BYTES_MAX,
        )?;
        within(
            "kserve.breaker.failures",
            self.failures.into(),
            FAILURES_MAX.into(),
        )?;
        within(
            "kserve.breaker.open_ms",
            self.open_ms.into(),
            OPEN_MS_MAX.into(),
        )?;
        self.check_tls()?;
        let Some(auth) = &self.auth else {
            return Ok(());
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // What the protocol itself sends.
        let own = |name: &str| name.starts_with("grpc-") || OWN_HEADERS.contains(&name);
        if auth.header.is_empty()
            || auth.header.len() > NAME_MAX
            || !auth.header.bytes().all(plain)
            || own(&auth.header)
            || auth.header.ends_with("-bin")
        {
            return Err(
                refused("model.toml: kserve.auth.header is no header that may be set")
                    .expected("a name of small letters, digits and '-', as authorization")
                    .got(auth.header.chars().take(64).collect::<String>()),
            );
        }
        if self.tls.is_none() && !auth.plaintext {
            return Err(refused(
                "model.toml: kserve.auth would go over connections that are not protected",
            )
            .expected("[kserve.tls], or plaintext = true in [kserve.auth]")
            .hint("whoever answers at the endpoint's address reads it otherwise"));
        }
        check::beside(&auth.file)
    }

    fn check_tls(&self) -> Result<(), Fault> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let named = [&tls.ca, &tls.certificate, &tls.key].into_iter();
        named
            .filter(|name| !name.is_empty())
            .try_for_each(|name| check::beside(name))?;
        if tls.certificate.is_empty() != tls.key.is_empty() {
            return Err(refused(
                "model.toml: kserve.tls has a certificate without a key, or a key without one",
            )
            .expected("both certificate and key, or neither"));
        }
        check::is_name("kserve.tls.name", &tls.name, NAME_MAX)
    }
}

/// Headers of HTTP/2 and gRPC that are not an operator's to set.
const OWN_HEADERS: [&str; 8] = [
    "te",
    "host",
    "connection",
    "content-type",
    "content-length",
    "transfer-encoding",
    "user-agent",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest, Fault> {
        Manifest::parse(text, |name| Err(Fault::not_found(name)))
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    const PLACED: &str =
        "placement = \"kserve\"\n[kserve]\nendpoints = [\"Engine.Example:8001\"]\n";

    #[test]
    fn every_key_is_read_and_written_back() {
        let text = format!(
            "{PLACED}model = \"far\"\nversion = \"7\"\nconnect_ms = 250\nin_flight_max = 4\n\
             message_bytes_max = 1000\nfallback = \"local\"\n[kserve.tls]\nca = \"ca.pem\"\n\
             certificate = \"own.pem\"\nkey = \"own.key\"\nname = \"engine\"\n[kserve.auth]\n\
             header = \"authorization\"\nfile = \"token\"\n[kserve.breaker]\nfailures = 2\nopen_ms = 100\n"
        );
        let manifest = parse(&text).unwrap();
        let kserve = manifest.kserve.clone().unwrap();
        assert_eq!(manifest.placement, Placement::KServe);
        assert_eq!(kserve.endpoints, ["engine.example:8001"]);
        assert_eq!((&*kserve.model, &*kserve.version), ("far", "7"));
        assert_eq!((kserve.connect_ms, kserve.in_flight_max), (250, 4));
        assert_eq!((kserve.failures, kserve.open_ms), (2, 100));
        assert!(kserve.falls_back && kserve.message_bytes_max == 1000);
        assert_eq!(kserve.auth.as_ref().unwrap().file, "token");
        assert_eq!(kserve.tls.as_ref().unwrap().name, "engine");
        assert_eq!(parse(&manifest.to_text().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn a_token_goes_over_an_open_connection_only_where_that_is_said() {
        let auth = "[kserve.auth]\nheader = \"authorization\"\nfile = \"t\"\n";
        assert!(parse(&format!("{PLACED}{auth}")).is_err());
        assert!(parse(&format!("{PLACED}[kserve.tls]\n{auth}")).is_ok());
        let said = parse(&format!("{PLACED}{auth}plaintext = true\n")).unwrap();
        assert_eq!(parse(&said.to_text().unwrap()).unwrap(), said);
    }

    #[test]
    fn what_is_not_said_is_filled_in_and_holds_after_writing() {
        let manifest = parse(PLACED).unwrap();
        let kserve = manifest.kserve.as_ref().unwrap();
        assert_eq!((kserve.connect_ms, kserve.failures), (CONNECT_MS, FAILURES));
        assert!(!kserve.falls_back && kserve.tls.is_none());
        assert_eq!(parse(&manifest.to_text().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn a_model_here_may_name_endpoints_for_later() {
        let manifest = parse("[kserve]\nendpoints = [\"a:1\"]").unwrap();
        assert_eq!(manifest.placement, Placement::Local);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_key() {
        for (text, said) in [
            ("placement = \"kserve\"", "names no endpoints"),
            ("placement = \"remote\"", "local, kserve"),
            ("[kserve]\nendpoints = []", "1 to 8"),
            ("[kserve]\nendpoints = [\"a\"]", "no port"),
            ("[kserve]\nendpoints = [\"http://a:1\"]", "kserve.endpoints"),
            ("[kserve]\nendpoints = [\"a:1\", \"A:1\"]", "twice"),
            ("[kserve]\nendpoint = [\"a:1\"]", "kserve.endpoints?"),
            (
                "[kserve]\nendpoints = [\"a:1\"]\nfallback = \"x\"",
                "kserve.fallback",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\nin_flight_max = 0",
                "kserve.in_flight_max",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\nconnect_ms = 60001",
                "kserve.connect_ms",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.tls]\nca = \"../x\"",
                "cannot be beside",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.tls]\nkey = \"x\"",
                "without one",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.tls]\nkeys = \"x\"",
                "kserve.tls.key?",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.auth]\nheader = \"grpc-x\"\nfile = \"t\"",
                "kserve.auth.header",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.auth]\nheader = \"te\"\nfile = \"t\"",
                "kserve.auth.header",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.auth]\nheader = \"authorization\"\nfile = \"/etc/x\"\n\
                 plaintext = true",
                "cannot be beside",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.auth]\nheader = \"authorization\"\nfile = \"t\"",
                "not protected",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[kserve.breaker]\nfailures = 0",
                "kserve.breaker.failures",
            ),
            (
                "[kserve]\nendpoints = [\"a:1\"]\n[outputs.y]\nsoftmax = true",
                "not converted",
            ),
        ] {
            let fault = refusal(text);
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }
}
