//! What a declaration comes to, and what is refused.

use nn_tensor::{Dim, Shape};

use super::*;
use crate::declare::{Given, Order, Output, PerChannel, Picture, Softmax};
use crate::input::Scratch;
use crate::output::Made;
use crate::{Channels, Layout};

fn spec(name: &str, dtype: DType, dims: &[i64]) -> TensorSpec {
    let dim = |dim: &i64| u32::try_from(*dim).map_or(Dim::Any, Dim::Fixed);
    TensorSpec {
        name: nn_tensor::TensorName::new(name).unwrap(),
        dtype,
        dims: Some(dims.iter().map(dim).collect()),
    }
}

/// A picture and a count in, scores and a mask out.
fn own(picture: &[i64]) -> Signature {
    Signature {
        inputs: vec![
            spec("images", DType::Fp32, picture),
            spec("count", DType::I64, &[-1]),
        ],
        outputs: vec![
            spec("scores", DType::Fp16, &[-1, 10]),
            spec("mask", DType::U8, &[-1, 4]),
        ],
    }
}

fn of_input(name: &str, input: Input) -> Conversions {
    Conversions {
        inputs: [(name.to_owned(), input)].into(),
        ..Conversions::default()
    }
}

fn of_picture(picture: Picture) -> Conversions {
    of_input("images", Input::Picture(picture))
}

fn of_output(name: &str, output: Output) -> Conversions {
    Conversions {
        outputs: [(name.to_owned(), output)].into(),
        ..Conversions::default()
    }
}

fn shown(signature: &Signature) -> (Vec<String>, Vec<String>) {
    let show = |specs: &[TensorSpec]| {
        let shown = specs.iter().map(|spec| format!("{}: {spec}", spec.name));
        shown.collect::<Vec<_>>()
    };
    (show(&signature.inputs), show(&signature.outputs))
}

fn fault(declared: &Conversions, own: &Signature) -> String {
    Plan::new(declared, own).unwrap_err().to_string()
}

const NCHW: [i64; 4] = [-1, 3, 224, 224];

#[test]
fn nothing_declared_changes_nothing() {
    let plan = Plan::new(&Conversions::default(), &own(&NCHW)).unwrap();
    assert_eq!(plan.signature(), &own(&NCHW));
    assert!(plan.input(0).is_none());
    assert_eq!(plan.output(1).err(), Some(1));
}

#[test]
fn clients_send_pictures_of_any_size_and_get_the_largest_with_their_labels() {
    let output = Output {
        softmax: Some(Softmax(-1)),
        top_k: Some(3),
        labels: vec!["cat".into()],
        ..Output::default()
    };
    let declared = Conversions {
        outputs: [("scores".to_owned(), output)].into(),
        ..of_picture(Picture::default())
    };
    let plan = Plan::new(&declared, &own(&NCHW)).unwrap();
    let (inputs, outputs) = shown(plan.signature());
    assert_eq!(inputs, ["images: u8 [?, ?, 3]", "count: i64 [?]"]);
    assert_eq!(
        outputs,
        [
            "scores.values: fp32 [?, 3]",
            "scores.indices: i32 [?, 3]",
            "scores.labels: u8 [?]",
            "mask: u8 [?, 4]"
        ]
    );
    assert_eq!(
        plan.output(1).err(),
        Some(3),
        "behind what was made of the first"
    );
}

#[test]
fn a_models_shape_tells_where_its_channels_are_or_it_has_to_be_said() {
    let many = Picture {
        layout: Layout::Nhwc,
        ..Picture::default()
    };
    let plan = Plan::new(&of_picture(many), &own(&[-1, 8, 8, 4])).unwrap();
    assert_eq!(shown(plan.signature()).0[0], "images: u8 [?, ?, ?, 4]");
    let plan = Plan::new(&of_picture(Picture::default()), &own(&[1, 8, 8])).unwrap();
    assert_eq!(shown(plan.signature()).0[0], "images: u8 [?, ?, 1]");
    let either = own(&[1, 3, 5, 3]);
    let told = fault(&of_picture(Picture::default()), &either);
    assert!(
        told.contains("picture.channels") && told.contains("[1, 3, 5, 3]"),
        "{told}"
    );
    let said = Picture {
        channels: Some(Channels::Last),
        ..Picture::default()
    };
    assert!(Plan::new(&of_picture(said), &either).is_ok());
}

