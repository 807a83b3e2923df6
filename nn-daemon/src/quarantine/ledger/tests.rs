//! What the ledger decides: by example, and for any history.

use nn_tensor::Tenant;
use proptest::prelude::*;

use super::*;
use crate::guests::Owner;

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

/// Guests of a tenant that come by one uid, or by another.
fn guest(uid: u32, number: u8) -> Whose {
    Whose::Guest(Owner {
        uid,
        tenant: tenant(number),
    })
}

/// The digest of a model of that number.
fn digest(number: u16) -> Digest {
    let mut sha256 = [0; 32];
    sha256[..2].copy_from_slice(&number.to_le_bytes());
    sha256
}

/// Crashes a model so often that it is held.
fn quarantine(ledger: &mut Ledger, number: u16, whose: &Whose) -> Outcome {
    let crash = Crash {
        sha256: digest(number),
        whose,
        kind: Kind::Panic,
        at_load: false,
    };
    let mut outcome = Outcome::Known;
    for _ in 0..3 {
        outcome = ledger.crashed(&crash, at(1));
    }
    outcome
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
    assert!(ledger.against(&[1; 32], &guest(7, 1)).is_some());
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
    assert!(against(Whose::Tenant(tenant(1))) && against(guest(7, 1)));
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
    assert_eq!((&held.whose, held.crashes[&Kind::Crash]), (&Whose::All, 6));
    assert_eq!(ledger.held().len(), 1);
}

