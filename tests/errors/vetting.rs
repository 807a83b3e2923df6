//! Models that the daemon's own reading refuses, one for each rule that bad models of another test break, loaded from bytes
//! by a guest.

use std::collections::BTreeMap;
use std::fs;

use nn_tensor::Reason;
use nn_tests::{Daemon, GuestHost, require_backends};

use crate::judge::{Expected, acquit, judge};
use crate::{Bad, vetted};

/// The first bad model of each rule.
fn rules() -> BTreeMap<Reason, Bad> {
    let mut rules = BTreeMap::new();
    for bad in vetted::all() {
        let Some(rule) = bad.rule else { continue };
        if let Some(reason) = Reason::of_id(&format!("vet-{rule}")) {
            rules.entry(reason).or_insert(bad);
        }
    }
    // It is one of operators of a domain, too.
    rules.remove(&Reason::VetCustomOp);
    rules
}

/// Theirs.
pub(crate) fn reasons() -> Vec<Reason> {
    rules().into_keys().collect()
}

#[tokio::test]
async fn what_vetting_refuses_is_told_to_the_guest_that_sent_it() {
    require_backends!();
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    let host = GuestHost::new(&daemon.client()).with_dir(dir.path(), "/bad");
    let guest = host.guest("wit-cases");
    let mut verdicts = Vec::new();
    for (reason, bad) in rules() {
        fs::write(dir.path().join(reason.id()), &bad.bytes).unwrap();
        let args = ["load-bytes", &format!("/bad/{}", reason.id())];
        let (text, _) = guest.run(&args).await.unwrap();
        let expected = Expected {
            reason,
            says: &["(rule "],
            logged: false,
        };
        verdicts.push(judge(&bad.name, &text, &expected, None));
    }
    acquit(verdicts);
}
