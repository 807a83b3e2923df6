//! Real models, three ways each: ONNX by ONNX Runtime, ONNX by OpenVINO, and OpenVINO's own IR. Whichever way a guest's
//! operator chose, the guest sees the known answer, and the numbers are the same to within what is said here.
//!
//! Each test goes all the way: a guest, its host, a daemon, three jailed workers.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it"
)]

use std::path::PathBuf;

use nn_client::OutTensor;
use nn_tensor::DType;
use nn_tests::{
    Daemon, Tensor, available, compute, model_file, model_repository, nn_host, nnctl,
    openvino_library,
};

/// What the models are called here.
const WAYS: [&str; 3] = ["onnx-on-onnxruntime", "onnx-on-openvino", "ir-on-openvino"];

/// How far two frameworks' single-precision numbers may be apart, as a part of the largest. Some 0.000003 are seen.
const APART_F32: f32 = 1e-4;

/// The same for integer kernels, which on some processors round in other places: see models/minilm-l6-int8.toml.
const APART_INT8: f32 = 0.05;

/// How far from what is known.
const KNOWN: f32 = 0.02;

/// A model that `cargo xtask setup` has made of another: OpenVINO's IR, its weights beside it.
fn ir_file(name: &str) -> PathBuf {
    let ir = model_repository().with_file_name("ir");
    ir.join(name).join("1/model.xml")
}

/// Whether this model is there in all ways; else the test is skipped with the reason, or fails where nothing may be missing.
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
fn is_there(name: &str) -> bool {
    let needed = [openvino_library(), model_file(name), ir_file(name)];
    let Some(missing) = needed.iter().find(|path| !path.is_file()) else {
        return available();
    };
    let reason = format!(
        "not there: {}; `cargo xtask setup` makes it",
        missing.display()
    );
    assert!(
        std::env::var_os("NN_REQUIRE_BACKENDS").is_none(),
        "{reason}"
    );
    println!("skipped: {reason}");
    false
}

/// A daemon with one model, loaded all ways.
fn daemon_with(name: &str) -> Daemon {
    let daemon = Daemon::builder().with_openvino().with_threads(2).start();
    let [onnx_on_ort, onnx_on_openvino, ir] = WAYS;
    let (onnx, xml) = (model_file(name), ir_file(name));
    for (way, file, backend) in [
        (onnx_on_ort, &onnx, "onnxruntime"),
        (onnx_on_openvino, &onnx, "openvino"),
        (ir, &xml, "openvino"),
    ] {
        let file = file.to_str().unwrap();
        let loaded = nnctl(&daemon, &["load", way, file, "--backend", backend]).ok();
        assert!(
            loaded.stdout.contains(&format!("({backend})")),
            "{loaded:?}"
        );
    }
    daemon
}

