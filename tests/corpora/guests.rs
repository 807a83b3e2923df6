//! Seeds of `witx`, `npy` and `onnx_vet`: what guests and people hand in.

use crate::Seed;
use crate::witx::{Call, seed};

/// Calls of a guest, and files.
pub(crate) fn seeds() -> Vec<Seed> {
    [calls(), arrays(), models()].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn calls() -> Vec<Seed> {
    // Dimensions at 20, data at 28; then a scalar, whose dimensions are nowhere and whose data are at 40.
    let tensor = |dtype| [words(&[20, 2, dtype, 28, 12, 1, 3]), vec![9; 12]].concat();
    let scalar = [words(&[0, 0, 1, 20, 4]), vec![9; 4]].concat();
    let empty = words(&[20, 3, 0, 0, 0, u32::MAX, 0, u32::MAX]);
    let parts = [words(&[16, 3, 19, 0]), b"abc".to_vec()].concat();
    let call = |function, dialect, a, b| Call {
        function,
        dialect,
        a,
        b,
    };
    vec![
        ("witx", "tensor", seed(call(0, 2, 0, 0), &tensor(1))),
        ("witx", "tensor-of-0.4", seed(call(0, 0, 0, 0), &tensor(3))),
        ("witx", "tensor-scalar", seed(call(0, 2, 0, 0), &scalar)),
        ("witx", "tensor-empty", seed(call(0, 3, 0, 0), &empty)),
        ("witx", "builders", seed(call(1, 2, 0, 2), &parts)),
        (
            "witx",
            "name",
            seed(call(2, 2, 2, 7), "--foo:öa".as_bytes()),
        ),
        ("witx", "number", seed(call(3, 1, 1, 300), &[0; 8])),
        ("witx", "enumerations", seed(call(4, 3, 6, 0), &[])),
    ]
}

fn array(version: &[u8], header: &str, data: usize) -> Vec<u8> {
    [b"\x93NUMPY", version, header.as_bytes(), &vec![0; data]].concat()
}

fn arrays() -> Vec<Seed> {
    let row = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n";
    let scalar = "{'descr': '<V2', 'fortran_order': False, 'shape': (), }\n";
    let fortran = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2), }\n";
    let big = "{\"shape\": (2L, 2), 'descr': '>i8', 'fortran_order': False}";
    let len = |header: &str| u8::try_from(header.len()).expect("a short header");
    vec![
        ("npy", "row", array(&[1, 0, len(row), 0], row, 12)),
        (
            "npy",
            "scalar",
            array(&[2, 0, len(scalar), 0, 0, 0], scalar, 2),
        ),
        (
            "npy",
            "fortran",
            array(&[1, 0, len(fortran), 0], fortran, 4),
        ),
        (
            "npy",
            "big-endian",
            array(&[3, 0, len(big), 0, 0, 0], big, 32),
        ),
    ]
}

fn models() -> Vec<Seed> {
    // A tag and a length below 128 are a byte each; fields beyond 15 have tags of two bytes.
    let field = |tag: &[u8], content: &[u8]| {
        let len = u8::try_from(content.len()).expect("a short message");
        [tag, &[len], content].concat()
    };
    let version = [0x08, 8];
    let inside = [field(&[0x42], b"w"), vec![0x70, 0]].concat();
    let elsewhere = [field(&[0x42], b"w"), vec![0x70, 1]].concat();
    let graph = |initializer: &[u8]| field(&[0x3a], &field(&[0x2a], initializer));
    // In an attribute of a node in a graph that is an attribute of a node; in training; in a function.
    let nested = |tensor: &[u8]| {
        let attribute = field(&[0x0a], &field(&[0x2a], &field(&[0x2a], tensor)));
        let node = field(&[0x0a], &field(&[0x2a], &field(&[0x32], &attribute)));
        let training = field(&[0xa2, 1], &field(&[0x0a], &field(&[0x2a], &inside)));
        let function = field(&[0xca, 1], &field(&[0x5a], &field(&[0x2a], &inside)));
        [&version[..], &field(&[0x3a], &node), &training, &function].concat()
    };
    let flat = |tensor: &[u8]| [&version[..], &graph(tensor)].concat();
    vec![
        ("onnx_vet", "smallest", [&version[..], &[0x3a, 0]].concat()),
        ("onnx_vet", "inside", flat(&inside)),
        ("onnx_vet", "elsewhere", flat(&elsewhere)),
        ("onnx_vet", "nested", nested(&inside)),
        ("onnx_vet", "nested-elsewhere", nested(&elsewhere)),
    ]
}
