//! Bad models that the daemon's own reading stops, each with the rule that does.

use nn_onnx_writer::FLOAT;
use nn_onnx_writer::model::of as with_graph;
use nn_onnx_writer::tensor::{PLACES, of as tensor, raw};
use nn_onnx_writer::wire::{message, number, text, varint, wrapped};

use crate::parts::{bare_node, ends, model, node, tensor_attribute, value};
use crate::{Bad, bad};

/// All of them.
pub(crate) fn all() -> Vec<Bad> {
    [
        external(),
        operators(),
        nested(),
        counted(),
        lengths(),
        doubled(),
        formats(),
        cut(),
    ]
    .concat()
}

fn located(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(key, value): &(&str, &str)| message(13, &[text(1, key), text(2, value)].concat());
    let entries: Vec<u8> = entries.iter().flat_map(entry).collect();
    [tensor("w", FLOAT, &[4], &entries), number(14, 1)].concat()
}

fn external() -> Vec<Bad> {
    let tensor = located(&[("location", "weights.bin"), ("length", "16")]);
    let place = |(index, fields): (usize, &&[u32])| {
        let graph = if fields.last() == Some(&7) {
            vec![]
        } else {
            message(7, &ends())
        };
        let bytes = [number(1, 8), wrapped(&tensor, fields), graph].concat();
        bad(
            format!("external-data-place-{index}"),
            bytes,
            Some("external-data"),
        )
    };
    let ways: [(&str, &[(&str, &str)]); 5] = [
        ("absolute", &[("location", "/etc/passwd")]),
        ("above", &[("location", "../../../etc/passwd")]),
        (
            "address",
            &[
                ("location", "*/_ORT_MEM_ADDR_/*"),
                ("offset", "4096"),
                ("length", "16"),
            ],
        ),
        ("no-list", &[]),
        ("null", &[("location", "a\0b")]),
    ];
    let way = |(name, entries): &(&str, &[(&str, &str)])| {
        let bytes = model(&[ends(), message(5, &located(entries))].concat());
        bad(
            format!("external-data-{name}"),
            bytes,
            Some("external-data"),
        )
    };
    let places = PLACES.iter().enumerate().map(place);
    places.chain(ways.iter().map(way)).collect()
}

fn operators() -> Vec<Bad> {
    let of = |domain: &str, op: &str| {
        model(&[ends(), node(&["x"], &["y"], op, &text(7, domain))].concat())
    };
    let domains = [
        ("mine", "custom-op"),
        ("com.microsoft.nchwc", "op-domain"),
        ("com.ms.internal.nhwc", "op-domain"),
        ("ai.onnx.contrib", "op-domain"),
        ("org.pytorch.aten", "custom-op"),
        ("a\x1b[2J\u{202e}", "custom-op"),
    ];
    let mut all: Vec<Bad> = domains
        .into_iter()
        .map(|(domain, rule)| {
            bad(
                format!("domain-{rule}-{}", domain.len()),
                of(domain, "Relu"),
                Some(rule),
            )
        })
        .collect();
    for domain in ["", "com.microsoft", "mine"] {
        let name = format!("ep-context-{}", domain.len());
        all.push(bad(name, of(domain, "EPContext"), Some("ep-context")));
    }
    let context = bare_node(&["x"], &["y"], "EPContext", &text(7, "com.microsoft"));
    let nested = message(1, &message(5, &message(6, &message(1, &context))));
    all.push(bad(
        "ep-context-in-a-subgraph",
        model(&nested),
        Some("ep-context"),
    ));
    let function = message(
        25,
        &[text(1, "f"), text(10, "f"), message(7, &context)].concat(),
    );
    let inside = [model(&ends()), function].concat();
    all.push(bad("ep-context-in-a-function", inside, Some("ep-context")));
    let config = r#"{"session_options":{"enable_profiling":1}}"#;
    let entry = message(14, &[text(1, "ort_config"), text(2, config)].concat());
    all.push(bad(
        "ort-config",
        [model(&ends()), entry].concat(),
        Some("framework-config"),
    ));
    all
}

/// A function that calls another some times.
fn function(name: &str, callee: &str, times: usize) -> Vec<u8> {
    let call = message(7, &bare_node(&["x"], &["y"], callee, &text(7, "f")));
    message(
        25,
        &[text(1, name), text(10, "f"), call.repeat(times)].concat(),
    )
}

