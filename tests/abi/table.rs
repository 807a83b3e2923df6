//! Cases that are answered: types, shapes, many inputs and outputs, and what stays from call to call.

use crate::case::{BOTH, Case, WIT, cases};

/// The same in every rank: 0 to 8, without elements too. `$known` is what is known of the output.
macro_rules! ranks {
    (@ $dtype:literal $known:literal $($dims:literal)+) => {
        &[
            concat!("name:any-", $dtype),
            "ctx:0",
            $(
                concat!("in:0:0=", $dtype, ":", $dims, ":seed:7"),
                "compute:0",
                concat!("out:0:0", $known, $dims, ":seed:7"),
            )+
        ]
    };
    ($abis:ident $dtype:literal $known:literal) => {
        Case {
            name: concat!($dtype, " in every rank"),
            abis: $abis,
            steps: ranks!(@ $dtype $known "scalar" "1" "5" "2x3" "1x2x3" "2x1x2x3" "1x2x1x2x2"
                "1x1x2x1x3x1" "2x1x1x2x1x1x2" "1x2x1x2x1x2x1x2" "0" "2x0x2" "0x0x0x0x0x0x0x0"),
        }
    };
}

/// Every element type in every rank. Where ONNX Runtime's types are not in this process, what went in comes
/// out.
pub(crate) const TYPES: &[Case] = &[
    ranks!(WIT "bf16" " =bf16:"),
    ranks!(BOTH "fp16" " =fp16:"),
    ranks!(BOTH "fp32" " =fp32:"),
    ranks!(BOTH "fp64" " =fp64:"),
    ranks!(BOTH "u8" " =u8:"),
    ranks!(BOTH "i32" " =i32:"),
    ranks!(BOTH "i64" " =i64:"),
];

/// Ranks and extents: scalars, nothing at all, sizes that change.
pub(crate) const SHAPES: &[Case] = cases! {
    BOTH "a scalar of rank 0":
        "name:scalar", "ctx:0", "in:0:0=fp32:scalar:5", "compute:0", "out:0:0";
    BOTH "a scalar written as [1]":
        "name:scalar", "ctx:0", "in:0:0=fp32:1:5", "compute:0", "out:0:0";
    BOTH "two numbers are no scalar":
        "name:scalar", "ctx:0", "in:0:0=fp32:2:5 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "all eight dimensions fixed":
        "name:rank8-f32", "ctx:0", "in:0:0=fp32:1x2x1x2x1x2x1x2:ramp", "compute:0", "out:0:0";
    BOTH "all eight dimensions fixed, one wrong":
        "name:rank8-f32", "ctx:0", "in:0:0=fp32:1x2x1x2x1x2x1x3:ramp witx!invalid-argument",
        "compute:0 !invalid-argument";
    BOTH "nine dimensions":
        "name:any-fp32", "ctx:0", "in:0:0=fp32:1x1x1x1x1x1x1x1x1:1 witx!invalid-argument",
        "compute:0 !invalid-argument";
    BOTH "nothing, echoed":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:0:0", "compute:0", "out:0:0", "out:0:0:0";
    BOTH "the sum of no rows":
        "name:sum-rows", "ctx:0", "in:0:0=fp32:0x3:0", "compute:0", "out:0:0";
    BOTH "the sum of empty rows":
        "name:sum-rows", "ctx:0", "in:0:0=fp32:2x0:0", "compute:0", "out:0:0";
    BOTH "the maximum of no rows":
        "name:max-rows", "ctx:0", "in:0:0=fp32:0x3:0", "compute:0", "out:0:0";
    BOTH "a product over nothing":
        "name:matmul-f32", "ctx:0", "in:0:0=fp32:2x0:0", "in:0:1=fp32:0x3:0", "compute:0", "out:0:0";
    BOTH "sixteen empty outputs":
        "name:split-16", "ctx:0", "in:0:0=fp32:16x0:0", "compute:0", "out:0:0", "out:0:15";
    BOTH "one size after the other in one context":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:3:ramp", "compute:0", "out:0:0",
        "in:0:0=fp32:1000:ramp", "compute:0", "out:0:0", "in:0:0=fp32:0:0", "compute:0", "out:0:0",
        "in:0:0=fp32:1:7", "compute:0", "out:0:0";
    BOTH "two dynamic dimensions, changing":
        "name:sum-rows", "ctx:0", "in:0:0=fp32:2x3:ramp", "compute:0", "out:0:0",
        "in:0:0=fp32:5x1:lcg:3", "compute:0", "out:0:0", "in:0:0=fp32:1x7:lcg:4", "compute:0", "out:0:0";
    BOTH "a maximum over a changing number of rows":
        "name:max-rows", "ctx:0", "in:0:0=fp32:4x3:lcg:5", "compute:0", "out:0:0",
        "in:0:0=fp32:1x3:lcg:6", "compute:0", "out:0:0";
    BOTH "two inputs whose sizes change together":
        "name:matmul-f32", "ctx:0", "in:0:0=fp32:2x3:lcg:1", "in:0:1=fp32:3x4:lcg:2", "compute:0", "out:0:0",
        "in:0:0=fp32:1x8:lcg:1", "in:0:1=fp32:8x1:lcg:2", "compute:0", "out:0:0";
    BOTH "an output whose size depends on the data":
        "name:split-dynamic", "ctx:0", "in:0:0=fp32:6:ramp", "compute:0", "out:0:0",
        "in:0:0=fp32:6:0", "compute:0", "out:0:0", "in:0:0=fp32:300:1", "compute:0", "out:0:0";
    BOTH "positions in every rank":
        "name:nonzero-any", "ctx:0", "in:0:0=i64:scalar:1", "compute:0", "out:0:0",
        "in:0:0=i64:5:ramp", "compute:0", "out:0:0", "in:0:0=i64:2x3:ramp", "compute:0", "out:0:0",
        "in:0:0=i64:1x2x1x2x1x2x1x2:ramp", "compute:0", "out:0:0", "in:0:0=i64:0:0", "compute:0", "out:0:0";
    BOTH "an output whose shape is an input":
        "name:zeros-f32", "ctx:0", "in:0:0=i64:2:3", "compute:0", "out:0:0",
        "in:0:0=i64:8:1", "compute:0", "out:0:0", "in:0:0=i64:0:0", "compute:0", "out:0:0",
        "in:0:0=i64:1:0", "compute:0", "out:0:0";
    BOTH "a tensor larger than a segment":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:2000000:ramp", "compute:0", "out:0:0:8000000";
};

