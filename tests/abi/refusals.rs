//! Cases about what is refused: at inputs and outputs, and at models by name and by bytes.

use crate::case::{BOTH, Case, WIT, cases};

/// What is refused, and that what comes next works.
pub(crate) const REFUSALS: &[Case] = cases! {
    BOTH "a missing input":
        "name:add-f32", "ctx:0", "in:0:0=fp32:4:1", "compute:0 !invalid-argument", "in:0:1=fp32:4:1", "compute:0",
        "out:0:0";
    BOTH "no input where there is one": "name:echo-f32", "ctx:0", "compute:0 !invalid-argument";
    BOTH "an index beyond the inputs":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:4:1", "in:0:1=fp32:4:1 witx!invalid-argument",
        "compute:0 wit!invalid-argument", "out:0:0 wit!no-output";
    BOTH "an index far beyond the inputs":
        "name:echo-f32", "ctx:0", "in:0:4294967295=fp32:4:1 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "an input for a model that has none":
        "name:constant-f32", "ctx:0", "in:0:0=fp32:1:1 witx!invalid-argument", "compute:0 wit!invalid-argument";
    BOTH "an output beyond the model's":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:4:1", "compute:0", "out:0:1 !invalid-argument",
        "out:0:4294967295 !invalid-argument", "out:0:0";
    BOTH "an output before any compute":
        "name:echo-f32", "ctx:0", "out:0:0 !no-output", "in:0:0=fp32:4:1", "out:0:0 !no-output", "compute:0", "out:0:0";
    BOTH "a wrong type":
        "name:echo-f32", "ctx:0", "in:0:0=i32:4:1 witx!invalid-argument", "compute:0 !invalid-argument",
        "in:0:0=fp32:4:1", "compute:0", "out:0:0";
    BOTH "a wrong type of the same size":
        "name:identity-fp16", "ctx:0", "in:0:0=u8:8:1 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "a wrong rank":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:2x2:1 witx!invalid-argument", "compute:0 !invalid-argument",
        "in:0:0=fp32:4:1", "compute:0", "out:0:0";
    BOTH "a scalar where there is a dimension":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:scalar:1 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "a wrong dimension":
        "name:picture-f32", "ctx:0", "in:0:0=fp32:1x3x10x10:1 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "a byte too few":
        "name:echo-f32", "ctx:0", "rawin:0:0=fp32:4:15 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "a byte too many":
        "name:echo-f32", "ctx:0", "rawin:0:0=fp32:4:17 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "no byte of four elements":
        "name:echo-f32", "ctx:0", "rawin:0:0=fp32:4:0 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "four bytes of no element":
        "name:echo-f32", "ctx:0", "rawin:0:0=fp32:0:4 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "four bytes of 2 GiB":
        "name:echo-f32", "ctx:0", "rawin:0:0=fp32:536870912:4 witx!invalid-argument", "compute:0 !invalid-argument";
    BOTH "dimensions whose product overflows":
        "name:any-fp32", "ctx:0", "rawin:0:0=fp32:4294967295x4294967295x4294967295:4 witx!invalid-argument",
        "compute:0 !invalid-argument";
    BOTH "a refused input leaves the one before it, where it is refused at once":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:4:1", "in:0:0=i32:4:9 witx!invalid-argument",
        "compute:0 wit!invalid-argument", "out:0:0 wit!no-output";
    BOTH "a buffer that is too small":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:4:1", "compute:0", "out:0:0:15 !too-large", "out:0:0:0 !too-large",
        "out:0:0:16";
    BOTH "operands that differ, found out in the run":
        "name:matmul-f32", "ctx:0", "in:0:0=fp32:2x3:1", "in:0:1=fp32:4x2:1", "compute:0 !runtime-error",
        "out:0:0 !no-output", "in:0:1=fp32:3x2:1", "compute:0", "out:0:0";
    BOTH "a failed compute takes the outputs before it along":
        "name:matmul-f32", "ctx:0", "in:0:0=fp32:2x3:1", "in:0:1=fp32:3x2:1", "compute:0", "out:0:0",
        "in:0:1=fp32:4x2:1", "compute:0 !runtime-error", "out:0:0 !no-output";
    BOTH "an output of 1 GiB":
        "name:zeros-f32", "ctx:0", "in:0:0=i64:1:268435456", "compute:0 !too-large", "in:0:0=i64:1:4", "compute:0",
        "out:0:0";
    BOTH "an output larger than memory":
        "name:zeros-f32", "ctx:0", "in:0:0=i64:2:1099511627776", "compute:0 !runtime-error", "in:0:0=i64:1:4",
        "compute:0", "out:0:0";
    BOTH "an output of negative extent":
        "name:zeros-f32", "ctx:0", "in:0:0=i64:1:-1", "compute:0 !runtime-error", "in:0:0=i64:1:4", "compute:0",
        "out:0:0";
    BOTH "an output of nine dimensions":
        "name:zeros-f32", "ctx:0", "in:0:0=i64:9:1", "compute:0 !runtime-error", "in:0:0=i64:8:1", "compute:0",
        "out:0:0";
};

