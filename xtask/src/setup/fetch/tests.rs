//! Downloads that fail, lie, or succeed late.

use super::*;
use crate::manifest::Digest;

const RIGHT: &[u8] = b"a wheel";

fn a_wheel(folder: &Path) -> Wheel {
    let sample = folder.join("sample");
    fs::write(&sample, RIGHT).unwrap();
    let (sha256, bytes): (Digest, u64) = verify::measure(&sample).unwrap();
    fs::remove_file(sample).unwrap();
    Wheel {
        package: "a".into(),
        version: "1".into(),
        file: "a-1-py3-none-any.whl".into(),
        sha256,
        bytes,
        architecture: None,
        takes: Vec::new(),
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn wrong_digest_is_refused_three_times_and_leaves_nothing() {
    let cache = Scratch::new(&std::env::temp_dir()).unwrap();
    let wheel = a_wheel(cache.path());
    let mut tries = 0;

    let error = with_downloader(cache.path(), &wheel, |wheel, folder| {
        tries += 1;
        Ok(fs::write(folder.join(&wheel.file), b"something else")?)
    })
    .unwrap_err();

    let text = format!("{error:#}");
    assert!(text.contains("expected: 7 bytes, sha256 "), "{text}");
    assert!(text.contains("got:      14 bytes, sha256 "), "{text}");
    assert!(text.contains("hint: "), "{text}");
    assert_eq!(tries, TRIES_MAX);
    assert_eq!(names(cache.path()), Vec::<String>::new());
}

#[test]
fn interrupted_download_is_tried_again() {
    let cache = Scratch::new(&std::env::temp_dir()).unwrap();
    let wheel = a_wheel(cache.path());
    let mut tries = 0;

    let path = with_downloader(cache.path(), &wheel, |wheel, folder| {
        tries += 1;
        let content = if tries == 1 { &RIGHT[..3] } else { RIGHT };
        Ok(fs::write(folder.join(&wheel.file), content)?)
    })
    .unwrap();

    assert_eq!(fs::read(path).unwrap(), RIGHT);
    assert_eq!(tries, 2);
}

#[test]
fn half_made_file_in_the_cache_is_replaced() {
    let cache = Scratch::new(&std::env::temp_dir()).unwrap();
    let wheel = a_wheel(cache.path());
    fs::write(cache.path().join(&wheel.file), &RIGHT[..3]).unwrap();

    let path = with_downloader(cache.path(), &wheel, |wheel, folder| {
        Ok(fs::write(folder.join(&wheel.file), RIGHT)?)
    })
    .unwrap();

    assert_eq!(fs::read(path).unwrap(), RIGHT);
}

#[test]
fn right_file_in_the_cache_is_not_downloaded() {
    let cache = Scratch::new(&std::env::temp_dir()).unwrap();
    let wheel = a_wheel(cache.path());
    fs::write(cache.path().join(&wheel.file), RIGHT).unwrap();

    with_downloader(cache.path(), &wheel, |_, _| anyhow::bail!("not needed")).unwrap();
}

#[test]
fn options_of_a_compiled_wheel_name_each_platform() {
    let options = tags("a-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl").join(" ");
    assert_eq!(
        options,
        "--python-version 3.11 --implementation cp --abi cp311 \
         --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64"
    );
}

#[test]
fn options_of_a_pure_wheel_name_no_platform() {
    assert_eq!(
        tags("a-1-py2.py3-none-any.whl").join(" "),
        "--python-version 3.11"
    );
}
