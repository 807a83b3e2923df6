//! The root: a tmpfs that holds the binds and nothing else, read-only.
//!
//! The files are taken hold of first (`open_tree`), as whoever this process was born as: their path may lead
//! through a directory that the worker's own uid may not enter. Only then does it become that uid, which it
//! must be to make anything in a tmpfs of its namespace.
//!
//! A file that the process holds open has no mount that could be taken hold of: it may be memory, or lie on a mount of
//! another namespace. What is mounted in its stead is the link to it below /proc/self/fd, which is followed as any link
//! is, and leads nowhere once the descriptor is closed.
#![expect(
    unsafe_code,
    reason = "open_tree, mount_setattr, move_mount: no library has them"
)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, pivot_root};

use super::process;
use crate::Sealed;
use crate::apply::{StepResult, failed};

/// Where the tmpfs is mounted until it is the root: any directory will do, and one of these is everywhere.
const PLACES: [&str; 5] = ["/tmp", "/run", "/var", "/dev", "/usr"];

/// A root holds a few empty files and directories to mount on.
const OPTIONS: &str = "mode=0755,size=64k,nr_inodes=256";

/// `OPEN_TREE_CLONE` of linux/mount.h.
const OPEN_TREE_CLONE: libc::c_uint = 1;

/// `MOVE_MOUNT_F_EMPTY_PATH` of linux/mount.h.
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;

/// `MOUNT_ATTR_RDONLY`, `_NOSUID`, `_NODEV`, `_NOEXEC` of linux/mount.h.
const READ_ONLY: u64 = 1;
const NO_SUID: u64 = 2;
const NO_DEVICES: u64 = 4;
const NO_EXEC: u64 = 8;

/// `struct mount_attr` of linux/mount.h, version 0.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Builds the root and moves into it, becoming `uid` on the way.
pub(crate) fn build(binds: &[PathBuf], sealed: &[Sealed], uid: Option<u32>) -> StepResult {
    // Whoever is to enter what is made here is not who makes it, everywhere.
    umask(Mode::from_bits_truncate(0o022));
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("mount(MS_PRIVATE)"))?;
    let mut trees = Vec::with_capacity(binds.len());
    for bind in binds {
        trees.push((bind, take(bind, 0)?));
    }
    // Last, because they may lie in a directory among them.
    for Sealed { path, descriptor } in sealed {
        let link = PathBuf::from(format!("/proc/self/fd/{descriptor}"));
        trees.push((path, take(&link, libc::AT_SYMLINK_NOFOLLOW)?));
    }
    if let Some(uid) = uid {
        process::become_user(uid)?;
    }
    let root = PLACES.iter().map(Path::new).find(|place| place.is_dir());
    let root = root.ok_or_else(|| {
        failed("looking for a place to mount at")(io::Error::from(io::ErrorKind::NotFound))
    })?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), root, Some("tmpfs"), flags, Some(OPTIONS))
        .map_err(failed("mount(tmpfs)"))?;
    for (bind, tree) in trees {
        put(&tree, bind, root)?;
    }
    enter(root)
}

/// Takes hold of what is at `path`: a copy that nothing can be changed through.
fn take(path: &Path, flags: libc::c_int) -> Result<OwnedFd, (&'static str, io::Error)> {
    let tree = clone_tree(path, flags).map_err(failed("open_tree"))?;
    let attributes = READ_ONLY | NO_SUID | NO_DEVICES;
    set_attributes(tree.as_raw_fd(), libc::AT_RECURSIVE, attributes)
        .map_err(failed("mount_setattr"))?;
    Ok(tree)
}

/// A copy of what is mounted at `path`, which belongs to nobody's tree yet.
fn clone_tree(path: &Path, flags: libc::c_int) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = (flags | libc::AT_RECURSIVE).cast_unsigned();
    let flags = flags | OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned();
    // SAFETY: the path is a C string that lives over the call; the other arguments are integers.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_attributes(mount: RawFd, flags: libc::c_int, set: u64) -> io::Result<()> {
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation: 0,
        userns: 0,
    };
    let flags = libc::AT_EMPTY_PATH | flags;
    // SAFETY: the path is a constant C string; `attributes` has the kernel's layout and the length that is
    // said, and lives over the call, which only reads it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Puts a tree where its path says, below `root`.
fn put(tree: &OwnedFd, path: &Path, root: &Path) -> StepResult {
    let target = root.join(path.strip_prefix("/").unwrap_or(path));
    let is_folder = nix::sys::stat::fstat(tree)
        .map(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
        .map_err(failed("fstat"))?;
    let made = if is_folder {
        fs::create_dir_all(&target)
    } else if fs::symlink_metadata(&target).is_ok() {
        Ok(())
    } else {
        let parent = target.parent().unwrap_or(root);
        fs::create_dir_all(parent).and_then(|()| File::create(&target).map(drop))
    };
    made.map_err(failed("making a place for a bind"))?;
    let target = CString::new(target.as_os_str().as_bytes()).map_err(failed("a bind's path"))?;
    // SAFETY: both paths are C strings that live over the call; the other arguments are integers.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(failed("move_mount")(io::Error::last_os_error()))
    }
}

/// Makes it the root and lets go of the old one.
fn enter(root: &Path) -> StepResult {
    chdir(root).map_err(failed("chdir"))?;
    pivot_root(".", ".").map_err(failed("pivot_root"))?;
    // The old root lies on top of the new one now, and is what "." means.
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("umount2"))?;
    chdir("/").map_err(failed("chdir(/)"))?;
    let root = File::open("/").map_err(failed("open(/)"))?;
    let attributes = READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC;
    set_attributes(root.as_raw_fd(), 0, attributes).map_err(failed("mount_setattr(/)"))
}
