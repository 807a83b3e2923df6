//! `[tenants]` as operators write it.

use std::fs;
use std::path::Path;

use nn_tests::run;

fn check(flag: &str, dir: &Path, text: &str) -> (bool, String) {
    let path = dir.join("nn-daemon.toml");
    fs::write(&path, text).unwrap();
    let output = run("nn-daemon", &[flag, "--config", path.to_str().unwrap()]);
    (output.code == Some(0), output.stdout + &output.stderr)
}

#[test]
fn what_cannot_be_meant_is_refused_with_file_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    for (text, said) in [
        (
            "[tenants.a]\nmodel = []\n",
            &["nn-daemon.toml", "did you mean models?", "line 2"][..],
        ),
        (
            "[tenants.a]\nweight = 0\n",
            &["tenants.a.weight is 0", "1 to 100"],
        ),
        (
            "[tenants.a]\ncompute_ms_max = 60001\n",
            &["tenants.a.compute_ms_max is 60001", "limits.compute_ms_max"],
        ),
        ("[tenants.\"/\"]\nweight = 1\n", &["in [tenants]"]),
    ] {
        let (ok, told) = check("--check", dir.path(), text);
        assert!(!ok, "{text}");
        for word in said {
            assert!(told.contains(word), "{text}: {told}");
        }
    }
}

#[test]
fn what_is_printed_is_a_file_of_the_same_effect() {
    let dir = tempfile::tempdir().unwrap();
    let written = "[tenants.shop]\nuids = [1000]\nmodels = [\"echo\"]\nweight = 4\ncomputes_max = 3\n\
                   [tenants.other]\narena_bytes_max = 65536\n";
    let (ok, printed) = check("--print-config", dir.path(), written);
    assert!(ok, "{printed}");
    let told: toml::Table = printed.parse().unwrap();
    let shop = told["tenants"]["shop"].as_table().unwrap();
    assert_eq!(shop["uids"].as_array().unwrap().len(), 1);
    assert_eq!(shop["weight"].as_integer(), Some(4));
    assert_eq!(shop["computes_max"].as_integer(), Some(3));
    let other = told["tenants"]["other"].as_table().unwrap();
    assert!(
        !other.contains_key("uids"),
        "who may act for it is not said"
    );
    assert_eq!(
        check("--print-config", dir.path(), &printed),
        (true, printed)
    );
}
