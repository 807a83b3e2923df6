//! The quarantine as the Admin service shows it: which models are meant, and what is told of them.

use nn_proto::v1;
use nn_tensor::{Fault, ModelRef};

use super::models::told_tenant;
use crate::context::Context;
use crate::quarantine::{DIGITS_MIN, Digest, Held};
use crate::registry::hex;

/// What guests' models are called in lists, before their digits.
const GUEST: &str = "guest-";

/// As it goes over the wire.
pub(super) fn told(context: &Context, held: Vec<Held>) -> Vec<v1::Quarantined> {
    let models = context.registry.list();
    let told = |held: Held| {
        let same = models.iter().map(|(_, _, model)| model);
        let same = same.filter(|model| model.artifact.sha256 == held.sha256);
        let crashes = held.crashes.iter().map(|(kind, count)| v1::EndStatus {
            cause: kind.name().into(),
            count: (*count).into(),
        });
        v1::Quarantined {
            sha256: hex(&held.sha256),
            crashes: crashes.collect(),
            tenant: told_tenant(&held.whose),
            guest: held.whose.guest_uid().is_some(),
            uid: held.whose.guest_uid().unwrap_or(0),
            at_load: held.at_load,
            since_unix_s: held.since_unix_s,
            models: same.map(|model| model.id()).collect(),
        }
    };
    held.into_iter().map(told).collect()
}

/// Lets be tried again what a name or the first digits of a digest mean.
pub(super) async fn lift(
    context: &Context,
    which: &str,
) -> Result<v1::LiftQuarantineResponse, Fault> {
    let digests = meant(context, which)?;
    let lifted = context.policy.quarantine.lift(&digests).await?;
    if lifted.is_empty() {
        return Err(Fault::not_found("that model is not in quarantine")
            .got(shown(which))
            .hint("`nnctl quarantine list` shows what is"));
    }
    // Clients that know the name resolve it anew, and find it loading.
    for (name, _, model) in context.registry.list() {
        if digests.contains(&model.artifact.sha256) {
            context.registry.announce(&name);
        }
    }
    let lifted = told(context, lifted);
    Ok(v1::LiftQuarantineResponse { lifted })
}

fn meant(context: &Context, which: &str) -> Result<Vec<Digest>, Fault> {
    let named = which.parse::<ModelRef>();
    let named = named.map_or_else(|_| Vec::new(), |of| context.registry.digests(&of));
    if !named.is_empty() {
        return Ok(named);
    }
    let digits = which.strip_prefix(GUEST).unwrap_or(which);
    let is_digest = digits.len() >= DIGITS_MIN && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_digest {
        return Err(Fault::not_found("there is no such model")
            .expected(format!(
                "NAME, NAME@VERSION, or at least {DIGITS_MIN} digits of a digest"
            ))
            .got(shown(which))
            .hint("`nnctl quarantine list` shows the digests"));
    }
    let found = context.policy.quarantine.with_prefix(digits);
    if found.len() > 1 {
        let all: Vec<String> = found.iter().map(|digest| hex(digest)).collect();
        return Err(Fault::invalid_argument(
            "several quarantined models have digests that begin so",
        )
        .expected("more digits")
        .got(all.join(", ")));
    }
    Ok(found)
}

fn shown(which: &str) -> String {
    which.chars().take(128).collect()
}
