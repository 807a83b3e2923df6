//! What the configuration names: repositories, tenants.

use std::collections::BTreeMap;

use super::scene::{level, well};
use crate::commands::doctor::facts::{Printed, Repository, RepositoryGap, Step};
use crate::commands::doctor::{Facts, Level};

/// A repository at /srv/models, with the mode of that directory.
fn repository(mode: u32) -> Repository {
    let step = |path: &str, uid, mode| Step {
        path: path.into(),
        uid,
        gid: uid,
        mode,
    };
    Repository {
        path: "/srv/models".into(),
        steps: Ok(vec![
            step("/", 0, 0o755),
            step("/srv", 0, 0o755),
            step("/srv/models", 1000, mode),
        ]),
    }
}

#[test]
fn a_repository_that_the_daemons_user_may_not_read_is_a_warning() {
    const ID: &str = "configuration.repositories";
    let with = |repository| {
        let facts = Facts {
            repositories: vec![repository],
            ..well()
        };
        level(&facts, ID)
    };
    let absent = Repository {
        path: "/srv/models".into(),
        steps: Err(RepositoryGap::Absent),
    };
    let at_home = Repository {
        path: "/home/ann/models".into(),
        ..repository(0o755)
    };
    let levels = [repository(0o755), repository(0o750), absent, at_home].map(with);
    assert_eq!(
        levels,
        [Level::Ok, Level::Warning, Level::Warning, Level::Warning]
    );
}

#[test]
fn a_user_whom_no_tenant_lists_is_told_so_even_if_it_is_root() {
    let with = |uids: Vec<u32>| {
        let mut facts = well();
        facts.configuration.printed = Some(Ok(Printed {
            tenants: BTreeMap::from([("default".to_owned(), uids)]),
            ..Printed::default()
        }));
        level(&facts, "permissions.tenants")
    };
    assert_eq!(
        [vec![1000], vec![0, 1000]].map(with),
        [Level::Warning, Level::Ok]
    );
}
