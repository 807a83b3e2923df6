//! What /proc, /sys and the user database tell.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::sys::utsname::uname;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgroups};
use nn_shm::{Segment, ShmError};

use super::super::facts::{DirFound, Kernel, Me, Named, Process, StateDir};

/// As the kernel names threads and processes: the first 15 bytes of the program's name.
const DAEMON: &str = "nn-daemon";

pub(super) fn me() -> Me {
    let uid = geteuid();
    let mut gids: Vec<u32> = getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(Gid::as_raw)
        .collect();
    gids.push(getegid().as_raw());
    Me {
        uid: uid.as_raw(),
        name: user(uid.as_raw()).name,
        gids,
    }
}

/// A user by name, or by number where nobody has given it one.
pub(super) fn user(id: u32) -> Named {
    let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
    Named {
        id,
        name: user.map_or_else(|| id.to_string(), |user| user.name),
    }
}

/// A group, and whether it lists a user; users of whom it is the first group are not listed.
pub(super) fn group(id: u32, member: &str) -> (Named, bool) {
    let group = Group::from_gid(Gid::from_raw(id)).ok().flatten();
    let listed = group
        .as_ref()
        .is_some_and(|group| group.mem.iter().any(|name| name == member));
    let name = group.map_or_else(|| id.to_string(), |group| group.name);
    (Named { id, name }, listed)
}

pub(super) fn kernel() -> Kernel {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned());
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").ok();
    Kernel {
        release: release.unwrap_or_default(),
        userns_max: sysctl("user/max_user_namespaces"),
        userns_unprivileged: sysctl("kernel/unprivileged_userns_clone"),
        userns_apparmor: sysctl("kernel/apparmor_restrict_unprivileged_userns"),
        sealing: sealing().map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
        cgroup_controllers: controllers
            .map(|names| names.split_whitespace().map(str::to_owned).collect()),
    }
}

fn sysctl(path: &str) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
    text.trim().parse().ok()
}

/// What every client does for its first tensor.
fn sealing() -> Result<(), ShmError> {
    Segment::create(4096)?.seal_writers()
}

/// A daemon's process; `None` where /proc does not show it: another machine's, another container's.
pub(super) fn process(pid: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    if name.trim_end() != DAEMON {
        return None;
    }
    let program = fs::read_link(folder.join("exe")).ok();
    let limits = fs::read_to_string(folder.join("limits")).ok();
    Some(Process {
        uid: fs::metadata(&folder).ok().map(|metadata| metadata.uid()),
        program: program.map(|path| path.display().to_string()),
        descriptors_max: limits.as_deref().and_then(descriptors_max),
    })
}

/// The limit that holds, of the lines of /proc/PID/limits.
fn descriptors_max(limits: &str) -> Option<u64> {
    let mut lines = limits.lines();
    let values = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    values.split_whitespace().next()?.parse().ok()
}

pub(super) fn memory_available() -> Option<u64> {
    available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let value = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = value.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

pub(super) fn state_dir(path: PathBuf) -> StateDir {
    let found = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => match statvfs(&path) {
            Ok(space) => DirFound::Dir {
                owner: user(metadata.uid()),
                free_bytes: space
                    .fragment_size()
                    .saturating_mul(space.blocks_available()),
            },
            Err(error) => DirFound::Failed(error.desc().to_owned()),
        },
        Ok(_) => DirFound::Other,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => DirFound::Absent,
        Err(error) => DirFound::Failed(error.to_string()),
    };
    StateDir { path, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_holds_is_the_soft_one() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 1048576              files\n";
        assert_eq!(descriptors_max(limits), Some(1024));
        assert_eq!(descriptors_max(""), None);
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        let meminfo = "MemTotal:  8 kB\nMemAvailable:    3 kB\n";
        assert_eq!(available(meminfo), Some(3072));
    }

    #[test]
    fn a_process_that_is_no_daemon_is_not_taken_for_one() {
        assert!(process(std::process::id()).is_none());
    }

    #[test]
    fn this_machine_has_a_kernel_and_this_process_a_user() {
        assert!(!kernel().release.is_empty());
        assert!(!me().gids.is_empty());
    }
}