/// The lines that a guest prints, with each of the ways.
fn lines(
    daemon: &Daemon,
    guest: &str,
    before: &[&str],
    after: &[&str],
) -> [(&'static str, Vec<String>); 3] {
    WAYS.map(|way| {
        let output = nn_host(daemon, guest, &[before, &[way], after].concat()).ok();
        (way, output.stdout.lines().map(str::to_owned).collect())
    })
}

/// The words of a line that are numbers.
fn numbers(line: &str) -> Vec<f32> {
    line.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// By how much two lists of numbers differ at most; infinitely, if one is longer or holds what is no number.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    let whole = a.len() == b.len() && differences.clone().all(f32::is_finite);
    if whole {
        differences.fold(0.0, f32::max)
    } else {
        f32::INFINITY
    }
}

/// The same as a part of the largest number of the first.
fn off(a: &[f32], b: &[f32]) -> f32 {
    let largest = a
        .iter()
        .fold(0.0_f32, |most, number| most.max(number.abs()));
    apart(a, b) / largest
}

fn f32s(tensor: &OutTensor) -> Vec<f32> {
    let bytes = tensor.slot.to_vec().expect("an output that is there");
    let (elements, _) = bytes.as_chunks();
    elements
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

/// All numbers of the first output, with each of the ways.
async fn outputs(daemon: &Daemon, inputs: &[Tensor<'_>]) -> [Vec<f32>; 3] {
    let client = daemon.client();
    let mut outputs = Vec::new();
    for way in WAYS {
        let answer = compute(&client, way, inputs, None).await.unwrap();
        outputs.push(f32s(&answer[0]));
    }
    outputs.try_into().unwrap()
}

/// Class and probability of the lines `RANK CLASS PROBABILITY LABEL`.
fn ranked(lines: &[String]) -> Vec<(f32, f32)> {
    lines
        .iter()
        .map(|line| match numbers(line).as_slice() {
            [_, class, probability, ..] => (*class, *probability),
            _ => panic!("{line}"),
        })
        .collect()
}

#[tokio::test]
async fn efficientnet_names_three_pictures_alike_on_both_frameworks_and_as_ir() {
    if !is_there("efficientnet-lite0") {
        return;
    }
    let daemon = daemon_with("efficientnet-lite0");
    for (picture, class, probability) in [
        ("coffee", 967.0, 0.940),
        ("chelsea", 285.0, 0.385),
        ("camera", 872.0, 0.949),
    ] {
        let path = format!("/data/pictures/{picture}.png");
        for (way, lines) in lines(&daemon, "wit-classify", &[], &[&path]) {
            let ranked = ranked(&lines);
            let known = apart(&[ranked[0].0, ranked[0].1], &[class, probability]);
            assert!(known < KNOWN, "{picture}, {way}: {lines:?}");
        }
    }
    // What is printed has three digits; all thousand numbers have more.
    let planes: Vec<u8> = (0..3 * 224 * 224_u32)
        .flat_map(|n| (f32::from(u8::try_from(n * 7 % 251).unwrap()) / 128.0 - 0.99).to_le_bytes())
        .collect();
    let picture = [("images", DType::Fp32, &[1, 3, 224, 224][..], &planes[..])];
    let [ort, openvino, ir] = outputs(&daemon, &picture).await;
    assert_eq!(ort.len(), 1000);
    let most = [off(&ort, &openvino), off(&ort, &ir)];
    assert!(most.iter().all(|&most| most < APART_F32), "{most:?}");
}

/// Of the recording that `wit-vad` has built in: noise, a sentence, noise.
struct Heard {
    noise: f32,
    sentence: Vec<f32>,
    all: Vec<f32>,
    spans: Vec<String>,
}

/// The frames in which the sentence lies, by the lengths of what the recording is made of.
const SENTENCE: std::ops::Range<usize> = 64..160;

/// The model needs some frames to believe that somebody has begun or stopped to speak.
const LAG: usize = 4;

fn heard(lines: &[String]) -> Heard {
    let (frames, spans): (Vec<&String>, Vec<&String>) =
        lines.iter().partition(|line| !line.starts_with("speech"));
    let all: Vec<f32> = frames
        .iter()
        .map(|line| *numbers(line).last().unwrap())
        .collect();
    let noise = all[..SENTENCE.start]
        .iter()
        .chain(&all[SENTENCE.end + LAG..]);
    Heard {
        noise: noise.copied().fold(0.0, f32::max),
        sentence: all[SENTENCE].to_vec(),
        all: all.clone(),
        spans: spans.into_iter().cloned().collect(),
    }
}

#[test]
fn silero_hears_a_sentence_through_224_frames_alike_on_both_frameworks_and_as_ir() {
    if !is_there("silero-vad") {
        return;
    }
    let daemon = daemon_with("silero-vad");
    let lines = lines(&daemon, "wit-vad", &["--frames"], &[]);
    let heard = lines.map(|(way, lines)| (way, heard(&lines)));
    for (way, heard) in &heard {
        assert_eq!(heard.all.len(), 224, "{way}");
        assert!(heard.noise < 0.1, "{way}: {}", heard.noise);
        let speech = heard.sentence.iter().filter(|&&frame| frame >= 0.5);
        assert!(speech.count() >= 85, "{way}: {:?}", heard.sentence);
    }
    let [(_, ort), others @ ..] = &heard;
    for (way, other) in others {
        // A difference in one frame goes into the state, and so into all that follow.
        let most = off(&ort.all, &other.all);
        assert!(most < APART_F32, "{way}: {most}");
        assert_eq!(ort.spans, other.spans, "{way}");
    }
    assert!(
        ort.spans[0].starts_with("speech from 2.0"),
        "{:?}",
        ort.spans
    );
}

#[tokio::test]
async fn minilm_finds_like_sentences_alike_on_both_frameworks_and_as_ir() {
    if !is_there("minilm-l6-int8") {
        return;
    }
    let daemon = daemon_with("minilm-l6-int8");
    let tokenizer = ["--tokenizer", "/data/minilm/tokenizer.json"];
    for (way, lines) in lines(&daemon, "wit-embed", &tokenizer, &[]) {
        let cosines: Vec<f32> = lines.iter().map(|line| numbers(line)[0]).collect();
        let known = apart(&cosines, &[0.685, -0.054, 0.003]);
        assert!(known < APART_INT8, "{way}: {lines:?}");
        assert!(cosines[1..].iter().all(|&other| other <= 0.08), "{lines:?}");
    }
    // "A man is eating food.", by the model's tokenizer.
    let row = |tokens: [i64; 8]| tokens.map(i64::to_le_bytes).concat();
    let ids = row([101, 1037, 2158, 2003, 5983, 2833, 1012, 102]);
    let (mask, types) = (row([1; 8]), row([0; 8]));
    let tensor = |name, bytes| (name, DType::I64, &[1, 8][..], bytes);
    let sentence: [Tensor<'_>; 3] = [
        tensor("input_ids", &ids[..]),
        tensor("attention_mask", &mask),
        tensor("token_type_ids", &types),
    ];
    let [ort, openvino, ir] = outputs(&daemon, &sentence).await;
    assert_eq!(ort.len(), 8 * 384);
    let most = [off(&ort, &openvino), off(&ort, &ir)];
    assert!(most.iter().all(|&most| most < APART_INT8), "{most:?}");
    // The same kernels either way.
    let most = off(&openvino, &ir);
    assert!(most < APART_F32, "{most}");
}

#[test]
fn a_page_is_seen_to_be_turned_by_each_quarter_alike_on_both_frameworks_and_as_ir() {
    if !is_there("page-orientation") {
        return;
    }
    let daemon = daemon_with("page-orientation");
    let lines = lines(&daemon, "wit-orientation", &[], &[]);
    for (way, lines) in &lines {
        let turned = ["0:   0", "90:  90", "180: 180", "270: 270"];
        assert_eq!(lines.len(), turned.len(), "{way}: {lines:?}");
        for ((line, turned), place) in lines.iter().zip(turned).zip(1..) {
            assert!(line.contains(turned), "{way}: {line}");
            let likely = numbers(line)[place];
            assert!(likely > 0.92 - KNOWN, "{way}: {line}");
        }
    }
    let probabilities = |lines: &[String]| -> Vec<f32> {
        let each = lines.iter().map(|line| numbers(line));
        each.flat_map(|numbers| numbers[1..].to_vec()).collect()
    };
    let [ort, openvino, ir] = lines.map(|(_, lines)| probabilities(&lines));
    assert_eq!(ort.len(), 16);
    let most = [off(&ort, &openvino), off(&ort, &ir)];
    assert!(most.iter().all(|&most| most < APART_F32), "{most:?}");
}