/// Many inputs, many outputs, several types.
pub(crate) const COUNTS: &[Case] = cases! {
    BOTH "no input at all": "name:constant-f32", "ctx:0", "compute:0", "out:0:0", "compute:0", "out:0:0";
    BOTH "sixteen inputs in order":
        "name:concat-16", "ctx:0", "in:0:0=fp32:1:0", "in:0:1=fp32:2:1", "in:0:2=fp32:3:2", "in:0:3=fp32:0:3",
        "in:0:4=fp32:1:4", "in:0:5=fp32:2:5", "in:0:6=fp32:3:6", "in:0:7=fp32:4:7", "in:0:8=fp32:1:8",
        "in:0:9=fp32:2:9", "in:0:10=fp32:3:10", "in:0:11=fp32:4:11", "in:0:12=fp32:1:12", "in:0:13=fp32:2:13",
        "in:0:14=fp32:3:14", "in:0:15=fp32:4:15", "compute:0", "out:0:0";
    BOTH "sixteen inputs backwards":
        "name:concat-16", "ctx:0", "in:0:15=fp32:4:15", "in:0:14=fp32:3:14", "in:0:13=fp32:2:13",
        "in:0:12=fp32:1:12", "in:0:11=fp32:4:11", "in:0:10=fp32:3:10", "in:0:9=fp32:2:9", "in:0:8=fp32:1:8",
        "in:0:7=fp32:4:7", "in:0:6=fp32:3:6", "in:0:5=fp32:2:5", "in:0:4=fp32:1:4", "in:0:3=fp32:0:3",
        "in:0:2=fp32:3:2", "in:0:1=fp32:2:1", "in:0:0=fp32:1:0", "compute:0", "out:0:0";
    BOTH "fifteen of sixteen inputs":
        "name:concat-16", "ctx:0", "in:0:0=fp32:1:0", "in:0:1=fp32:2:1", "in:0:2=fp32:3:2", "in:0:3=fp32:0:3",
        "in:0:4=fp32:1:4", "in:0:5=fp32:2:5", "in:0:6=fp32:3:6", "in:0:7=fp32:4:7", "in:0:8=fp32:1:8",
        "in:0:9=fp32:2:9", "in:0:11=fp32:4:11", "in:0:12=fp32:1:12", "in:0:13=fp32:2:13",
        "in:0:14=fp32:3:14", "in:0:15=fp32:4:15", "compute:0 !invalid-argument",
        "in:0:10=fp32:3:10", "compute:0", "out:0:0";
    BOTH "sixteen outputs":
        "name:split-16", "ctx:0", "in:0:0=fp32:16x3:ramp", "compute:0", "out:0:0", "out:0:1", "out:0:2", "out:0:3",
        "out:0:4", "out:0:5", "out:0:6", "out:0:7", "out:0:8", "out:0:9", "out:0:10", "out:0:11", "out:0:12",
        "out:0:13", "out:0:14", "out:0:15", "out:0:16 !invalid-argument";
    BOTH "outputs backwards, and twice":
        "name:split-16", "ctx:0", "in:0:0=fp32:16x2:lcg:9", "compute:0", "out:0:15", "out:0:7", "out:0:0", "out:0:7";
    BOTH "six types in one model":
        "name:mixed-types", "ctx:0", "in:0:0=fp16:3:ramp", "in:0:1=fp32:4:ramp", "in:0:2=fp64:5:ramp",
        "in:0:3=u8:6:ramp", "in:0:4=i32:7:ramp", "in:0:5=i64:8:ramp", "compute:0",
        "out:0:0 =i64:8:ramp", "out:0:1 =i32:7:ramp", "out:0:2 =u8:6:ramp", "out:0:3 =fp64:5:ramp",
        "out:0:4 =fp32:4:ramp", "out:0:5 =fp16:3:ramp";
    BOTH "six types in one model, two of them swapped":
        "name:mixed-types", "ctx:0", "in:0:0=fp16:3:ramp", "in:0:1=fp64:4:ramp witx!invalid-argument",
        "in:0:2=fp32:5:ramp witx!invalid-argument", "in:0:3=u8:6:ramp", "in:0:4=i32:7:ramp", "in:0:5=i64:8:ramp",
        "compute:0 !invalid-argument";
    BOTH "an output of each type":
        "name:cast-chain", "ctx:0", "in:0:0=fp32:200:ramp", "compute:0", "out:0:0", "out:0:1", "out:0:2", "out:0:3",
        "out:0:4 =fp16:200:ramp", "out:0:5 =bf16:200:ramp";
    BOTH "two outputs of different rank":
        "name:two-outputs", "ctx:0", "in:0:0=fp32:9:lcg:2", "compute:0", "out:0:0", "out:0:1";
};