fn nested() -> Vec<Bad> {
    let graphs = |levels| {
        let fields = [[6, 5, 1].repeat(levels), vec![7]].concat();
        [number(1, 8), wrapped(b"", &fields)].concat()
    };
    let types = model(&wrapped(b"", &[[1, 4].repeat(100), vec![2, 11]].concat()));
    let call = model(&[ends(), node(&["x"], &["y"], "f0", &text(7, "f"))].concat());
    let levels =
        (0..12).map(|level| function(&format!("f{level}"), &format!("f{}", level + 1), 10));
    let blown: Vec<u8> = levels.flatten().collect();
    let last = message(25, &[text(1, "f12"), text(10, "f")].concat());
    let circle = [function("f0", "f1", 1), function("f1", "f0", 1)].concat();
    vec![
        bad("nine-graphs-deep", graphs(9), Some("depth")),
        bad("three-thousand-graphs-deep", graphs(3000), Some("depth")),
        bad("types-without-end", types, Some("depth")),
        bad(
            "functions-that-multiply",
            [call.clone(), blown, last].concat(),
            Some("nodes"),
        ),
        bad(
            "functions-in-a-circle",
            [call, circle].concat(),
            Some("recursive-function"),
        ),
    ]
}

fn counted() -> Vec<Bad> {
    let nodes = message(1, &text(4, "Relu")).repeat(1_000_000);
    vec![
        bad("a-million-nodes", model(&nodes), Some("nodes")),
        bad(
            "a-million-empty-nodes",
            model(&message(1, b"").repeat(1_000_000)),
            Some("nodes"),
        ),
        bad(
            "a-million-values",
            model(&message(13, b"").repeat(1_000_000)),
            Some("values"),
        ),
        bad(
            "a-million-tensors",
            model(&message(5, &number(2, 1)).repeat(1_000_000)),
            Some("data-length"),
        ),
    ]
}

fn lengths() -> Vec<Bad> {
    const NEGATIVE: u64 = u64::MAX;
    const HUGE: u64 = 1 << 40;
    let of = |name: &str, rule: &'static str, tensor: &[u8]| {
        let bytes = model(&[ends(), message(5, tensor)].concat());
        bad(format!("{rule}-{name}"), bytes, Some(rule))
    };
    let floats = |dims: &[u64], data: &[u8]| tensor("w", FLOAT, dims, data);
    let attribute = tensor_attribute("value", &floats(&[4], &raw(&[0; 3])));
    vec![
        of("negative", "dims", &floats(&[NEGATIVE], b"")),
        of("overflow", "dims", &floats(&[HUGE, HUGE], b"")),
        of("overflow-in-bytes", "dims", &floats(&[1 << 61], b"")),
        of("negative-beside-zero", "dims", &floats(&[0, NEGATIVE], b"")),
        of("nine", "rank", &floats(&[1; 9], &raw(&[0; 4]))),
        of("short", "data-length", &floats(&[4], &raw(&[0; 15]))),
        of("long", "data-length", &floats(&[4], &raw(&[0; 17]))),
        of("missing", "data-length", &floats(&[4], b"")),
        of(
            "a-gibibyte-of-nothing",
            "data-length",
            &floats(&[1 << 28], &raw(&[0; 4])),
        ),
        of(
            "both",
            "data-length",
            &floats(&[1], &[raw(&[0; 4]), message(4, &[0; 4])].concat()),
        ),
        of(
            "of-another-type",
            "data-length",
            &floats(&[1], &message(7, &[0])),
        ),
        of(
            "string-as-raw",
            "data-length",
            &tensor("w", 8, &[1], &raw(b"x")),
        ),
        of(
            "halves",
            "data-length",
            &tensor("w", 22, &[3], &raw(&[0; 3])),
        ),
        of("none", "data-type", &tensor("w", 0, &[1], &raw(&[0; 4]))),
        of(
            "unknown",
            "data-type",
            &tensor("w", 99, &[1], &raw(&[0; 4])),
        ),
        of(
            "cut-to-32-bits",
            "data-type",
            &tensor("w", 1 << 32 | 1, &[1], &raw(&[0; 4])),
        ),
        bad(
            "nine-dimensions-in",
            model(&value(11, "x", FLOAT, &[None; 9])),
            Some("rank"),
        ),
        bad(
            "data-length-in-an-attribute",
            model(&[ends(), node(&[], &["w"], "Constant", &attribute)].concat()),
            Some("data-length"),
        ),
    ]
}

