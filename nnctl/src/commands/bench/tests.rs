//! What is said of calls that were measured.

use super::*;

fn lane(took_us: Vec<u32>, failed: &[(&'static str, u64)]) -> Lane {
    Lane {
        took_us,
        failed: failed.iter().copied().collect(),
        last: None,
    }
}

fn of(lanes: Vec<Lane>) -> Result<Measured, Failure> {
    let input = InputView {
        name: "x".to_owned(),
        dtype: "fp32",
        shape: vec![1, 3],
        bytes: 12,
        random: true,
    };
    let about = ("foo@1".to_owned(), vec![input]);
    measured(about, lanes, Duration::from_secs(2))
}

#[test]
fn all_lanes_are_counted_together() {
    let lanes = vec![
        lane((1..=50).collect(), &[("busy", 2)]),
        lane((51..=100).collect(), &[("busy", 1), ("timeout", 1)]),
    ];
    let measured = of(lanes).unwrap();
    let lengths = [
        measured.p50_us,
        measured.p90_us,
        measured.p99_us,
        measured.max_us,
    ];
    assert_eq!(lengths, [50, 90, 99, 100]);
    assert_eq!((measured.calls, measured.failed), (100, 4));
    assert_eq!((measured.concurrency, measured.calls_per_second), (2, 50.0));
    assert_eq!(
        measured.text(Paint::Plain),
        "\
model        foo@1
at once      2
input        x fp32 [1, 3], random
failed       3 busy
failed       1 timeout

CALLS  FAILED  IN     PER SECOND  P50    P90    P99    MAX
100    4       2.0 s  50.0        50 us  90 us  99 us  100 us
"
    );
}

#[test]
fn one_call_is_every_quantile() {
    let measured = of(vec![lane(vec![7], &[])]).unwrap();
    assert_eq!((measured.p50_us, measured.p99_us), (7, 7));
}

#[test]
fn a_run_in_which_nothing_was_computed_is_a_failure() {
    assert!(of(vec![lane(Vec::new(), &[("busy", 2)])]).is_err());
}
