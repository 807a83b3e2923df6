//! State directories, and what is there after the next start.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use nn_tensor::Selector;

fn v(number: u32) -> Version {
    Version::new(number).unwrap()
}

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

static PLAIN: Landing = Landing {
    staged: false,
    alias: None,
    pin: false,
};

fn onnx(byte: u8, manifest: &str) -> NewVersion<'_> {
    NewVersion {
        format: "onnx",
        sha256: Digest([byte; 32]),
        bytes: b"bytes",
        manifest,
        pending: Some(&PLAIN),
    }
}

fn keep(store: &Store, text: &str, version: u32, byte: u8) {
    store
        .keep(&name(text), v(version), &onnx(byte, ""))
        .unwrap();
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn blobs(dir: &tempfile::TempDir) -> usize {
    fs::read_dir(dir.path().join("blobs")).unwrap().count()
}

#[test]
fn what_was_kept_is_there_after_the_next_start() {
    let (dir, store) = store();
    let foo = name("foo");
    keep(&store, "foo", 1, 1);
    let manifest = "description = \"a canary\"\n";
    store.keep(&foo, v(2), &onnx(2, manifest)).unwrap();
    let mut pointers = Pointers::default();
    pointers.promote(v(1));
    pointers.alias("canary".parse().unwrap(), v(2)).unwrap();
    pointers.pin(true);
    store.settle(&foo, v(1), &pointers).unwrap();

    let again = Store::open(dir.path()).unwrap();
    let Records {
        readable,
        unreadable,
    } = again.records().unwrap();

    assert!(unreadable.is_empty());
    let [(found, record)] = readable.as_slice() else {
        panic!("{readable:?}");
    };
    assert_eq!(*found, foo);
    let read = record.pointers();
    assert_eq!((read.current(), read.is_pinned()), (Some(v(1)), true));
    assert_eq!(read.highest(), Some(v(2)));
    assert_eq!(
        read.means(&Selector::Alias("canary".parse().unwrap())),
        Some(v(2))
    );
    let (one, two) = (record.kept(v(1)).unwrap(), record.kept(v(2)).unwrap());
    assert_eq!((one.pending, one.manifest), (false, None));
    assert!(two.pending);
    assert_eq!(again.manifest(&two.manifest.unwrap()).unwrap(), manifest);
}

#[test]
fn the_same_bytes_are_stored_once_and_go_with_their_last_version() {
    let (dir, store) = store();
    keep(&store, "foo", 1, 1);
    keep(&store, "bar", 1, 1);
    assert_eq!(blobs(&dir), 1);

    store
        .forget(&name("foo"), v(1), &Pointers::default())
        .unwrap();
    assert_eq!(blobs(&dir), 1);

    store
        .forget(&name("bar"), v(1), &Pointers::default())
        .unwrap();
    assert_eq!(blobs(&dir), 0);
}

#[test]
fn a_record_of_an_earlier_release_is_read() {
    let (dir, store) = store();
    let text = format!(
        "current = 1\nhighest = 2\n\n[versions.1]\nformat = \"onnx\"\nsha256 = \"{}\"\n",
        Digest([7; 32])
    );
    fs::write(dir.path().join("models/foo.toml"), text).unwrap();

    let records = store.records().unwrap().readable;

    let (_, record) = records.first().unwrap();
    assert_eq!(record.pointers().current(), Some(v(1)));
    assert_eq!(record.pointers().next(), Ok(v(3)));
    assert_eq!(
        record.kept(v(1)).map(|kept| kept.sha256),
        Some(Digest([7; 32]))
    );
}

#[test]
fn a_sweep_removes_what_a_crash_left_and_nothing_that_is_named() {
    let (dir, store) = store();
    keep(&store, "foo", 1, 1);
    fs::write(
        dir.path().join("blobs").join(Digest([9; 32]).to_string()),
        b"orphan",
    )
    .unwrap();
    fs::write(dir.path().join("blobs/.tmpabc"), b"half").unwrap();
    fs::write(dir.path().join("models/.tmpdef"), b"half").unwrap();
    fs::write(dir.path().join("blobs/README"), b"somebody's").unwrap();

    let swept = store.sweep().unwrap();

    let expected = Swept {
        blobs: 1,
        unfinished: 2,
        records: 0,
    };
    assert_eq!(swept, expected);
    assert_eq!(blobs(&dir), 2);
    assert!(store.open_blob(&Digest([1; 32])).is_ok());
}

#[test]
fn no_bytes_go_while_a_record_cannot_be_read() {
    let (dir, store) = store();
    keep(&store, "foo", 1, 1);
    keep(&store, "bar", 1, 2);
    fs::write(dir.path().join("models/bar.toml"), b"highest = ?").unwrap();

    assert_eq!(store.sweep().unwrap(), Swept::default());
    store
        .forget(&name("foo"), v(1), &Pointers::default())
        .unwrap();

    assert_eq!(blobs(&dir), 2);
    assert_eq!(store.records().unwrap().unreadable.len(), 1);
}

#[test]
fn a_name_without_versions_keeps_its_numbers() {
    let (_dir, store) = store();
    let mut pointers = Pointers::default();
    keep(&store, "foo", 4, 1);
    pointers.take(v(4));
    store.forget(&name("foo"), v(4), &pointers).unwrap();

    let records = store.records().unwrap().readable;
    let (_, record) = records.first().unwrap();
    assert!(record.is_empty());
    assert_eq!(record.pointers().next(), Ok(v(5)));
}

#[test]
fn of_names_without_versions_only_so_many_are_kept() {
    let (dir, store) = store();
    for number in 0..RETIRED_MAX + 3 {
        fs::write(
            dir.path().join(format!("models/m{number}.toml")),
            "highest = 1\n",
        )
        .unwrap();
    }
    assert_eq!(store.sweep().unwrap().records, 3);
    assert_eq!(store.records().unwrap().readable.len(), RETIRED_MAX);
}

#[test]
fn a_directory_that_cannot_be_written_is_named_in_the_error() {
    let (dir, store) = store();
    fs::remove_dir_all(dir.path().join("models")).unwrap();
    let error = store.keep(&name("foo"), v(1), &onnx(1, "")).unwrap_err();
    assert!(error.to_string().contains("models"), "{error}");
}

#[test]
fn a_manifest_goes_with_the_last_version_that_has_it_and_is_not_read_once_damaged() {
    let (dir, store) = store();
    let foo = name("foo");
    store.keep(&foo, v(1), &onnx(1, "queue_max = 1\n")).unwrap();
    store.keep(&foo, v(2), &onnx(1, "queue_max = 1\n")).unwrap();
    let digest = Digest::of(b"queue_max = 1\n");
    store.forget(&foo, v(1), &Pointers::default()).unwrap();
    assert!(store.manifest(&digest).is_ok());

    fs::write(
        dir.path().join("blobs").join(digest.to_string()),
        "queue_max = 9\n",
    )
    .unwrap();
    assert!(store.manifest(&digest).is_err());

    store.forget(&foo, v(2), &Pointers::default()).unwrap();
    assert_eq!(blobs(&dir), 0);
}

#[test]
fn of_names_without_a_version_the_oldest_are_forgotten_and_told() {
    let (dir, store) = store();
    let models = dir.path().join("models");
    for number in 0..RETIRED_MAX {
        let path = models.join(format!("old{number:04}.toml"));
        fs::write(path, "highest = 1\n").unwrap();
    }
    keep(&store, "foo", 1, 1);
    let gone = store
        .forget(&name("foo"), v(1), &Pointers::default())
        .unwrap();
    assert_eq!(gone, [name("old0000")]);
    assert_eq!(fs::read_dir(&models).unwrap().count(), RETIRED_MAX);
}

#[test]
fn bytes_that_were_cut_off_are_written_again() {
    let (dir, store) = store();
    keep(&store, "foo", 1, 1);
    let blob = dir.path().join("blobs").join(Digest([1; 32]).to_string());
    fs::write(&blob, "by").unwrap();
    keep(&store, "foo", 2, 1);
    assert_eq!(fs::read(&blob).unwrap(), b"bytes");
}

#[test]
fn bytes_that_the_disk_has_damaged_are_replaced_when_they_come_again() {
    let (dir, store) = store();
    keep(&store, "foo", 1, 1);
    let blob = dir.path().join("blobs").join(Digest([1; 32]).to_string());
    fs::write(&blob, "bites").unwrap();
    keep(&store, "foo", 2, 1);
    assert_eq!(fs::read(&blob).unwrap(), b"bytes");
}

#[test]
fn what_was_asked_for_is_kept_until_the_version_has_answered() {
    let (_dir, store) = store();
    let foo = name("foo");
    let landing = Landing {
        staged: true,
        alias: Some("canary".parse().unwrap()),
        pin: true,
    };
    let new = NewVersion {
        pending: Some(&landing),
        ..onnx(1, "")
    };
    store.keep(&foo, v(1), &new).unwrap();
    let kept = |store: &Store| {
        let records = store.records().unwrap().readable;
        records.first().unwrap().1.kept(v(1)).unwrap().clone()
    };
    assert_eq!(kept(&store).landing, landing);

    store.settle(&foo, v(1), &Pointers::default()).unwrap();
    assert_eq!(kept(&store).landing, Landing::default());
    assert!(!kept(&store).pending);
}

#[test]
fn where_a_record_cannot_be_written_though_there_is_room_no_bytes_go() {
    let (dir, store) = store();
    keep(&store, "foo", 1, 1);
    let models = dir.path().join("models");
    fs::set_permissions(&models, Permissions::from_mode(0o500)).unwrap();
    if fs::write(models.join("mine"), "").is_ok() {
        println!("skipped: root may write everywhere");
        return;
    }
    let forgotten = store.forget(&name("foo"), v(1), &Pointers::default());
    fs::set_permissions(&models, Permissions::from_mode(0o700)).unwrap();
    assert!(forgotten.is_err());
    assert_eq!(blobs(&dir), 1);
}
