//! What the kernel offers, apart from the layers of the jail. Pure.

use super::facts::{Facts, Kernel};
use super::finding::Finding;

/// The oldest kernel that has the calls without which no worker starts: clone3 and pidfds (5.3), sealing against new
/// writers (5.1), close_range that marks (5.11).
const OLDEST: (u32, u32) = (5, 11);

/// The oldest with all that the jail can use: Landlock for signals and abstract sockets.
const WHOLE: (u32, u32) = (6, 12);

/// Controllers that a worker's group uses.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let isolation = facts.status().map(|status| status.isolation.as_slice());
    let userns = isolation.and_then(|layers| {
        let mut layers = layers.iter();
        layers
            .find(|layer| layer.layer == "userns")
            .map(|l| l.active)
    });
    vec![
        version(&facts.kernel.release),
        user_namespaces(&facts.kernel, userns),
        sealing(&facts.kernel),
        cgroups(&facts.kernel),
    ]
}

fn version(release: &str) -> Finding {
    const ID: &str = "kernel.version";
    let found = format!("Linux {release}");
    match parse(release) {
        None => Finding::unknown(ID, found),
        Some(version) if version < OLDEST => Finding::problem(
            ID,
            format!("{found}: clone3, pidfds or close_range are missing"),
            format!("a kernel from {}.{} on", OLDEST.0, OLDEST.1),
        ),
        Some(version) if version < WHOLE => Finding::ok(
            ID,
            format!(
                "{found}; from {}.{} on, the jail has all of its walls",
                WHOLE.0, WHOLE.1
            ),
        ),
        Some(_) => Finding::ok(ID, found),
    }
}

/// `6.1` of `6.1.0-37-amd64`.
fn parse(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A daemon that has tried knows better than the sysctls.
fn user_namespaces(kernel: &Kernel, workers_have: Option<bool>) -> Finding {
    const ID: &str = "kernel.user_namespaces";
    if workers_have == Some(true) {
        return Finding::ok(ID, "workers have one each");
    }
    if kernel.userns_max == Some(0) {
        return Finding::problem(
            ID,
            "none may be made: the sysctl user.max_user_namespaces is 0",
            "sysctl -w user.max_user_namespaces=16384, and the same in /etc/sysctl.d",
        );
    }
    if kernel.userns_unprivileged == Some(0) {
        return Finding::problem(
            ID,
            "only root may make one: the sysctl kernel.unprivileged_userns_clone is 0",
            "sysctl -w kernel.unprivileged_userns_clone=1, and the same in /etc/sysctl.d",
        );
    }
    if kernel
        .userns_apparmor
        .is_some_and(|restricts| restricts > 0)
    {
        return Finding::problem(
            ID,
            "AppArmor lets programs without a profile of their own make none that is of use",
            "a profile with `userns,` for nn-daemon and nn-spawner, or \
             sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    match kernel.userns_max {
        Some(max) => Finding::ok(ID, format!("{max} may be made; only the daemon tries")),
        None => Finding::unknown(ID, "the sysctl user.max_user_namespaces cannot be read"),
    }
}

fn sealing(kernel: &Kernel) -> Finding {
    const ID: &str = "kernel.shared_memory";
    match &kernel.sealing {
        Ok(()) => Finding::ok(ID, "can be made, and sealed against new writers"),
        Err(why) => Finding::problem(
            ID,
            format!("cannot be made and sealed: {why}"),
            "a kernel from 5.1 on with CONFIG_MEMFD_CREATE; if this runs in a container, let it call memfd_create",
        ),
    }
}

fn cgroups(kernel: &Kernel) -> Finding {
    const ID: &str = "kernel.cgroups";
    const WITHOUT: &str = "workers are bounded by resource limits alone";
    const ADVICE: &str =
        "start the machine with systemd.unified_cgroup_hierarchy=1 and no cgroup_disable=";
    let Some(controllers) = &kernel.cgroup_controllers else {
        return Finding::warning(
            ID,
            format!("version 2 is not at /sys/fs/cgroup: {WITHOUT}"),
            ADVICE,
        );
    };
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|wanted| !controllers.iter().any(|name| name == wanted))
        .collect();
    if missing.is_empty() {
        return Finding::ok(ID, format!("version 2 with {}", controllers.join(", ")));
    }
    let found = format!("version 2 without {}: there, {WITHOUT}", missing.join(", "));
    Finding::warning(ID, found, ADVICE)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn kernel() -> Kernel {
        Kernel {
            release: "6.18.5".to_owned(),
            userns_max: Some(100),
            userns_unprivileged: None,
            userns_apparmor: None,
            sealing: Ok(()),
            cgroup_controllers: Some(CONTROLLERS.map(str::to_owned).into()),
        }
    }

    #[test]
    fn releases_of_distributions_are_read() {
        let read = ["6.1.0-37-amd64", "5.15-rc1", "6.18.5+", "six"].map(parse);
        assert_eq!(read, [Some((6, 1)), Some((5, 15)), Some((6, 18)), None]);
    }

    #[test]
    fn an_old_kernel_is_a_problem_and_one_without_all_walls_is_not() {
        let levels = ["5.10.0", "5.11.0", "6.12.1", "?"].map(|release| version(release).level);
        assert_eq!(
            levels,
            [Level::Problem, Level::Ok, Level::Ok, Level::Unknown]
        );
    }

    #[test]
    fn each_sysctl_that_forbids_user_namespaces_is_a_problem_of_its_own() {
        let forbidden = [
            Kernel {
                userns_max: Some(0),
                ..kernel()
            },
            Kernel {
                userns_unprivileged: Some(0),
                ..kernel()
            },
            Kernel {
                userns_apparmor: Some(1),
                ..kernel()
            },
        ];
        let found = forbidden.map(|kernel| user_namespaces(&kernel, None));
        assert_eq!(found.each_ref().map(|f| f.level), [Level::Problem; 3]);
        assert!(found[2].advice.contains("apparmor"), "{found:?}");
    }

    #[test]
    fn a_daemon_whose_workers_have_user_namespaces_is_believed() {
        let forbidden = Kernel {
            userns_unprivileged: Some(0),
            ..kernel()
        };
        assert_eq!(user_namespaces(&forbidden, Some(true)).level, Level::Ok);
    }

    #[test]
    fn missing_controllers_are_named() {
        let without = Kernel {
            cgroup_controllers: Some(vec!["cpu".to_owned()]),
            ..kernel()
        };
        let found = cgroups(&without);
        assert_eq!(found.level, Level::Warning);
        assert!(found.found.contains("memory, pids"), "{found:?}");
        assert_eq!(cgroups(&kernel()).level, Level::Ok);
    }
}
