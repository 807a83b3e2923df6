//! What the ledger decides: by example, and for any history.

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    crashes: 3,
    window: Duration::from_secs(60),
};

fn ledger() -> Ledger {
    Ledger::new(RULES, Vec::new())
}

fn at(seconds: u64) -> Moment {
    Moment {
        at: Duration::from_secs(seconds),
        unix_s: seconds,
    }
}

fn tenant(number: u8) -> Tenant {
    format!("tenant-{number}").parse().unwrap()
}

/// A crash of a model at that second; says whether it is refused then.
fn crash(ledger: &mut Ledger, whose: &Whose, at_load: bool, second: u64) -> bool {
    let crash = Crash {
        sha256: [1; 32],
        whose,
        kind: Kind::Crash,
        at_load,
    };
    ledger.crashed(&crash, at(second)) != Outcome::Counted
}

#[test]
fn the_third_crash_within_the_window_is_one_too_many() {
    let mut ledger = ledger();
    let refused = [0, 20, 59].map(|second| crash(&mut ledger, &Whose::All, false, second));
    assert_eq!(refused, [false, false, true]);
    assert!(ledger.against(&[1; 32], &Whose::Guest(tenant(1))).is_some());
    assert!(ledger.against(&[2; 32], &Whose::All).is_none());
}

#[test]
fn crashes_that_are_far_apart_are_none_too_many() {
    let mut ledger = ledger();
    let refused = (0..50).any(|turn| crash(&mut ledger, &Whose::All, false, turn * 30));
    assert!(!refused);
}

#[test]
fn a_tenants_inputs_take_the_model_from_that_tenant_alone() {
    let mut ledger = ledger();
    for second in 0..3 {
        crash(&mut ledger, &Whose::Tenant(tenant(1)), false, second);
    }
    let against = |whose| ledger.against(&[1; 32], &whose).is_some();
    assert!(against(Whose::Tenant(tenant(1))) && against(Whose::Guest(tenant(1))));
    assert!(!against(Whose::Tenant(tenant(2))) && !against(Whose::All));
}

#[test]
fn a_second_tenants_crashes_take_it_from_all() {
    let mut ledger = ledger();
    for number in [1, 2] {
        for second in 0..3 {
            crash(&mut ledger, &Whose::Tenant(tenant(number)), false, second);
        }
    }
    let held = ledger.against(&[1; 32], &Whose::All).unwrap();
    assert_eq!((held.tenant.clone(), held.crashes[&Kind::Crash]), (None, 6));
    assert_eq!(ledger.held().len(), 1);
}

#[test]
fn guests_cannot_take_an_operators_model_from_others_by_their_inputs() {
    let mut ledger = ledger();
    for number in 0..9 {
        for second in 0..3 {
            crash(&mut ledger, &Whose::Guest(tenant(number)), false, second);
        }
    }
    assert!(ledger.against(&[1; 32], &Whose::All).is_none());
    assert!(
        ledger
            .against(&[1; 32], &Whose::Tenant(tenant(9)))
            .is_none()
    );
}

#[test]
fn a_crash_at_load_is_everybodys_whoever_loads() {
    let mut ledger = ledger();
    for number in 0..3 {
        crash(&mut ledger, &Whose::Guest(tenant(number)), true, 0);
    }
    assert!(ledger.against(&[1; 32], &Whose::All).is_some());
}

#[test]
fn what_is_lifted_begins_anew() {
    let mut ledger = ledger();
    for second in 0..3 {
        crash(&mut ledger, &Whose::All, false, second);
    }
    assert_eq!(ledger.lift(&[1; 32]).len(), 1);
    let refused = [3, 4, 5].map(|second| crash(&mut ledger, &Whose::All, false, second));
    assert_eq!(refused, [false, false, true]);
}

#[test]
fn with_one_too_many_a_guests_goes_before_an_older_one() {
    let mut ledger = ledger();
    let quarantine = |ledger: &mut Ledger, number: u16, whose: &Whose| {
        let mut sha256 = [0; 32];
        sha256[..2].copy_from_slice(&number.to_le_bytes());
        let crash = Crash {
            sha256,
            whose,
            kind: Kind::Panic,
            at_load: false,
        };
        (0..3).map(|_| ledger.crashed(&crash, at(1))).last()
    };
    quarantine(&mut ledger, 0, &Whose::All);
    quarantine(&mut ledger, 1, &Whose::Guest(tenant(1)));
    for number in 2..1024 {
        quarantine(&mut ledger, number, &Whose::All);
    }
    let Some(Outcome::Quarantined { evicted }) = quarantine(&mut ledger, 5000, &Whose::All) else {
        panic!("it is not held");
    };
    assert!(evicted.unwrap().guest);
    assert_eq!(ledger.held().len(), HELD_MAX);
}

