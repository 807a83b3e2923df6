//! Tensors: what fits is kept as it is, what does not is refused with both numbers in it.

use super::*;

fn refusal<T: fmt::Debug>(result: Result<T, Failure>) -> String {
    let failure = result.unwrap_err();
    assert_eq!(failure.code, Code::InvalidArgument);
    failure.text
}

#[test]
fn numbers_survive_the_way_through_bytes() {
    let tensor = Tensor::new(&[2, 2], &[1_i64, -2, i64::MAX, i64::MIN]).unwrap();
    assert_eq!(tensor.bytes().len(), 32);
    assert_eq!(tensor.to_vec::<i64>().unwrap(), [1, -2, i64::MAX, i64::MIN]);
}

#[test]
fn numbers_are_borrowed_and_little_endian() {
    let values = [1.0_f32, 2.0];
    let tensor = Tensor::new(&[2], &values).unwrap();
    assert_eq!(tensor.bytes().as_ptr(), values.as_ptr().cast());
    assert_eq!(tensor.bytes(), [0, 0, 128, 63, 0, 0, 0, 64]);
    assert!(matches!(tensor.values::<f32>(), Ok(Cow::Borrowed(_))));
}

#[test]
fn bytes_out_of_line_are_copied() {
    let bytes: Vec<u8> = (0..9).collect();
    let odd = bytes.as_ptr().addr().is_multiple_of(2);
    let unaligned = &bytes[usize::from(odd)..][..8];
    let tensor = Tensor::from_bytes(DType::I32, &[2], unaligned).unwrap();
    let values = tensor.values::<i32>().unwrap();
    let first = i32::from_le_bytes([unaligned[0], unaligned[1], unaligned[2], unaligned[3]]);
    assert!(matches!(values, Cow::Owned(_)));
    assert_eq!((values[0], values.len()), (first, 2));
}

#[test]
fn scalar_takes_one_element_and_an_empty_axis_none() {
    assert_eq!(Tensor::new(&[], &[7_u8]).unwrap().bytes(), [7]);
    assert!(Tensor::new::<f32>(&[3, 0], &[]).is_ok());
    assert!(Tensor::new::<f32>(&[], &[]).is_err());
}

#[test]
fn too_few_elements_are_refused_with_both_numbers() {
    assert_eq!(
        refusal(Tensor::new(&[2, 3], &[0.0_f32; 5])),
        "the numbers do not fill the dimensions; expected: 6 elements for fp32 [2, 3], 24 bytes; got: 5 elements"
    );
    assert_eq!(
        refusal(Tensor::from_bytes(DType::Bf16, &[2], vec![0; 5])),
        "the bytes do not fill the dimensions; expected: 2 elements for bf16 [2], 4 bytes; got: 5 bytes"
    );
}

#[test]
fn dimensions_beyond_memory_are_refused() {
    let text = refusal(Tensor::new::<u8>(&[u32::MAX; 3], &[]));
    assert!(text.contains("to fit into memory"), "{text}");
}

#[test]
fn numbers_of_another_type_are_refused_with_both_types() {
    let tensor = Tensor::new(&[2], &[1.0_f32, 2.0]).unwrap();
    assert_eq!(
        refusal(tensor.to_vec::<i64>()),
        "the tensor holds other elements; expected: i64; got: fp32 [2]"
    );
}

#[test]
fn untold_bytes_are_any_numbers_that_come_out_even() {
    let output = Tensor::untold(vec![0; 12]);
    assert_eq!(
        (output.dtype(), output.dims(), output.name()),
        (None, None, None)
    );
    assert_eq!(output.to_vec::<f32>().unwrap(), [0.0; 3]);
    assert_eq!(
        refusal(output.to_vec::<f64>()),
        "the tensor holds other elements; expected: fp64; got: 12 bytes"
    );
}

#[test]
fn untold_bytes_get_a_shape_that_fits() {
    let output = Tensor::untold(vec![0; 12]);
    let shaped = output.clone().with_shape::<f32>(&[1, 3]).unwrap();
    assert_eq!(shaped.dims(), Some(&[1, 3][..]));
    assert!(refusal(output.with_shape::<f32>(&[2, 3])).ends_with("got: 12 bytes"));
}

#[test]
fn a_told_shape_is_checked_and_not_replaced() {
    let output = || Tensor::answered(None, DType::Fp32, vec![1, 3], vec![0; 12]);
    assert_eq!(output().with_shape::<f32>(&[1, 3]), Ok(output()));
    assert!(output().with_shape::<f32>(&[3]).is_err());
    assert!(output().with_shape::<i32>(&[1, 3]).is_err());
}

#[test]
fn debug_tells_no_elements() {
    let tensor = Tensor::new(&[1], &[7_u8]).unwrap().named("a");
    assert_eq!(
        format!("{tensor:?}"),
        r#"Tensor { name: Some("a"), dtype: Some(U8), dims: Some([1]), bytes: 1 }"#
    );
}

#[test]
fn an_output_goes_in_again_without_its_name_and_without_a_copy() {
    let output = Tensor::answered(Some("stateN".to_owned()), DType::U8, vec![2], vec![1, 2]);
    let input = output.as_input();
    assert_eq!((input.name(), input.dims()), (None, Some(&[2][..])));
    assert_eq!(input.bytes().as_ptr(), output.bytes().as_ptr());
    assert_eq!(output.as_input().named("state").name(), Some("state"));
}

#[test]
fn only_one_number_is_a_number() {
    let tensor = |len: u32| {
        Tensor::from_bytes(
            DType::I64,
            &[len],
            vec![1; usize::try_from(len).unwrap() * 8],
        )
        .unwrap()
    };
    assert_eq!(tensor(1).number::<i64>(), Ok(0x0101_0101_0101_0101));
    let failures = [tensor(0).number::<i64>(), tensor(2).number()].map(Result::unwrap_err);
    assert!(
        failures[1]
            .text
            .ends_with("expected: one i64; got: i64 [2]"),
        "{failures:?}"
    );
    assert_eq!(failures[0].code, Code::InvalidArgument);
}