fn doubled() -> Vec<Bad> {
    let whole = model(&ends());
    let relu = node(&["x"], &["y"], "Relu", &text(4, "EPContextx"));
    let raws = [raw(&[0; 400]), raw(&[0; 4])].concat();
    let two_raws = model(&message(5, &tensor("w", FLOAT, &[1], &raws)));
    let group = model(&[0x0b, 0x0c]);
    let wide_tag = model(&[0xf0, 0x80, 0x80, 0x80, 0x10, 0x01]);
    let field_zero = model(&[0x00, 0x01]);
    let number_for_graph = [whole.clone(), number(7, 1)].concat();
    vec![
        bad(
            "a-name-with-a-zero",
            model(&value(11, "a\0b", FLOAT, &[None])),
            Some("name"),
        ),
        bad(
            "two-graphs",
            [whole.clone(), message(7, b"")].concat(),
            Some("duplicate-field"),
        ),
        bad(
            "two-versions",
            [whole, number(1, 8)].concat(),
            Some("duplicate-field"),
        ),
        bad(
            "two-operators-in-a-node",
            model(&relu),
            Some("duplicate-field"),
        ),
        bad("two-datas-in-a-tensor", two_raws, Some("duplicate-field")),
        bad("a-group", group, Some("malformed")),
        bad("a-wide-tag", wide_tag, Some("malformed")),
        bad("field-zero", field_zero, Some("malformed")),
        bad("a-number-for-a-graph", number_for_graph, Some("malformed")),
    ]
}

fn formats() -> Vec<Bad> {
    let announced = [
        number(1, 8),
        varint(7 << 3 | 2),
        varint(2 << 30),
        vec![0; 1024],
    ]
    .concat();
    let announced_inside = model(&[varint(5 << 3 | 2), varint(2 << 30)].concat());
    let files: [(&str, Vec<u8>); 16] = [
        ("zeros", vec![0; 16]),
        ("many-zeros", vec![0; 1 << 20]),
        ("ones", vec![0xff; 4096]),
        ("html", b"<!DOCTYPE html><html></html>".to_vec()),
        ("text", b"this is no model\n".to_vec()),
        (
            "pickle",
            [b"\x80\x02}q\x00.".to_vec(), vec![0; 64]].concat(),
        ),
        ("zip", b"PK\x03\x04\x14\x00\x00\x00".to_vec()),
        ("hdf5", b"\x89HDF\r\n\x1a\n".to_vec()),
        ("tflite", b"\x1c\0\0\0TFL3".to_vec()),
        ("gguf", b"GGUF\x03\0\0\0".to_vec()),
        (
            "lfs",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
        ),
        (
            "ir",
            b"<?xml version=\"1.0\"?><net name=\"x\" version=\"11\"></net>".to_vec(),
        ),
        ("png", b"\x89PNG\r\n\x1a\n".to_vec()),
        ("elf", b"\x7fELF\x02\x01\x01".to_vec()),
        ("two-gibibytes-announced", announced),
        ("no-graph", number(1, 8)),
    ];
    let mut all: Vec<Bad> = files
        .into_iter()
        .map(|(name, bytes)| bad(format!("format-{name}"), bytes, Some("format")))
        .collect();
    all.push(bad(
        "ort-file",
        b"\x20\0\0\0ORTM\0\0\0\0".to_vec(),
        Some("ort-file"),
    ));
    all.push(bad(
        "two-gibibytes-announced-inside",
        announced_inside,
        Some("malformed"),
    ));
    all
}

/// A model cut at forty places.
fn cut() -> Vec<Bad> {
    let constant = tensor_attribute("value", &tensor("w", FLOAT, &[4], &raw(&[0; 16])));
    let nodes = [
        node(&[], &["w"], "Constant", &constant),
        node(&["x", "w"], &["y"], "Add", b""),
    ];
    let whole = with_graph(&[nodes.concat(), ends()].concat(), 17);
    let step = whole.len() / 41;
    // Behind the graph a cut may leave a model: then the opset is missing.
    let cuts = (1..=40)
        .map(|index| index * step)
        .filter(|&at| at < whole.len() - 12);
    cuts.map(|at| bad(format!("cut-at-{at}"), whole[..at].to_vec(), Some("format")))
        .collect()
}