/// Contexts and graphs beside each other, and what stays from one compute to the next.
pub(crate) const STATE: &[Case] = cases! {
    BOTH "an input stays for the next compute":
        "name:add-f32", "ctx:0", "in:0:0=fp32:4:ramp", "in:0:1=fp32:4:1", "compute:0", "out:0:0",
        "in:0:1=fp32:4:2", "compute:0", "out:0:0", "compute:0", "out:0:0";
    BOTH "an input is replaced before it was used":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:4:1", "in:0:0=fp32:4:2", "in:0:0=fp32:9:3", "compute:0", "out:0:0";
    BOTH "an input of the same size is replaced while outputs are held":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:4:1", "compute:0", "in:0:0=fp32:4:2", "out:0:0", "compute:0",
        "out:0:0";
    BOTH "four contexts of one graph, interleaved":
        "name:echo-f32", "ctx:0", "ctx:0", "ctx:0", "ctx:0", "in:0:0=fp32:3:1", "in:1:0=fp32:3:2",
        "in:2:0=fp32:3:3", "compute:2", "compute:0", "compute:1", "out:1:0", "out:0:0", "in:0:0=fp32:3:4",
        "compute:0", "out:2:0", "out:0:0", "out:3:0 !no-output", "compute:3 !invalid-argument", "out:1:0";
    BOTH "several graphs, interleaved":
        "name:echo-f32", "name:add-f32", "name:scalar", "ctx:2", "ctx:0", "ctx:1", "in:0:0=fp32:scalar:3",
        "in:1:0=fp32:5:ramp", "in:2:0=fp32:2:1", "in:2:1=fp32:2:2", "compute:1", "compute:2", "compute:0",
        "out:0:0", "out:1:0", "out:2:0", "compute:0", "out:2:0", "out:0:0";
    BOTH "one model under two graphs":
        "name:echo-f32", "name:echo-f32", "ctx:0", "ctx:1", "in:0:0=fp32:2:1", "in:1:0=fp32:2:2", "compute:0",
        "compute:1", "out:0:0", "out:1:0";
    BOTH "ten computes in one context":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:8:lcg:1", "compute:0", "compute:0", "compute:0", "compute:0",
        "compute:0", "compute:0", "compute:0", "compute:0", "compute:0", "compute:0", "out:0:0";
    BOTH "an output is read again":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:8:lcg:1", "compute:0", "out:0:0", "out:0:0:32", "out:0:0";
    BOTH "a context of no graph": "ctx:0 !no-handle", "compute:0 !no-handle", "out:0:0 !no-handle";
};