/// One step of a history: (model, whose, at load, kind), and the seconds since the step before.
type Step = ((u8, u8, bool, usize), u64);

fn whose(number: u8) -> Whose {
    match number {
        0 => Whose::All,
        1..=3 => Whose::Tenant(tenant(number)),
        _ => Whose::Guest(tenant(number - 3)),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = (0_u8..3, 0_u8..7, any::<bool>(), 0_usize..6);
    prop::collection::vec((crash, 0_u64..40), 0..80)
}

proptest! {
    /// Whatever happens: a model is refused to somebody only after so many crashes within one window that were at load,
    /// or in workers that this one's calls are computed in, or in several tenants' workers of an operator's model.
    #[test]
    fn nobody_is_refused_a_model_without_enough_crashes_that_count(steps in steps()) {
        let mut ledger = ledger();
        let mut past: Vec<(u8, u8, bool, u64)> = Vec::new();
        let mut second = 0;
        for ((model, number, at_load, kind), pause) in steps {
            second += pause;
            past.push((model, number, at_load, second));
            let by = whose(number);
            let crash = Crash { sha256: [model; 32], whose: &by, kind: Kind::ALL[kind], at_load };
            ledger.crashed(&crash, at(second));
            for other in 0..7 {
                if ledger.against(&[model; 32], &whose(other)).is_none() {
                    continue;
                }
                let whose_other = whose(other);
                let counts = past.iter().filter(|(of, by, at_load, _)| {
                    let by = whose(*by);
                    let own = by.tenant().is_none() || by.tenant() == whose_other.tenant();
                    *of == model && (*at_load || own || !by.is_guest())
                });
                prop_assert!(counts.count() >= 3, "{other} is refused {model}");
            }
        }
    }

    /// A worker of all tenants that crashes so often within the window is always stopped, whatever else happens.
    #[test]
    fn three_crashes_in_a_row_of_one_worker_are_always_enough(steps in steps(), number in 0_u8..7) {
        let mut ledger = ledger();
        let mut second = 0;
        for ((model, by, at_load, kind), pause) in steps {
            second += pause;
            let by = whose(by);
            let crash = Crash { sha256: [model; 32], whose: &by, kind: Kind::ALL[kind], at_load };
            ledger.crashed(&crash, at(second));
        }
        let by = whose(number);
        for _ in 0..3 {
            crash(&mut ledger, &by, false, second);
        }
        prop_assert!(ledger.against(&[1; 32], &by).is_some());
    }

    /// However many models crash: what is remembered is bounded.
    #[test]
    fn what_is_remembered_is_bounded(numbers in prop::collection::vec(any::<u16>(), 0..4000)) {
        let mut ledger = ledger();
        for number in numbers {
            let mut sha256 = [0; 32];
            sha256[..2].copy_from_slice(&number.to_le_bytes());
            let crash = Crash { sha256, whose: &Whose::All, kind: Kind::Crash, at_load: false };
            ledger.crashed(&crash, at(0));
        }
        prop_assert!(ledger.watched.len() <= WATCHED_MAX);
        prop_assert!(ledger.held().len() <= HELD_MAX);
    }

    /// Lifted, nothing is held; and lifting what is not held changes nothing for others.
    #[test]
    fn lifting_is_whole_and_touches_no_other_model(steps in steps()) {
        let mut ledger = ledger();
        for ((model, by, at_load, kind), _) in steps {
            let by = whose(by);
            let crash = Crash { sha256: [model; 32], whose: &by, kind: Kind::ALL[kind], at_load };
            ledger.crashed(&crash, at(0));
        }
        let others: Vec<Held> = ledger.held().iter().filter(|held| held.sha256 != [0; 32]).cloned().collect();
        ledger.lift(&[0; 32]);
        prop_assert_eq!(ledger.held(), others.as_slice());
        prop_assert!((0..7).all(|number| ledger.against(&[0; 32], &whose(number)).is_none()));
    }
}

#[test]
fn counts_of_a_file_that_no_number_holds_are_told_all_the_same() {
    let held = Held {
        sha256: [1; 32],
        tenant: None,
        guest: false,
        at_load: false,
        since_unix_s: 0,
        crashes: [(Kind::Crash, u32::MAX), (Kind::Panic, 1)].into(),
    };
    let fault = held.fault(RULES);
    assert!(fault.got.starts_with(&u32::MAX.to_string()), "{fault}");
}
