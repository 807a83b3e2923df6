//! The runner over a host that gives inputs back as outputs.

use super::*;

/// Knows the model `echo`; an input of no bytes is refused.
struct Echo;

type Inputs = Vec<Vec<u8>>;

impl Abi for Echo {
    type Graph = ();
    type Context = Inputs;

    fn load_by_name(&mut self, name: &str) -> Result<(), Failure> {
        let known = name == "echo";
        known.then_some(()).ok_or(Failure::Host("not-found"))
    }

    fn load(&mut self, _: &[Vec<u8>], _: (Encoding, Target)) -> Result<(), Failure> {
        Ok(())
    }

    fn open(&mut self, (): &()) -> Result<Inputs, Failure> {
        Ok(Vec::new())
    }

    fn set_input(&mut self, context: &mut Inputs, _: u32, input: &Input) -> Result<(), Failure> {
        if input.bytes.is_empty() {
            return Err(Failure::Host("invalid-argument"));
        }
        context.push(input.bytes.clone());
        Ok(())
    }

    fn set_named(&mut self, _: &mut Inputs, _: &Input) -> Result<(), Failure> {
        Err(Failure::Skip)
    }

    fn compute(&mut self, _: &mut Inputs) -> Result<(), Failure> {
        Ok(())
    }

    fn output(&mut self, context: &mut Inputs, index: u32, _: usize) -> Result<Vec<u8>, Failure> {
        let index = usize::try_from(index).unwrap();
        let output = context.get(index).cloned();
        output.ok_or(Failure::Host("invalid-argument"))
    }
}

#[test]
fn steps_that_succeed_print_nothing_but_outputs() {
    let steps = [
        "name:echo",
        "ctx:0",
        "in:0:0=u8:6:7",
        "compute:0",
        "out:0:0",
    ];
    let (lines, well) = run(Echo, &steps).unwrap();
    assert_eq!(lines, "out 0 6 9a1992953e973d6f\nok steps=5 failed=0\n");
    assert!(well);
}

#[test]
fn step_that_fails_keeps_its_number_and_the_run_goes_on() {
    let steps = ["name:none", "name:echo", "ctx:0", "ctx:1", "compute:1"];
    let (lines, well) = run(Echo, &steps).unwrap();
    let expected = "fail name:none not-found\nfail ctx:0 no-handle\nok steps=5 failed=2\n";
    assert_eq!(lines, expected);
    assert!(!well);
}

#[test]
fn what_the_abi_cannot_say_is_skipped_and_no_failure() {
    let steps = ["name:echo", "ctx:0", "named:0:a=u8:1:0"];
    let (lines, well) = run(Echo, &steps).unwrap();
    assert_eq!(lines, "skip named:0:a=u8:1:0\nok steps=3 failed=0\n");
    assert!(well);
}

#[test]
fn file_that_is_not_there_fails_its_step() {
    let (lines, _) = run(Echo, &["bytes:/no/such/file"]).unwrap();
    let expected = "fail bytes:/no/such/file io\nok steps=1 failed=1\n";
    assert_eq!(lines, expected);
}

#[test]
fn bad_step_is_told_before_any_is_run() {
    let refused = run(Echo, &["name:echo", "nonsense"]);
    assert_eq!(refused, Err(SpecError::Step("nonsense".to_owned())));
}
