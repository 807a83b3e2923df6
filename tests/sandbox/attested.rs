//! A worker that says it is ready and is not jailed never sees a model.

use nn_tests::{nnctl, tiny_model};

use super::*;

#[test]
fn a_worker_that_lies_about_its_jail_gets_no_model() {
    let daemon = Daemon::builder().with_worker("nn-worker-liar").start();
    let path = tiny_model("add-f32");
    let failed = nnctl(&daemon, &["load", "add", path.to_str().unwrap()]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let log = daemon.log();
    assert!(log.contains("is not jailed; expected "), "{log}");
    assert!(!log.contains("liar: a model"), "{log}");
    assert!(daemon.ended("protocol") > 0);
}
