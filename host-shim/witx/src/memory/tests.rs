//! Well-formed records are read back; everything else is a fault, whatever its bytes.

use nn_tensor::Code;
use proptest::prelude::*;

use super::*;

/// Dimensions at 100, data at 200, the record at 0.
fn memory_with(dims: &[u32], dtype: u8, len: u32) -> Vec<u8> {
    let mut memory = vec![0xAA; 1024];
    let rank = u32::try_from(dims.len()).unwrap();
    for (at, word) in [(0, 100), (4, rank), (12, 200), (16, len)] {
        memory[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    memory[8] = dtype;
    for (dim, to) in dims.iter().zip(memory[100..].chunks_mut(4)) {
        to.copy_from_slice(&dim.to_le_bytes());
    }
    memory
}

fn refusal(memory: &[u8], ptr: u32) -> Code {
    tensor_record(memory, ptr, Dialect::V06).unwrap_err().code
}

#[test]
fn a_record_is_read_whatever_its_padding() {
    let memory = memory_with(&[2, 3], 1, 24);
    let record = tensor_record(&memory, 0, Dialect::V06).unwrap();
    assert_eq!(
        (record.dtype, record.shape.dims()),
        (DType::Fp32, &[2, 3][..])
    );
    assert_eq!(record.data, Span { ptr: 200, len: 24 });
}

#[test]
fn the_dialect_decides_what_a_type_number_means() {
    let memory = memory_with(&[4], 2, 4);
    let old = tensor_record(&memory, 0, Dialect::V05).unwrap();
    assert_eq!(old.dtype, DType::U8);
    assert_eq!(refusal(&memory, 0), Code::InvalidArgument);
}

#[test]
fn a_scalar_and_a_tensor_without_elements_are_tensors() {
    let scalar = memory_with(&[], 2, 8);
    let empty = memory_with(&[0, u32::MAX], 1, 0);
    assert!(tensor_record(&scalar, 0, Dialect::V06).is_ok());
    assert!(tensor_record(&empty, 0, Dialect::V06).is_ok());
}

#[test]
fn a_record_at_an_odd_address_is_read() {
    let mut memory = vec![0; 7];
    memory.extend(memory_with(&[2], 3, 2));
    memory[7..11].copy_from_slice(&107_u32.to_le_bytes());
    assert!(tensor_record(&memory, 7, Dialect::V06).is_ok());
}

#[test]
fn eight_dimensions_are_read_and_nine_refused() {
    assert!(tensor_record(&memory_with(&[1; 8], 3, 1), 0, Dialect::V06).is_ok());
    let fault = tensor_record(&memory_with(&[1; 9], 3, 1), 0, Dialect::V06).unwrap_err();
    assert_eq!(
        (fault.expected.as_str(), fault.got.as_str()),
        ("at most 8", "9")
    );
}

#[test]
fn a_rank_that_would_overflow_is_refused() {
    let mut memory = memory_with(&[1], 3, 1);
    memory[4..8].copy_from_slice(&0x4000_0001_u32.to_le_bytes());
    assert_eq!(refusal(&memory, 0), Code::InvalidArgument);
}

#[test]
fn dimensions_whose_product_overflows_are_refused() {
    let memory = memory_with(&[u32::MAX; 3], 5, 0);
    assert_eq!(refusal(&memory, 0), Code::InvalidArgument);
}

#[test]
fn a_length_that_is_not_the_shapes_is_explained() {
    let memory = memory_with(&[2, 3], 1, 23);
    let fault = tensor_record(&memory, 0, Dialect::V06).unwrap_err();
    assert_eq!(fault.expected, "24 bytes for fp32 [2, 3]");
    assert_eq!(fault.got, "23 bytes");
}

#[test]
fn a_record_that_ends_behind_memory_is_refused() {
    let memory = memory_with(&[1], 3, 1);
    assert_eq!(refusal(&memory, 1005), Code::InvalidArgument);
    assert_eq!(refusal(&memory, u32::MAX), Code::InvalidArgument);
}

#[test]
fn data_that_ends_behind_memory_is_refused() {
    let mut memory = memory_with(&[4], 3, 4);
    memory[12..16].copy_from_slice(&1021_u32.to_le_bytes());
    assert_eq!(refusal(&memory, 0), Code::InvalidArgument);
    memory[12..16].copy_from_slice(&1020_u32.to_le_bytes());
    assert!(tensor_record(&memory, 0, Dialect::V06).is_ok());
}

#[test]
fn nothing_may_lie_at_the_end_and_not_beyond() {
    assert!(Span::new(&[0; 8], 8, 0).is_ok());
    assert!(Span::new(&[0; 8], 9, 0).is_err());
    assert!(Span::new(&[], 0, 0).is_ok());
}

#[test]
fn builders_are_pairs_of_pointer_and_length() {
    let mut memory = vec![0; 64];
    for (to, word) in memory.chunks_mut(4).zip([32_u32, 5, 64, 0]) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    let parts = builders(&memory, 0, 2).unwrap();
    assert_eq!(parts, [Span { ptr: 32, len: 5 }, Span { ptr: 64, len: 0 }]);
}

#[test]
fn no_builders_and_too_many_are_refused() {
    let memory = vec![0; 1024];
    let counts = [0, 17, 0x2000_0001, u32::MAX];
    let codes = counts.map(|count| builders(&memory, 0, count).unwrap_err().code);
    assert_eq!(codes, [Code::InvalidArgument; 4]);
}

#[test]
fn a_long_name_is_refused_before_it_is_looked_at() {
    let fault = text(b"short", 0, 1 << 30).unwrap_err();
    assert_eq!(fault.expected, "at most 256 bytes");
}

#[test]
fn a_name_that_is_not_utf_8_is_refused() {
    assert_eq!(
        text(b"\xff\xfe", 0, 2).unwrap_err().code,
        Code::InvalidArgument
    );
    assert_eq!(text(b"..foo", 2, 3), Ok("foo"));
}

#[test]
fn a_number_is_written_where_the_pointer_says() {
    let mut memory = vec![0; 9];
    let out = OutPtr::new(&memory, 5).unwrap();
    out.write(&mut memory, 0x0102_0304).unwrap();
    assert_eq!(memory, [0, 0, 0, 0, 0, 4, 3, 2, 1]);
    assert!(OutPtr::new(&memory, 6).is_err());
}

#[test]
fn writing_stays_within_what_was_checked() {
    let mut memory = vec![0; 8];
    let span = Span::new(&memory, 4, 4).unwrap();
    assert_eq!(span.bytes_mut(&mut memory, 3).unwrap().len(), 3);
    assert!(span.bytes_mut(&mut memory, 5).is_err());
    assert!(span.bytes_mut(&mut memory[..6], 4).is_err());
}

/// Pointers and lengths, among them those that wrap.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..600_u32, any::<u32>(), (u32::MAX - 32)..=u32::MAX]
}

/// Memory whose words are small often enough to lead somewhere.
fn guest() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![3 => 0..64_u32, 1 => any::<u32>()];
    let words = prop::collection::vec(word, 0..128);
    words.prop_map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(Dialect::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_lies_in_memory_is_a_tensor_or_a_fault(
        memory in guest(), ptr in number(), dialect in dialect(),
    ) {
        if let Ok(record) = tensor_record(&memory, ptr, dialect) {
            let bytes = record.data.bytes(&memory).unwrap();
            let len = u64::try_from(bytes.len()).unwrap();
            prop_assert_eq!(record.shape.byte_len(record.dtype), Ok(len));
        }
    }

    #[test]
    fn whatever_lies_in_memory_is_a_list_of_parts_or_a_fault(
        memory in guest(), ptr in number(), count in prop_oneof![0..20_u32, any::<u32>()],
    ) {
        if let Ok(parts) = builders(&memory, ptr, count) {
            prop_assert_eq!(u32::try_from(parts.len()), Ok(count));
            prop_assert!(parts.iter().all(|part| part.bytes(&memory).is_ok()));
        }
    }

    #[test]
    fn names_and_numbers_never_panic(memory in guest(), ptr in number(), len in number()) {
        let mut memory = memory;
        let _ = text(&memory, ptr, len);
        if let Ok(out) = OutPtr::new(&memory, ptr) {
            prop_assert_eq!(out.write(&mut memory, len), Ok(()));
        }
        if let Ok(span) = Span::new(&memory, ptr, len) {
            let written = span.bytes_mut(&mut memory, len).map(|bytes| bytes.len());
            prop_assert_eq!(written, Ok(usize::try_from(len).unwrap()));
        }
    }

    #[test]
    fn a_span_exists_exactly_when_its_end_does(len in 0..64_usize, ptr in number(), of in number()) {
        let fits = u64::from(ptr) + u64::from(of) <= u64::try_from(len).unwrap();
        prop_assert_eq!(Span::new(&vec![0; len], ptr, of).is_ok(), fits);
    }

    #[test]
    fn numbers_of_a_dialect_never_panic(dialect in dialect(), number: u32, dtype: u8) {
        let _ = (dialect.dtype(dtype), dialect.encoding(number), dialect.target(number));
    }
}
