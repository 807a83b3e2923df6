//! Files as NumPy writes them, and files that are none.

use nn_tensor::{DType, Shape};
use proptest::prelude::*;

use super::*;

/// A file with this header text and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let head = [MAGIC, &[1, 0], &length[..], header.as_bytes()].concat();
    [head, vec![0; data]].concat()
}

fn parse(descr: &str, order: &str, shape: &str, data: usize) -> Result<Array, FormatError> {
    let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    Array::parse(&file(&header, data))
}

#[test]
fn what_numpy_writes_is_read() {
    // np.save of np.arange(3, dtype='<i4'), by NumPy 1.26.
    let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }";
    let mut bytes = file(&format!("{header:<117}\n"), 0);
    bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(bytes.len(), 128 + 12);
    let array = Array::parse(&bytes).unwrap();
    assert_eq!(
        (array.dtype, array.shape.dims()),
        (DType::I32, [3].as_slice())
    );
    assert_eq!(array.head(), bytes[..128]);
}

#[test]
fn a_scalar_is_read() {
    let scalar = parse("'<f8'", "False", "()", 8).unwrap();
    assert_eq!(scalar.shape.rank(), 0);
}

#[test]
fn long_headers_of_version_two_are_read() {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n";
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    let bytes = [MAGIC, &[2, 0], &length[..], header.as_bytes(), &[7, 8]].concat();
    assert_eq!(Array::parse(&bytes).unwrap().bytes, [7, 8]);
}

#[test]
fn dtypes_that_wasi_nn_lacks_are_named() {
    let refused = ["'<f16'", "'|b1'", "'<U3'", "'<u4'", "'|i1'", "'<i2'", "''"]
        .map(|descr| parse(descr, "False", "(0,)", 0).is_err());
    assert_eq!(refused, [true; 7]);
    assert_eq!(
        parse("[('a', '<f4')]", "False", "(0,)", 0),
        Err(FormatError::DType("with named fields".to_owned()))
    );
}

#[test]
fn big_endian_and_fortran_order_are_refused_with_advice() {
    let big = parse("'>f4'", "False", "(1,)", 4).unwrap_err();
    let fortran = parse("'<f4'", "True", "(1,)", 4).unwrap_err();
    assert_eq!(big, FormatError::BigEndian(">f4".to_owned()));
    assert_eq!(fortran, FormatError::FortranOrder);
    assert!(fortran.advice().1.contains("ascontiguousarray"));
}

#[test]
fn a_cut_off_file_is_refused() {
    assert_eq!(
        parse("'<f4'", "False", "(2, 2)", 15),
        Err(FormatError::Length {
            expected: 16,
            got: 15
        })
    );
}

#[test]
fn a_file_that_is_no_npy_is_refused() {
    assert_eq!(Array::parse(b"PK\x03\x04"), Err(FormatError::Magic));
}

#[test]
fn nine_dimensions_are_refused() {
    let dims = "(1, 1, 1, 1, 1, 1, 1, 1, 1)";
    assert_eq!(
        parse("'<f4'", "False", dims, 4),
        Err(FormatError::Shape(vec![1; 9]))
    );
}

#[test]
fn a_file_survives_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let array = Array {
        dtype: DType::Fp16,
        shape: Shape::new(&[2, 1]).unwrap(),
        bytes: vec![1, 2, 3, 4],
    };
    array.write(&path).unwrap();
    assert_eq!(Array::read(&path).unwrap(), array);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        dims in prop::collection::vec(0..5_u32, 0..=8),
        dtype in prop::sample::select(DType::ALL.to_vec()),
    ) {
        let shape = Shape::new(&dims).unwrap();
        let length = usize::try_from(shape.byte_len(dtype).unwrap()).unwrap();
        let array = Array { dtype, shape, bytes: vec![7; length] };
        let head = array.head();
        prop_assert_eq!(head.len() % ALIGN, 0);
        prop_assert_eq!(Array::parse(&[head, array.bytes.clone()].concat()), Ok(array));
    }

    #[test]
    fn any_header_is_read_or_refused(text in "[ {}()',:\"a-zA-Z0-9<]{0,80}") {
        let _ = Array::parse(&file(&text, 0));
    }
}
