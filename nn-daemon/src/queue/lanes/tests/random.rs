//! Whatever happens to a queue, in any order: held against a list of what waits.

use proptest::prelude::*;

use super::*;

/// What may happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Take,
    /// The first that a worker has ends.
    End(bool),
    Remove(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..5, 1_u64..10_000).prop_map(|(tenant, us)| Step::Put(tenant, us)),
        3 => Just(Step::Take),
        3 => prop::bool::weighted(0.9).prop_map(Step::End),
        1 => any::<u8>().prop_map(Step::Remove),
    ]
}

proptest! {
    /// Against a list: each job comes out once, a tenant's in their order, never more than there is room for; and nothing is
    /// left at the end.
    #[test]
    fn whatever_happens_each_job_comes_out_once_and_in_its_tenants_order(
        steps in prop::collection::vec(step(), 1..400),
        places in 1_usize..20,
    ) {
        let mut lanes = Lanes::new(places);
        let mut waiting: Vec<(u64, Tenant)> = Vec::new();
        let mut in_hand: Vec<(Taken<u64>, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Put(name, us) => {
                    let tenant = tenant(char::from(b'a' + name));
                    let who = who(&tenant, u128::from(us % 3), u32::from(name) + 1);
                    if lanes.admits(who).is_ok() {
                        let number = lanes.number();
                        lanes.put(number, who, number);
                        waiting.push((number, tenant));
                    } else {
                        prop_assert!(!waiting.is_empty());
                    }
                }
                Step::Take => {
                    let Some(taken) = lanes.take() else {
                        prop_assert!(waiting.is_empty());
                        continue;
                    };
                    let first = waiting.iter().position(|(_, tenant)| *tenant == taken.tenant);
                    let (number, _) = waiting.remove(first.unwrap());
                    prop_assert_eq!(number, taken.job);
                    in_hand.push((taken, number * 37 % 9000));
                }
                Step::End(is_whole) if !in_hand.is_empty() => {
                    let (taken, us) = in_hand.remove(0);
                    let ran = if is_whole { Ran::Whole(Duration::from_micros(us)) } else { Ran::Nothing };
                    lanes.settle(&taken.tenant, taken.time, ran);
                }
                Step::Remove(which) if !waiting.is_empty() => {
                    let (number, tenant) = waiting.remove(usize::from(which) % waiting.len());
                    prop_assert_eq!(lanes.remove(&tenant, number), Some(number));
                }
                Step::End(_) | Step::Remove(_) => {}
            }
            prop_assert_eq!(lanes.len(), waiting.len());
            prop_assert!(waiting.len() <= places);
            prop_assert_eq!(lanes.estimate().is_some(), !waiting.is_empty());
        }
        while let Some(taken) = lanes.take() {
            in_hand.push((taken, 5));
        }
        for (taken, _) in in_hand {
            lanes.settle(&taken.tenant, taken.time, Ran::InPart(Duration::from_micros(5)));
        }
        prop_assert!(lanes.lanes.is_empty());
    }

    /// Of two that always want something neither is ever further ahead than one job of each.
    #[test]
    fn of_two_that_always_want_something_neither_gets_ahead(
        a in 1_u64..20_000, b in 1_u64..20_000, weight_a in 1_u32..10, weight_b in 1_u32..10,
    ) {
        let mut server = Server::new(64);
        (0..3).for_each(|_| server.put('a', weight_a, a));
        (0..3).for_each(|_| server.put('b', weight_b, b));
        for _ in 0..300 {
            server.serve(|name| Some(if name == 'a' { weight_a } else { weight_b }));
            let ran = |name| server.ran.get(&name).copied().unwrap_or(0);
            let (of_a, of_b) = (ran('a') / u64::from(weight_a), ran('b') / u64::from(weight_b));
            let most = a / u64::from(weight_a) + b / u64::from(weight_b) + 2;
            prop_assert!(of_a.abs_diff(of_b) <= most, "{of_a} {of_b}");
        }
    }
}