#[test]
fn guests_cannot_take_an_operators_model_from_others_by_their_inputs() {
    let mut ledger = ledger();
    for number in 0..9 {
        for second in 0..3 {
            crash(&mut ledger, &guest(7, number), false, second);
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
fn a_crash_of_an_operators_model_at_load_is_everybodys_whosever_worker_it_was() {
    let mut ledger = ledger();
    for number in 0..3 {
        crash(&mut ledger, &Whose::Tenant(tenant(number)), true, 0);
    }
    assert!(ledger.against(&[1; 32], &Whose::All).is_some());
}

#[test]
fn a_guests_crashes_take_the_model_from_nobody_else_not_even_at_load() {
    let mut ledger = ledger();
    for at_load in [true, false, true] {
        crash(&mut ledger, &guest(7, 1), at_load, 0);
    }
    assert!(ledger.against(&[1; 32], &guest(7, 1)).is_some());
    let others = [
        guest(8, 1),
        guest(7, 2),
        Whose::Tenant(tenant(1)),
        Whose::All,
    ];
    let refused = others.map(|whose| ledger.against(&[1; 32], &whose).is_some());
    assert_eq!(refused, [false; 4]);
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
fn a_guests_hold_never_pushes_out_an_operators() {
    let mut ledger = ledger();
    for number in 0..1024 {
        quarantine(&mut ledger, number, &Whose::All);
    }
    for number in 0..2000 {
        quarantine(&mut ledger, 2000 + number, &guest(u32::from(number), 1));
    }
    let operators = ledger.held().iter().filter(|held| held.whose == Whose::All);
    assert_eq!(operators.count(), 1024);
    assert!(ledger.held().len() <= ACCOUNTS_MAX + GUESTS_MAX);
}

#[test]
fn with_one_too_many_of_operators_the_oldest_of_theirs_goes_and_no_guests() {
    let mut ledger = ledger();
    quarantine(&mut ledger, 0, &guest(7, 1));
    for number in 1..=1024 {
        quarantine(&mut ledger, number, &Whose::All);
    }
    let Outcome::Quarantined { evicted } = quarantine(&mut ledger, 5000, &Whose::All) else {
        panic!("it is not held");
    };
    assert_eq!(evicted.unwrap().sha256, digest(1));
    assert!(ledger.against(&digest(0), &guest(7, 1)).is_some());
}

#[test]
fn one_uid_with_too_many_pushes_out_its_own_oldest() {
    let mut ledger = ledger();
    quarantine(&mut ledger, 0, &guest(8, 1));
    for number in 0..65 {
        // Under however many tenants' names.
        let name = u8::try_from(number).unwrap();
        quarantine(&mut ledger, 100 + number, &guest(7, name));
    }
    assert!(ledger.against(&digest(100), &guest(7, 0)).is_none());
    assert!(ledger.against(&digest(101), &guest(7, 1)).is_some());
    assert!(ledger.against(&digest(0), &guest(8, 1)).is_some());
}

#[test]
fn many_uids_push_out_those_of_the_one_with_the_most() {
    let mut ledger = ledger();
    for number in 0..2 {
        quarantine(&mut ledger, number, &guest(1, 1));
    }
    for number in 2..1100 {
        quarantine(&mut ledger, number, &guest(1000 + u32::from(number), 1));
    }
    assert_eq!(ledger.held().len(), GUESTS_MAX);
    assert!(ledger.against(&digest(0), &guest(1, 1)).is_none());
    assert!(
        ledger
            .against(&digest(1), &guest(1, 1))
            .is_none_or(|held| held.whose == guest(1, 1))
    );
}

#[test]
fn what_a_guest_has_counted_makes_no_operators_count_forgotten() {
    let mut ledger = ledger();
    for second in 0..2 {
        crash(&mut ledger, &Whose::All, false, second);
    }
    for number in 0..3000_u16 {
        let whose = guest(u32::from(number), 1);
        let crash = Crash {
            sha256: digest(number),
            whose: &whose,
            kind: Kind::Crash,
            at_load: true,
        };
        ledger.crashed(&crash, at(2));
    }
    assert!(crash(&mut ledger, &Whose::All, false, 3));
}

/// One step of a history: (model, whose, at load, kind), and the seconds since the step before.
type Step = ((u8, u8, bool, usize), u64);

fn whose(number: u8) -> Whose {
    match number {
        0 => Whose::All,
        1..=3 => Whose::Tenant(tenant(number)),
        // Two uids, each with a tenant of the other's.
        _ => guest(u32::from(number % 2), number / 2 - 1),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = (0_u8..3, 0_u8..8, any::<bool>(), 0_usize..6);
    prop::collection::vec((crash, 0_u64..40), 0..80)
}

proptest! {
    /// Whatever happens: a model is refused to somebody only after so many crashes that were of an operator's model, or of
    /// this one's own workers; and no uid's guests have a part in what is refused to another.
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
            for other in 0..8 {
                if ledger.against(&[model; 32], &whose(other)).is_none() {
                    continue;
                }
                let whose_other = whose(other);
                let counts = past.iter().filter(|(of, by, ..)| {
                    let by = whose(*by);
                    *of == model && (by.guest_uid().is_none() || by == whose_other)
                });
                prop_assert!(counts.count() >= 3, "{other} is refused {model}");
            }
        }
    }

    /// A worker of all tenants that crashes so often within the window is always stopped, whatever else happens.
    #[test]
    fn three_crashes_in_a_row_of_one_worker_are_always_enough(steps in steps(), number in 0_u8..8) {
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

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// However many models crash: what is remembered is bounded.
    #[test]
    fn what_is_remembered_is_bounded(numbers in prop::collection::vec((any::<u16>(), 0_u32..40), 0..2500)) {
        let mut ledger = ledger();
        for (number, uid) in numbers {
            let whose = if uid == 0 { Whose::All } else { guest(uid, 1) };
            let crash = Crash { sha256: digest(number), whose: &whose, kind: Kind::Crash, at_load: false };
            ledger.crashed(&crash, at(0));
        }
        let guests = |uid: Option<u32>| uid.is_some();
        let watched = ledger.watched.keys().map(|(_, whose)| whose.guest_uid());
        let held = ledger.held().iter().map(|held| held.whose.guest_uid());
        prop_assert!(watched.clone().filter(|uid| !guests(*uid)).count() <= ACCOUNTS_MAX);
        prop_assert!(watched.clone().filter(|uid| guests(*uid)).count() <= GUESTS_MAX);
        prop_assert!((1..40).all(|uid| watched.clone().filter(|of| *of == Some(uid)).count() <= GUESTS_PER_UID_MAX));
        prop_assert!(held.clone().count() <= ACCOUNTS_MAX + GUESTS_MAX);
    }

}

proptest! {
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
        prop_assert!((0..8).all(|number| ledger.against(&[0; 32], &whose(number)).is_none()));
    }
}

#[test]
fn counts_of_a_file_that_no_number_holds_are_told_all_the_same() {
    let held = Held {
        sha256: [1; 32],
        whose: Whose::All,
        at_load: false,
        since_unix_s: 0,
        crashes: [(Kind::Crash, u32::MAX), (Kind::Panic, 1)].into(),
    };
    let fault = held.fault(RULES);
    assert!(fault.got.starts_with(&u32::MAX.to_string()), "{fault}");
}
