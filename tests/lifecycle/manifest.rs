//! What an operator says of a model: shown, and kept to.

use std::time::Duration;

use nn_client::Client;
use nn_tensor::{Code, Tenant};
use nn_tests::{Daemon, nnctl, require_backends, slow, tiny_model};
use serde_json::json;

use super::{Files, events, load, meant};

fn as_tenant(daemon: &Daemon, tenant: &str) -> Client {
    let tenant: Tenant = tenant.parse().unwrap();
    Client::builder(daemon.socket(), tenant).build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_for_one_tenant_is_not_there_for_another() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", "tenants = [\"shop\"]\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    load(&daemon, "foo", &files.adds(1), &words).success();
    for round in 0..2 {
        assert_eq!(meant(&as_tenant(&daemon, "shop"), "foo").await, Ok(1.0));
        let other = as_tenant(&daemon, "other");
        let fault = meant(&other, "foo").await.unwrap_err();
        let unknown = meant(&other, "bar").await.unwrap_err();
        assert_eq!(fault.code, Code::NotFound);
        assert_eq!(fault.message.replace("foo", "bar"), unknown.message);
        assert_eq!(fault.hint, unknown.hint);
        if round == 0 {
            let denied = events(&daemon, "denied");
            assert_eq!(
                (&denied[0]["model"], &denied[0]["tenant"]),
                (&json!("foo@1"), &json!("other"))
            );
            tokio::task::block_in_place(|| {
                assert!(daemon.terminate());
                daemon.restart();
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_models_own_deadline_holds_for_every_call_of_it() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", "compute_ms_max = 100\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    load(&daemon, "slow", &tiny_model("slow-f32"), &words).success();
    let client = daemon.client();
    let late = slow(&client, 10_000_000, Some(Duration::from_secs(30)))
        .await
        .unwrap_err();
    assert_eq!(late.code, Code::Timeout);
    slow(&client, 10, None).await.unwrap();
}

#[test]
fn other_bytes_than_those_that_were_meant_are_refused() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", format!("sha256 = \"{}\"\n", "ab".repeat(32)));
    let words = ["--manifest", manifest.to_str().unwrap()];
    let refused = load(&daemon, "foo", &files.adds(1), &words);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("expected: sha256 abab"),
        "{}",
        refused.stderr
    );
    assert!(daemon.models().is_empty());
}

#[test]
fn from_the_description_alone_the_call_can_be_written() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    files.write("labels.txt", "one\n");
    let text = "description = \"Adds one\"\nlicence = \"MIT\"\nqueue_max = 1\n[outputs.y]\nlabels_file = \"labels.txt\"\n";
    let manifest = files.write("model.toml", text);
    let words = [
        "--manifest",
        manifest.to_str().unwrap(),
        "--alias",
        "stable",
    ];
    load(&daemon, "foo", &files.adds(1), &words).success();

    let text = nnctl(&daemon, &["describe", "foo"]).ok().stdout;
    for part in [
        "aliases      stable",
        "about        Adds one",
        "licence      MIT",
        "queue        1",
        "labels       y: one (1)",
        "let context = load_by_name(\"foo\")?.init_execution_context()?;",
        "(\"x\".to_owned(), Tensor::new(&[1], TensorType::Fp32, &bytes0))",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let page = nnctl(&daemon, &["describe", "--markdown"]).ok().stdout;
    assert!(
        page.starts_with("# Models\n\n## foo\n\nAdds one\n"),
        "{page}"
    );
    assert!(page.contains("| input | x | fp32 | [1] | 4 |"), "{page}");
}

#[test]
fn a_slip_in_a_manifest_is_told_with_what_was_meant() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", "tenant = [\"a\"]\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    let refused = load(&daemon, "foo", &files.adds(1), &words);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("did you mean tenants?"),
        "{}",
        refused.stderr
    );
}