#[test]
fn a_size_that_is_open_is_said_and_one_that_is_not_is_not_said_otherwise() {
    let open = own(&[-1, 3, -1, -1]);
    let told = fault(&of_picture(Picture::default()), &open);
    assert!(told.contains("size = [height, width]"), "{told}");
    let sized = |size| {
        of_picture(Picture {
            size: Some(size),
            ..Picture::default()
        })
    };
    let plan = Plan::new(&sized([8, 9]), &open).unwrap();
    let made = plan
        .input(0)
        .unwrap()
        .makes(Shape::new(&[2, 2, 3]).unwrap())
        .unwrap();
    assert_eq!(made.1.dims(), [1, 3, 8, 9]);
    let told = fault(&sized([8, 9]), &own(&NCHW));
    assert!(told.contains("leave it out"), "{told}");
    assert!(fault(&sized([0, 9]), &open).contains("1 to 16384"));
}

#[test]
fn pictures_that_are_none_are_refused_with_what_the_model_has() {
    for shape in [
        &[-1_i64, 10][..],
        &[1, 2, 8, 8],
        &[-1, -1, 8, 8],
        &[1, 1, 3, 8, 8],
    ] {
        let told = fault(&of_picture(Picture::default()), &own(shape));
        assert!(told.contains("inputs.images.picture"), "{told}");
        assert!(told.contains("fp32 ["), "{told}");
    }
    let several = fault(&of_picture(Picture::default()), &own(&[4, 3, 8, 8]));
    assert!(several.contains("nhwc"), "{several}");
    let bgr = Picture {
        order: Order::Bgr,
        ..Picture::default()
    };
    let grey = fault(&of_picture(bgr), &own(&[1, 1, 8, 8]));
    assert!(grey.contains("order"), "{grey}");
    let numbers = Picture {
        std: Some(PerChannel::All(0.0)),
        ..Picture::default()
    };
    assert!(fault(&of_picture(numbers), &own(&NCHW)).contains("other than 0"));
    let numbers = Picture {
        mean: Some(PerChannel::Each(vec![1.0; 2])),
        ..Picture::default()
    };
    assert!(fault(&of_picture(numbers), &own(&NCHW)).contains("one number, or 3"));
}

#[test]
fn numbers_that_the_models_type_does_not_have_are_told_by_their_byte() {
    let mut bytes = own(&NCHW);
    bytes.inputs[0].dtype = DType::U8;
    let shifted = Picture {
        mean: Some(PerChannel::All(1.0)),
        ..Picture::default()
    };
    let told = fault(&of_picture(shifted), &bytes);
    assert!(told.contains("-1 for a byte of 0"), "{told}");
    assert!(Plan::new(&of_picture(Picture::default()), &bytes).is_ok());
}

#[test]
fn what_does_nothing_or_cannot_be_is_refused() {
    let dtype = |dtype| Input::DType(Given(dtype));
    let told = fault(&of_input("count", dtype(DType::I64)), &own(&NCHW));
    assert!(told.contains("does nothing"), "{told}");
    let told = fault(&of_input("cuont", dtype(DType::U8)), &own(&NCHW));
    assert!(told.contains("did you mean inputs.count?"), "{told}");
    let mut twice = of_input("count", dtype(DType::U8));
    twice.inputs.insert("1".to_owned(), dtype(DType::U8));
    assert!(fault(&twice, &own(&NCHW)).contains("twice"));
    let soft = |axis| Output {
        softmax: Some(Softmax(axis)),
        ..Output::default()
    };
    assert!(fault(&of_output("mask", soft(-1)), &own(&NCHW)).contains("floating-point"));
    assert!(fault(&of_output("scores", soft(2)), &own(&NCHW)).contains("a dimension 2"));
    assert!(fault(&of_output("scores", soft(-3)), &own(&NCHW)).contains("a dimension -3"));
    let largest = |k| Output {
        top_k: Some(k),
        ..Output::default()
    };
    assert!(fault(&of_output("scores", largest(11)), &own(&NCHW)).contains("at least 11"));
    assert!(fault(&of_output("scores", largest(0)), &own(&NCHW)).contains("1 to 10000"));
    let same = Output {
        dtype: Some(Given(DType::Fp32)),
        ..soft(-1)
    };
    assert!(fault(&of_output("scores", same), &own(&NCHW)).contains("does nothing"));
    let mut names = own(&NCHW);
    names.outputs[1] = spec("scores.values", DType::U8, &[1]);
    assert!(fault(&of_output("scores", largest(1)), &names).contains("second output"));
}

