//! What is taken is given back by drop, a refusal takes nothing, and every ceiling holds.

use nn_tensor::Code;

use super::*;

fn quota() -> Quota {
    let limits = GuestLimits {
        tensors_max: 2,
        tensor_bytes_max: 100,
        graphs_max: 1,
        contexts_max: 1,
        in_flight_max: 1,
        out_slots_max: 1,
        out_bytes_max: 10,
        models_max: 2,
        model_bytes_max: 100,
    };
    Quota::new(&limits, None)
}

#[test]
fn what_is_dropped_can_be_taken_again() {
    let quota = quota();
    let first = quota.tensor(60).unwrap();
    assert_eq!(quota.tensor(41).unwrap_err().code, Code::TooLarge);
    drop(first);
    assert!(quota.tensor(100).is_ok());
}

#[test]
fn a_refusal_takes_nothing() {
    let quota = quota();
    assert!(quota.tensor(101).is_err());
    assert!(quota.tensor(u64::MAX).is_err());
    let _one = quota.tensor(0).unwrap();
    let _two = quota.tensor(100).unwrap();
    assert_eq!(quota.tensor(0).unwrap_err().code, Code::TooLarge);
}

#[test]
fn handles_beyond_the_ceiling_are_busy() {
    let quota = quota();
    let _graph = quota.graph().unwrap();
    let _context = quota.context().unwrap();
    let _compute = quota.compute().unwrap();
    let refused = [
        quota.graph().map(drop),
        quota.context().map(drop),
        quota.compute().map(drop),
    ];
    let codes = refused.map(|held| held.unwrap_err().code);
    assert_eq!(codes, [Code::Busy; 3]);
}

#[test]
fn outputs_beyond_the_ceiling_are_to_be_copied_out() {
    let quota = quota();
    assert!(quota.output(11).is_none());
    let held = quota.output(10).unwrap();
    assert!(quota.output(0).is_none());
    drop(held);
    assert!(quota.output(10).is_some());
}

#[test]
fn the_same_model_loaded_twice_counts_once_until_both_are_dropped() {
    let mut quota = quota();
    let first = quota.model(1, 60).unwrap();
    let again = quota.model(1, 60).unwrap();
    drop(first);
    assert_eq!(quota.model(2, 60).unwrap_err().code, Code::TooLarge);
    drop(again);
    assert!(quota.model(2, 60).is_ok());
}

#[test]
fn a_third_model_is_busy_and_one_beyond_the_bytes_too_large() {
    let mut quota = quota();
    let _first = quota.model(1, 10).unwrap();
    let second = quota.model(2, 10).unwrap();
    assert_eq!(quota.model(3, 10).unwrap_err().code, Code::Busy);
    drop(second);
    assert_eq!(quota.model(3, 91).unwrap_err().code, Code::TooLarge);
    assert!(quota.model(3, 90).is_ok());
}

#[test]
fn a_model_that_could_never_fit_is_refused_beforehand() {
    let quota = quota();
    assert!(quota.model_fits(100).is_ok());
    assert_eq!(quota.model_fits(101).unwrap_err().code, Code::TooLarge);
}
