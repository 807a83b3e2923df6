//! Descriptors of every kind where a segment or a blob is expected: refused with what was expected and what came, nothing
//! is mapped, nothing is waited for, and none stays open.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::{ftruncate, geteuid, pipe};
use nn_shm::{Blob, Segment, ShmError};

const BYTES: u64 = 4096;

/// Longer than anything takes that waits for nobody.
const AT_ONCE: Duration = Duration::from_secs(5);

fn opened(path: &str, flags: OFlag) -> OwnedFd {
    open(path, flags, Mode::empty()).unwrap()
}

/// A memfd of so many bytes; `flags` besides the right to be sealed.
fn memfd(bytes: u64, flags: MFdFlags, seals: SealFlag) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | flags;
    let fd = memfd_create(c"foreign", flags).unwrap();
    ftruncate(&fd, bytes.try_into().unwrap()).unwrap();
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    fd
}

/// One of each kind, and none of them good.
fn kinds() -> Vec<(&'static str, OwnedFd)> {
    const HUGE: u64 = 2 << 20;
    let (none, all) = (SealFlag::empty(), SealFlag::all());
    let plain = MFdFlags::empty();
    let (read, write) = pipe().unwrap();
    let event = EventFd::new().unwrap();
    vec![
        ("an unsealed memfd", memfd(BYTES, plain, none)),
        (
            "one sealed against growth alone",
            memfd(BYTES, plain, SealFlag::F_SEAL_GROW),
        ),
        (
            "one sealed against shrinking alone",
            memfd(BYTES, plain, SealFlag::F_SEAL_SHRINK),
        ),
        ("one of another size", memfd(2 * BYTES, plain, all)),
        ("one that is empty", memfd(0, plain, all)),
        ("a sparse one of a terabyte", memfd(1 << 40, plain, none)),
        (
            "one of huge pages",
            memfd(HUGE, MFdFlags::MFD_HUGETLB, none),
        ),
        ("the end of a pipe to read", read),
        ("the end of a pipe to write", write),
        ("a socket", UnixStream::pair().unwrap().0.into()),
        ("a device", opened("/dev/zero", OFlag::O_RDWR)),
        ("a path", opened("/proc/self/exe", OFlag::O_PATH)),
        (
            "a directory",
            opened("/", OFlag::O_RDONLY | OFlag::O_DIRECTORY),
        ),
        (
            "an event counter",
            event.as_fd().try_clone_to_owned().unwrap(),
        ),
        ("a file", tempfile().into()),
    ]
}

/// A file of the right size, with no name.
fn tempfile() -> File {
    let file: File = open(
        "/tmp",
        OFlag::O_TMPFILE | OFlag::O_RDWR,
        Mode::S_IRUSR | Mode::S_IWUSR,
    )
    .unwrap()
    .into();
    file.set_len(BYTES).unwrap();
    file
}

/// Whether this exact file is open here.
fn is_open(fd: i32, link: &std::path::Path) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|now| now == link)
}

/// Takes a descriptor for something.
type Taker = fn(OwnedFd) -> Result<(), ShmError>;

/// What each taker says of a copy of a descriptor.
fn judge(name: &str, fd: &OwnedFd) {
    let takers: [(&str, Taker); 3] = [
        ("writer", |fd| Segment::for_writer(fd, BYTES).map(drop)),
        ("reader", |fd| Segment::for_reader(fd, BYTES).map(drop)),
        ("blob", |fd| Blob::from_fd(fd, BYTES).map(drop)),
    ];
    for (taker, take) in takers {
        let copy = fd.try_clone().unwrap();
        let (number, link) = (
            copy.as_raw_fd(),
            format!("/proc/self/fd/{}", copy.as_raw_fd()),
        );
        let link = std::fs::read_link(link).unwrap();
        let began = Instant::now();
        let refused = take(copy);
        assert!(began.elapsed() < AT_ONCE, "{name} kept a {taker} waiting");
        assert!(
            matches!(&refused, Err(ShmError::Unfit { expected, got, .. }) if !expected.is_empty() && !got.is_empty()),
            "{name} as a {taker}: {refused:?}"
        );
        assert!(!is_open(number, &link), "{name} stays open after a {taker}");
    }
}

#[test]
fn a_descriptor_of_another_kind_is_refused_closed_and_not_waited_for() {
    for (name, fd) in &kinds() {
        judge(name, fd);
    }
}

#[test]
fn a_file_whose_server_does_not_answer_is_refused_without_asking_it() {
    if !geteuid().is_root() || !std::path::Path::new("/dev/fuse").exists() {
        println!("skipped: no /dev/fuse, or not root");
        return;
    }
    // Of this thread alone, and gone with it.
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
        println!("skipped: no mount namespace: {error}");
        return;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    let place = std::env::temp_dir().join(format!("nn-shm-kinds-{}", std::process::id()));
    std::fs::write(&place, "").unwrap();
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let options = format!(
        "fd={},rootmode=100000,user_id=0,group_id=0",
        device.as_raw_fd()
    );
    let mounted = mount(
        Some("x"),
        &place,
        Some("fuse"),
        MsFlags::empty(),
        Some(options.as_str()),
    );
    if let Err(error) = mounted {
        println!("skipped: no FUSE: {error}");
        std::fs::remove_file(&place).unwrap();
        return;
    }
    let serving = std::thread::Builder::new();
    serving.spawn(move || serve_only_to_open(device)).unwrap();
    let file = File::options().read(true).write(true).open(&place).unwrap();
    judge("a file of FUSE", &file.into());
    nix::mount::umount2(&place, nix::mount::MntFlags::MNT_DETACH).unwrap();
    std::fs::remove_file(&place).unwrap();
}

/// A file system of one file (linux/fuse.h, version 7.31) that can be opened and closed. Whoever asks for more waits.
fn serve_only_to_open(mut device: File) {
    const GETATTR: u32 = 3;
    const OPEN: u32 = 14;
    const FLUSH: u32 = 25;
    const INIT: u32 = 26;
    const ENOSYS: i32 = 38;
    let mut request = vec![0; 1 << 20];
    while let Ok(40..) = device.read(&mut request) {
        let what = u32::from_le_bytes(request[4..8].try_into().unwrap());
        let (error, body) = match what {
            INIT => {
                let mut body = vec![0; 64];
                body[..4].copy_from_slice(&7_u32.to_le_bytes());
                body[4..8].copy_from_slice(&31_u32.to_le_bytes());
                body[20..24].copy_from_slice(&4096_u32.to_le_bytes());
                (0, body)
            }
            OPEN => (0, vec![0; 16]),
            GETATTR => {
                let mut body = vec![0; 104];
                body[0] = 60;
                body[16] = 1;
                body[24..32].copy_from_slice(&BYTES.to_le_bytes());
                body[76..80].copy_from_slice(&0o100_666_u32.to_le_bytes());
                body[80] = 1;
                (0, body)
            }
            FLUSH => (-ENOSYS, Vec::new()),
            _ => continue,
        };
        let len = u32::try_from(16 + body.len()).unwrap();
        let reply = [
            &len.to_le_bytes()[..],
            &error.to_le_bytes(),
            &request[8..16],
            &body,
        ]
        .concat();
        if device.write_all(&reply).is_err() {
            return;
        }
    }
}