#[test]
fn planes_are_looked_up_in_the_models_order_of_colours() {
    let picture = Picture {
        order: Order::Bgr,
        mean: Some(PerChannel::Each(vec![0.0, 10.0, 20.0])),
        ..Picture::default()
    };
    let plan = Plan::new(&of_picture(picture), &own(&[1, 3, 1, 2])).unwrap();
    let step = plan.input(0).unwrap();
    let given = Shape::new(&[1, 2, 3]).unwrap();
    let (dtype, shape, len) = step.makes(given).unwrap();
    assert_eq!(
        (dtype, shape.dims(), len),
        (DType::Fp32, &[1, 3, 1, 2][..], 24)
    );
    let mut made = vec![0; len];
    let bytes = [1, 2, 3, 101, 102, 103];
    step.convert((given, &bytes), &mut made, &mut Scratch::default())
        .unwrap();
    let (made, _) = made.as_chunks();
    let made: Vec<f32> = made
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(made, [3.0, 103.0, -8.0, 92.0, -19.0, 81.0]);
}

#[test]
fn several_pictures_are_converted_one_by_one_and_in_place_where_channels_are_last() {
    let many = Picture {
        layout: Layout::Nhwc,
        ..Picture::default()
    };
    let plan = Plan::new(&of_picture(many), &own(&[-1, 2, 2, 3])).unwrap();
    let step = plan.input(0).unwrap();
    let given = Shape::new(&[2, 2, 2, 3]).unwrap();
    let mut made = vec![0; step.makes(given).unwrap().2];
    let bytes: Vec<u8> = (0..24).collect();
    step.convert((given, &bytes), &mut made, &mut Scratch::default())
        .unwrap();
    let (made, _) = made.as_chunks();
    let made: Vec<f32> = made
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let expected: Vec<f32> = bytes.iter().copied().map(f32::from).collect();
    assert_eq!(made, expected);
    assert!(step.makes(Shape::new(&[1, 0, 2, 3]).unwrap()).is_err());
    assert!(step.makes(Shape::new(&[1, 2, 3]).unwrap()).is_err());
    let short = step.convert((given, &bytes[1..]), &mut [0; 96], &mut Scratch::default());
    assert!(short.is_err());
}

#[test]
fn an_output_is_given_as_values_places_and_lines() {
    let output = Output {
        top_k: Some(2),
        dtype: Some(Given(DType::Fp64)),
        labels: vec!["a".into(), "b b".into()],
        ..Output::default()
    };
    let mut own = own(&NCHW);
    own.outputs[0] = spec("scores", DType::Fp32, &[-1, 3]);
    let plan = Plan::new(&of_output("scores", output), &own).unwrap();
    let step = plan.output(0).unwrap();
    let given = Shape::new(&[2, 3]).unwrap();
    let numbers = [1.0_f32, 3.0, 2.0, 9.0, 8.0, 7.0];
    let mut bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let mut all = Vec::new();
    let mut scratch = Scratch::default();
    step.convert((given, &mut bytes), &mut scratch, |made: Made<'_>| {
        all.push((made.index, made.dtype, made.shape, made.bytes.to_vec()));
        Ok::<(), Box<Fault>>(())
    })
    .unwrap();
    let values: Vec<u8> = [3.0_f64, 2.0, 9.0, 8.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let places: Vec<u8> = [1_i32, 2, 0, 1]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let two = Shape::new(&[2, 2]).unwrap();
    assert_eq!(all[0], (0, DType::Fp64, two, values));
    assert_eq!(all[1], (1, DType::I32, two, places));
    assert_eq!(
        all[2],
        (
            2,
            DType::U8,
            Shape::new(&[12]).unwrap(),
            b"b b\n2\na\nb b\n".to_vec()
        )
    );
}

#[test]
fn no_rows_give_no_values_and_no_lines() {
    let output = Output {
        top_k: Some(2),
        labels: vec!["a".into()],
        ..Output::default()
    };
    let plan = Plan::new(&of_output("scores", output), &own(&NCHW)).unwrap();
    let mut lens = Vec::new();
    let given = Shape::new(&[0, 10]).unwrap();
    let step = plan.output(0).unwrap();
    step.convert(
        (given, &mut Vec::new()),
        &mut Scratch::default(),
        |made: Made<'_>| {
            lens.push((made.bytes.len(), made.shape.elements()));
            Ok::<(), Box<Fault>>(())
        },
    )
    .unwrap();
    assert_eq!(lens, [(0, Some(0)), (0, Some(0)), (0, Some(0))]);
}