/// Inputs by name, which witx does not have.
pub(crate) const NAMES: &[Case] = cases! {
    WIT "inputs by name": "name:add-f32", "ctx:0", "named:0:b=fp32:3:ramp", "named:0:a=fp32:3:5", "compute:0", "out:0:0";
    WIT "one by name and one by index":
        "name:add-f32", "ctx:0", "in:0:0=fp32:3:ramp", "named:0:b=fp32:3:5", "compute:0", "out:0:0";
    WIT "an input by name and by index as well":
        "name:echo-f32", "ctx:0", "in:0:0=fp32:3:ramp", "named:0:input=fp32:3:5", "compute:0 !invalid-argument";
    WIT "a name that is not the model's":
        "name:echo-f32", "ctx:0", "named:0:inputs=fp32:3:ramp", "compute:0 !invalid-argument";
    WIT "an empty name": "name:echo-f32", "ctx:0", "named:0:=fp32:3:ramp", "compute:0 !invalid-argument";
    WIT "an index written otherwise":
        "name:echo-f32", "ctx:0", "named:0:00=fp32:3:ramp", "compute:0", "out:0:0";
    WIT "a negative index": "name:echo-f32", "ctx:0", "named:0:-1=fp32:3:ramp", "compute:0 !invalid-argument";
    WIT "names that look like other inputs' indices":
        "name:odd-names", "ctx:0", "named:0:1=fp32:3:ramp", "named:0:0=fp32:3:5", "compute:0", "out:0:0";
};

/// Models by name.
pub(crate) const MODELS: &[Case] = cases! {
    BOTH "a version": "name:echo-f32@1", "ctx:0", "in:0:0=fp32:3:ramp", "compute:0", "out:0:0";
    BOTH "names of nothing":
        "name:nobody !not-found", "name:echo-f32@2 !not-found", "name:echo-f32@4294967295 !not-found",
        "name:echo-f32:canary !not-found", "name:ECHO-F32 !not-found", "ctx:0 !no-handle";
    BOTH "names that are none":
        "name: !invalid-argument", "name:@1 !invalid-argument", "name::canary !invalid-argument",
        "name:echo-f32@ !invalid-argument", "name:echo-f32@0 !invalid-argument", "name:echo-f32@01 !invalid-argument",
        "name:echo-f32@-1 !invalid-argument", "name:echo-f32@4294967296 !invalid-argument",
        "name:echo-f32@1@1 !invalid-argument", "name:echo-f32: !invalid-argument", "name:../echo-f32 !invalid-argument",
        "name:/etc/passwd !invalid-argument", "name:echo*f32 !invalid-argument", "name:.hidden !invalid-argument";
    BOTH "a name of nothing, then a good one":
        "name:nobody !not-found", "name:echo-f32", "ctx:1", "in:0:0=fp32:3:ramp", "compute:0", "out:0:0";
};

/// Models by their bytes.
pub(crate) const BYTES: &[Case] = cases! {
    BOTH "a model as bytes":
        "bytes:/models/echo-f32.onnx", "ctx:0", "in:0:0=fp32:3:ramp", "compute:0", "out:0:0";
    BOTH "a model as bytes, detected":
        "bytes:/models/add-f32.onnx:autodetect", "ctx:0", "in:0:0=fp32:3:ramp", "in:0:1=fp32:3:1", "compute:0", "out:0:0";
    BOTH "the same bytes thrice":
        "bytes:/models/echo-f32.onnx", "bytes:/models/echo-f32.onnx", "bytes:/models/echo-f32.onnx:autodetect",
        "ctx:0", "ctx:2", "in:0:0=fp32:3:1", "in:1:0=fp32:3:2", "compute:0", "compute:1", "out:0:0", "out:1:0";
    BOTH "bytes and a name beside each other":
        "bytes:/models/echo-f32.onnx", "name:echo-f32", "ctx:0", "ctx:1", "in:0:0=fp32:3:1", "in:1:0=fp32:3:2",
        "compute:0", "compute:1", "out:0:0", "out:1:0";
    BOTH "three different models":
        "bytes:/models/echo-f32.onnx", "bytes:/models/add-f32.onnx", "bytes:/models/scalar.onnx !busy",
        "ctx:0", "in:0:0=fp32:3:1", "compute:0", "out:0:0";
    BOTH "junk":
        "bytes:/junk/text !invalid-encoding", "bytes:/junk/text:autodetect !invalid-encoding",
        "bytes:/junk/zeros !invalid-encoding", "bytes:/models/echo-f32.onnx", "ctx:3", "in:0:0=fp32:3:1",
        "compute:0", "out:0:0";
    BOTH "half a model": "bytes:/junk/half !invalid-encoding", "bytes:/junk/half:autodetect !invalid-encoding";
    BOTH "no bytes": "bytes:/junk/nothing !invalid-encoding", "bytes:/junk/nothing:autodetect !invalid-encoding";
    BOTH "two parts, where a model of this encoding has one":
        "bytes:/models/echo-f32.onnx,/models/add-f32.onnx !invalid-argument";
    BOTH "one part, where a model of this encoding has two":
        "bytes:/models/echo-f32.onnx:openvino !invalid-argument";
    BOTH "encodings that are not offered":
        "bytes:/models/echo-f32.onnx:tensorflow !invalid-encoding",
        "bytes:/models/echo-f32.onnx:pytorch !invalid-encoding",
        "bytes:/models/echo-f32.onnx:tensorflowlite !invalid-encoding";
    WIT "an encoding that witx has no number for": "bytes:/models/echo-f32.onnx:ggml !invalid-encoding";
    BOTH "targets that are not offered":
        "bytes:/models/echo-f32.onnx:onnx:gpu !unsupported-operation",
        "bytes:/models/echo-f32.onnx:onnx:tpu !unsupported-operation",
        "bytes:/models/echo-f32.onnx:openvino:tpu !unsupported-operation",
        "bytes:/models/echo-f32.onnx:onnx:cpu";
    BOTH "a model of nine dimensions": "bytes:/models/rank9-f32.onnx !unsupported-operation";
    BOTH "a model of a type that wasi-nn does not have": "bytes:/models/identity-bool.onnx !unsupported-operation";
};
