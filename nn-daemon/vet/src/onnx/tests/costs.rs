//! What reading costs, whatever the file.

use proptest::prelude::*;

use super::*;

/// Every byte is read a bounded number of times, whatever the file: the walk takes steps by the bytes, and the worst
/// models that are known take no more for each.
#[test]
fn a_walk_takes_no_more_steps_than_there_are_bytes() {
    let rules = Rules {
        nodes_max: u64::MAX >> 8,
        ..Rules::default()
    };
    let tiny_nodes = graph(&message(1, b"").repeat(100_000));
    let tiny_dims = graph(
        &message(
            5,
            &[number(1, 0).repeat(8), number(2, 6), message(5, &[0; 1])].concat(),
        )
        .repeat(1000),
    );
    let packed = [number(1, 100_000), number(2, 6), message(5, &[0; 100_000])].concat();
    let packed = graph(&message(5, &packed));
    let nested = model(&wrapped(
        &message(1, b"").repeat(1000),
        &[[6, 5, 1].repeat(8), vec![7]].concat(),
    ));
    let given = message(1, &[bare("f", "g"), message(5, b"").repeat(1000)].concat());
    let taking = message(5, &message(21, b"a")).repeat(1000);
    let functions = [
        graph(&given.repeat(10)),
        defined("f", "g", &message(7, &[bare("", "Op"), taking].concat())),
    ]
    .concat();
    for file in [tiny_nodes, packed, nested, functions] {
        let sums = walk::model(&file, &rules).unwrap();
        let bytes = u64::try_from(file.len()).unwrap();
        assert!(
            sums.steps <= 2 * bytes,
            "{} steps for {bytes} bytes",
            sums.steps
        );
    }
    assert!(walk::model(&tiny_dims, &rules).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
        let _ = judged(&bytes);
        let _ = judged(&model(&wrapped(&bytes, &[5, 6, 5, 1, 7])));
        let _ = judged(&graph(&message(5, &bytes)));
    }

    #[test]
    fn a_walk_is_linear_whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(sums) = walk::model(&graph(&bytes), &Rules::default()) {
            prop_assert!(sums.steps <= 2 * u64::try_from(bytes.len()).unwrap() + 8);
        }
    }
}
