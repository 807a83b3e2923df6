//! What people and programs read of a model.

use super::super::model::sample;
use super::*;

fn spec(name: &str, dims: &[i64]) -> v1::TensorSpec {
    v1::TensorSpec {
        name: name.to_owned(),
        dtype: v1::DType::Fp32.into(),
        dims: dims.to_vec(),
        any_rank: false,
    }
}

#[test]
fn a_ready_model_shows_its_signature() {
    let description = Description::read(v1::DescribeResponse {
        model: Some(sample()),
        signature: Some(v1::Signature {
            inputs: vec![spec("x", &[-1, 3])],
            outputs: vec![spec("y\x1b", &[])],
        }),
        facts: Some(v1::ModelFacts {
            ir_version: 8,
            producer: "pytorch".to_owned(),
            producer_version: "2.11".to_owned(),
            operator_sets: vec![v1::OperatorSet {
                domain: String::new(),
                version: 17,
            }],
            nodes: 95,
            parameter_bytes: 2048,
        }),
        card: None,
        model_signature: None,
    });
    assert_eq!(
        description.unwrap().text(Paint::Plain),
        "\
model        foo@2, current
state        ready
loaded in    123 ms
format       onnx, 17.6 MiB
contents     95 nodes, 2.0 KiB of constants
operators    ai.onnx 17
made by      pytorch 2.11
sha256       abababababababababababababababababababababababababababababababab
source       uploaded
backend      onnxruntime (ONNX Runtime 1.28.0)
isolation    peer: one worker for all tenants
memory       64.0 MiB
computes     7 ok, 1 failed
latency      p50 850 us, p99 2.4 ms, max 2.5 ms

INSTANCE  PID  FOR  RESTARTS  IN FLIGHT  MEMORY
1         42   all  0         3          64.0 MiB

        NAME     DTYPE  SHAPE
input   x        fp32   [?, 3]
output  y\\u{1b}  fp32   []

from a guest
    let context = load_by_name(\"foo\")?.init_execution_context()?;
    // bytes0: little-endian, the last dimension fastest
    let input0 = (\"x\".to_owned(), Tensor::new(&[n, 3], TensorType::Fp32, &bytes0));
    let outputs = context.compute(vec![input0])?;
    let output0 = outputs[0].1.data(); // \"y\\u{1b}\": fp32 []
"
    );
}

#[test]
fn a_failed_model_says_why_and_what_to_do() {
    let fault = Fault::of(nn_tensor::Reason::RemoteUnreachable)
        .message("the framework does not take the model")
        .hint("see the log")
        .log_id("00000a");
    let mut model = sample();
    model.state = v1::ModelState::Failed.into();
    model.error = Some(fault.into());
    let description = Description::read(v1::DescribeResponse {
        model: Some(model),
        signature: None,
        facts: None,
        card: None,
        model_signature: None,
    });
    let text = description.unwrap().text(Paint::Plain);
    let lines = [
        "error        the framework does not take the model\n",
        "  hint       see the log\n",
        "  reason     remote-unreachable\n",
        "  log id     00000a\n",
    ];
    assert!(text.contains(&lines.concat()), "{text}");
    assert!(text.ends_with("signature not known: the model has not been loaded\n"));
}

#[test]
fn json_has_null_for_what_is_open() {
    let mut open = spec("x", &[]);
    open.any_rank = true;
    let description = Description::read(v1::DescribeResponse {
        model: Some(sample()),
        signature: Some(v1::Signature {
            inputs: vec![open, spec("z", &[-1, 2])],
            outputs: Vec::new(),
        }),
        facts: None,
        card: None,
        model_signature: None,
    });
    let json = serde_json::to_value(description.unwrap()).unwrap();
    assert!(json["inputs"][0]["shape"].is_null());
    assert_eq!(json["inputs"][1]["shape"], serde_json::json!([null, 2]));
}

#[test]
fn a_model_with_conversions_shows_what_clients_send_and_what_it_takes_itself() {
    let own = v1::Signature {
        inputs: vec![spec("images", &[-1, 3, 224, 224])],
        outputs: vec![spec("scores", &[-1, 1000])],
    };
    let seen = v1::Signature {
        inputs: vec![spec("images", &[-1, -1, 3])],
        outputs: vec![spec("scores.values", &[-1, 5])],
    };
    let description = Description::read(v1::DescribeResponse {
        model: Some(sample()),
        signature: Some(seen),
        facts: None,
        card: None,
        model_signature: Some(own),
    })
    .unwrap();
    assert!(description.text(Paint::Plain).contains(
        "\
input         images         fp32   [?, ?, 3]
output        scores.values  fp32   [?, 5]
model input   images         fp32   [?, 3, 224, 224]
model output  scores         fp32   [?, 1000]
"
    ));
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(json["model_outputs"][0]["name"], "scores");
    assert_eq!(
        json["inputs"][0]["shape"],
        serde_json::json!([null, null, 3])
    );
}

fn described() -> Description {
    let mut model = sample();
    model.aliases = vec!["stable".to_owned()];
    let answer = v1::DescribeResponse {
        model: Some(model),
        signature: Some(v1::Signature {
            inputs: vec![spec("images", &[1, 3, 224, 224])],
            outputs: vec![spec("Softmax", &[1, 3])],
        }),
        facts: None,
        card: Some(v1::ModelCard {
            description: "Cats | dogs".to_owned(),
            licence: "MIT".to_owned(),
            tenants: vec!["shop".to_owned()],
            queue_max: 2,
            precision: "native".to_owned(),
            instances_min: 1,
            instances_max: 4,
            compute_us_max: 500_000,
            labels: vec![v1::OutputLabels {
                output: "Softmax".to_owned(),
                labels: ["cat", "dog", "none"].map(str::to_owned).into(),
            }],
            ..v1::ModelCard::default()
        }),
        model_signature: None,
    };
    Description::read(answer).unwrap()
}

#[test]
fn what_its_operator_says_is_shown() {
    let text = described().text(Paint::Plain);
    for line in [
        "aliases      stable\n",
        "about        Cats | dogs\n",
        "for          shop\n",
        "precision    native\n",
        "instances    1-4\n",
        "queue        2\n",
        "call max     500 ms\n",
        "labels       Softmax: cat, dog, none (3)\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn a_page_holds_what_a_guests_author_needs_and_no_operators_secret() {
    let page = markdown::page(&[described()]);
    assert_eq!(
        page,
        r#"# Models

## foo

Cats \| dogs

- Version: 2
- Aliases: stable
- Licence: MIT
- Size: 17.6 MiB
- Memory: 64.0 MiB
- Latency: p50 850 us, p99 2.4 ms, max 2.5 ms
- SHA-256: abababababababababababababababababababababababababababababababab

| | name | dtype | shape | bytes |
|---|---|---|---|---|
| input | images | fp32 | [1, 3, 224, 224] | 602112 |
| output | Softmax | fp32 | [1, 3] | 12 |

Labels of Softmax: cat, dog, none

```rust
let context = load_by_name("foo")?.init_execution_context()?;
// bytes0: 602112 bytes, little-endian, the last dimension fastest
let input0 = ("images".to_owned(), Tensor::new(&[1, 3, 224, 224], TensorType::Fp32, &bytes0));
let outputs = context.compute(vec![input0])?;
let output0 = outputs[0].1.data(); // "Softmax": fp32 [1, 3]
```
"#
    );
}
