//! Tensors whose data is right, and by one byte wrong.

use nn_onnx_writer::wire::{message as data, number};

use super::*;

fn tensor(data_type: u64, dims: &[u64], data: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&dim| number(DIMS, dim)).collect();
    [dims, number(DATA_TYPE, data_type), data.to_vec()].concat()
}

fn rule(tensor: &[u8]) -> Option<Rule> {
    judge(tensor).err().map(|refusal| refusal.rule)
}

#[test]
fn raw_data_has_the_length_of_its_elements() {
    // Type, elements, bytes: whole, half and quarter bytes.
    let right = [
        (1, 3, 12),
        (2, 3, 3),
        (4, 3, 6),
        (6, 3, 12),
        (7, 3, 24),
        (9, 3, 3),
        (10, 3, 6),
        (11, 3, 24),
        (12, 3, 12),
        (13, 3, 24),
        (14, 3, 24),
        (15, 3, 48),
        (16, 3, 6),
        (17, 3, 3),
        (20, 3, 3),
        (21, 3, 2),
        (22, 4, 2),
        (23, 5, 3),
        (24, 3, 3),
        (25, 5, 2),
        (26, 4, 1),
    ];
    let judged = |short: usize, long: usize| {
        right.map(|(data_type, elements, bytes)| {
            rule(&tensor(
                data_type,
                &[elements],
                &data(RAW, &vec![0; bytes + long - short]),
            ))
        })
    };
    assert_eq!(judged(0, 0), [None; 21]);
    assert_eq!(judged(1, 0), [Some(Rule::DataLength); 21]);
    assert_eq!(judged(0, 1), [Some(Rule::DataLength); 21]);
}

#[test]
fn values_are_as_many_as_the_elements_packed_or_not() {
    let unpacked_floats = [[37, 0, 0, 0, 0], [37, 0, 0, 0, 0]].concat();
    let right = [
        tensor(1, &[2], &data(FLOATS, &[0; 8])),
        tensor(1, &[2], &unpacked_floats),
        tensor(10, &[2], &data(INTS_32, &[0x80, 0x01, 0x00])),
        tensor(
            10,
            &[2],
            &[number(INTS_32, 1), number(INTS_32, 300)].concat(),
        ),
        tensor(7, &[1, 2], &data(INTS_64, &[0, 1])),
        tensor(13, &[2], &data(UNSIGNED_64, &[0, 1])),
        tensor(11, &[1], &data(DOUBLES, &[0; 8])),
        tensor(14, &[1], &data(FLOATS, &[0; 8])),
        tensor(22, &[3], &data(INTS_32, &[0, 1])),
        tensor(8, &[2], &[data(STRINGS, b"a"), data(STRINGS, b"")].concat()),
        tensor(1, &[], &data(FLOATS, &[0; 4])),
        tensor(1, &[0, 7], b""),
    ];
    assert_eq!(right.map(|tensor| rule(&tensor)), [None; 12]);
    let wrong = [
        tensor(1, &[3], &data(FLOATS, &[0; 8])),
        tensor(1, &[2], b""),
        // The values of another type.
        tensor(1, &[1], &data(INTS_64, &[0])),
        tensor(
            7,
            &[1],
            &[data(INTS_64, &[0]), data(FLOATS, &[0; 4])].concat(),
        ),
        // Both.
        tensor(
            1,
            &[1],
            &[data(FLOATS, &[0; 4]), data(RAW, &[0; 4])].concat(),
        ),
        tensor(8, &[2], &data(RAW, &[0; 2])),
    ];
    assert_eq!(
        wrong.map(|tensor| rule(&tensor)),
        [Some(Rule::DataLength); 6]
    );
}

#[test]
fn dimensions_that_no_tensor_has_are_refused() {
    let huge = 1 << 62;
    let impossible: [&[u64]; 4] = [&[u64::MAX], &[0, u64::MAX], &[huge, 4], &[1 << 61]];
    let found = impossible.map(|dims| rule(&tensor(1, dims, b"")));
    assert_eq!(found, [Some(Rule::Dims); 4]);
    assert_eq!(rule(&tensor(1, &[0, huge, huge], b"")), None);
    assert_eq!(rule(&tensor(1, &[1; 9], b"")), Some(Rule::Rank));
    let packed = [data(DIMS, &[1; 9]), number(DATA_TYPE, 1)].concat();
    assert_eq!(rule(&packed), Some(Rule::Rank));
}

#[test]
fn a_type_that_there_is_not_is_refused() {
    assert_eq!(rule(&tensor(0, &[0], b"")), Some(Rule::DataType));
    assert_eq!(rule(&tensor(27, &[0], b"")), Some(Rule::DataType));
    assert_eq!(rule(&tensor(1 << 32 | 1, &[0], b"")), Some(Rule::DataType));
    assert_eq!(rule(&number(DIMS, 0)), Some(Rule::DataType));
}

#[test]
fn a_second_length_or_type_is_refused() {
    let two_raws = tensor(
        1,
        &[1],
        &[data(RAW, &[0; 400]), data(RAW, &[0; 4])].concat(),
    );
    let two_types = [number(DATA_TYPE, 2), tensor(1, &[1], &data(RAW, &[0; 4]))].concat();
    assert_eq!(rule(&two_raws), Some(Rule::DuplicateField));
    assert_eq!(rule(&two_types), Some(Rule::DuplicateField));
}
