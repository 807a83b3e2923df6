//! Who is next, who may wait, and that nothing is left behind.

mod random;

use super::*;

const MS: u64 = 1_000_000;

/// A server that runs one job at a time, each for as long as it says in microseconds.
struct Server {
    lanes: Lanes<(char, u64)>,
    ran: BTreeMap<char, u64>,
    order: Vec<char>,
}

fn tenant(name: char) -> Tenant {
    name.to_string().parse().unwrap()
}

fn who(tenant: &Tenant, session: u128, weight: u32) -> Who<'_> {
    Who {
        tenant,
        session: Id128(session),
        weight,
    }
}

impl Server {
    fn new(places: usize) -> Self {
        Self {
            lanes: Lanes::new(places),
            ran: BTreeMap::new(),
            order: Vec::new(),
        }
    }

    fn put(&mut self, name: char, weight: u32, run_us: u64) {
        let tenant = tenant(name);
        let number = self.lanes.number();
        self.lanes
            .put(number, who(&tenant, 1, weight), (name, run_us));
    }

    /// Runs whoever's turn it is; each that is done comes again where `again` says so.
    fn serve(&mut self, weight: impl Fn(char) -> Option<u32>) -> Option<char> {
        let taken = self.lanes.take()?;
        let (name, run_us) = taken.job;
        if let Some(weight) = weight(name) {
            self.put(name, weight, run_us);
        }
        let ran = Ran::Whole(Duration::from_micros(run_us));
        self.lanes.settle(&taken.tenant, taken.time, ran);
        *self.ran.entry(name).or_default() += run_us;
        self.order.push(name);
        Some(name)
    }

    fn share(&self, name: char) -> f64 {
        let all: u64 = self.ran.values().sum();
        float(self.ran[&name]) / float(all)
    }
}

fn float(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

/// Fills a queue with jobs of one tenant after another, of one session each or of as many as there are jobs; gives how
/// many of each got in.
fn fill(lanes: &mut Lanes<()>, tenants: &str, one_session: bool) -> Vec<usize> {
    let fill = |name: char| {
        let tenant = tenant(name);
        let before = lanes.len();
        let mut session = 0;
        while lanes.admits(who(&tenant, session, 1)).is_ok() {
            let number = lanes.number();
            lanes.put(number, who(&tenant, session, 1), ());
            session += u128::from(!one_session);
        }
        lanes.len() - before
    };
    tenants.chars().map(fill).collect()
}

#[test]
fn one_tenant_gets_half_and_the_next_half_of_what_is_left() {
    let mut lanes = Lanes::new(12);
    assert_eq!(fill(&mut lanes, "abcd", true), [6, 3, 2, 1]);
    let full = lanes.admits(who(&tenant('e'), 1, 1));
    assert_eq!(full, Err(Refused::Full));
}

#[test]
fn a_session_finds_a_place_beside_one_that_has_its_tenants_part() {
    let mut lanes = Lanes::new(12);
    fill(&mut lanes, "a", true);
    let a = tenant('a');
    let share = lanes.admits(who(&a, 0, 1));
    assert_eq!(share, Err(Refused::Share { free: 6 }));
    assert_eq!(lanes.admits(who(&a, 1, 1)), Ok(()));
}

#[test]
fn a_tenant_of_many_sessions_leaves_places_to_others() {
    let mut lanes = Lanes::new(12);
    assert_eq!(fill(&mut lanes, "abc", false), [8, 3, 1]);
}

#[test]
fn a_queue_of_one_place_has_one() {
    let mut lanes = Lanes::new(0);
    assert_eq!(fill(&mut lanes, "ab", true), [1, 0]);
}

#[test]
fn weights_of_one_to_three_give_one_to_three_of_the_run_time() {
    // What each job costs plays no part, nor how many wait.
    for (a, b) in [(500, 500), (100, 5000), (5000, 100), (7, 1300)] {
        let mut server = Server::new(64);
        (0..3).for_each(|_| server.put('a', 1, a));
        (0..20).for_each(|_| server.put('b', 3, b));
        for _ in 0..1000 {
            server.serve(|name| Some(if name == 'a' { 1 } else { 3 }));
        }
        let part = server.share('a');
        assert!((0.2375..0.2625).contains(&part), "{a} and {b} us: {part}");
    }
}

#[test]
fn many_tenants_of_different_sizes_get_the_same() {
    let mut server = Server::new(64);
    let costs = [('a', 90), ('b', 1000), ('c', 333), ('d', 5000), ('e', 20)];
    for (name, us) in costs {
        (0..4).for_each(|_| server.put(name, 1, us));
    }
    (0..20_000).for_each(|_| {
        server.serve(|_| Some(1));
    });
    for (name, _) in costs {
        let part = server.share(name);
        assert!((0.19..0.21).contains(&part), "{name}: {part}");
    }
}

#[test]
fn a_tenant_that_comes_is_next_whatever_waits() {
    let mut server = Server::new(64);
    (0..30).for_each(|_| server.put('n', 1, 5000));
    for _ in 0..20 {
        server.serve(|_| Some(1));
    }
    server.put('v', 1, 5000);
    assert_eq!(server.serve(|_| None), Some('v'));
    // And again as soon as the other has had as much.
    server.put('v', 1, 5000);
    let next = [server.serve(|_| None), server.serve(|_| None)];
    assert!(next.contains(&Some('v')), "{next:?}");
}

#[test]
fn a_tenant_that_comes_does_not_wait_for_what_is_in_hand_to_be_measured() {
    let mut lanes = Lanes::new(8);
    let (n, v) = (tenant('n'), tenant('v'));
    for number in 1..=3 {
        lanes.put(number, who(&n, 1, 1), number);
    }
    assert_eq!(lanes.take().unwrap().tenant, n);
    lanes.put(4, who(&v, 1, 1), 4);
    assert_eq!(lanes.take().unwrap().tenant, v);
    assert_eq!(lanes.take().unwrap().tenant, n);
}

#[test]
fn a_tenant_that_was_idle_has_no_credit() {
    let mut server = Server::new(64);
    server.put('a', 1, 1000);
    server.put('b', 1, 1000);
    let mut a_alone = |rounds| {
        for _ in 0..rounds {
            server.serve(|name| (name == 'a').then_some(1));
        }
    };
    a_alone(1000);
    server.order.clear();
    (0..50).for_each(|_| server.put('b', 1, 1000));
    for _ in 0..40 {
        server.serve(|name| (name == 'a').then_some(1));
    }
    let of_b = server.order.iter().filter(|name| **name == 'b').count();
    assert!((19..=21).contains(&of_b), "{of_b} of 40");
}

#[test]
fn a_tenant_that_calls_once_at_a_time_owes_what_it_had() {
    // Its lane is empty whenever a job is chosen, and still it is not served after each of the other's short ones.
    let mut server = Server::new(64);
    (0..8).for_each(|_| server.put('s', 1, 100));
    server.put('l', 1, 10_000);
    for _ in 0..2000 {
        let taken = server.lanes.take().unwrap();
        let (name, us) = taken.job;
        let ran = Ran::Whole(Duration::from_micros(us));
        server.lanes.settle(&taken.tenant, taken.time, ran);
        *server.ran.entry(name).or_default() += us;
        server.put(name, 1, us);
    }
    let part = server.share('l');
    assert!((0.45..0.55).contains(&part), "{part}");
}

#[test]
fn what_was_not_run_costs_nothing_and_goes_back_to_its_place() {
    let mut lanes = Lanes::new(8);
    let (a, b) = (tenant('a'), tenant('b'));
    lanes.put(1, who(&a, 1, 1), 1);
    lanes.put(2, who(&a, 1, 1), 2);
    lanes.put(3, who(&b, 1, 1), 3);
    let taken = lanes.take().unwrap();
    assert_eq!(taken.job, 1);
    lanes.settle(&a, taken.time, Ran::Nothing);
    lanes.put(1, who(&a, 1, 1), 1);
    let order: Vec<u64> = std::iter::from_fn(|| Some(lanes.take()?.job)).collect();
    assert_eq!(order, [3, 1, 2]);
}

#[test]
fn a_job_that_is_taken_out_leaves_its_place_and_its_lane() {
    let mut lanes = Lanes::new(2);
    let (a, b) = (tenant('a'), tenant('b'));
    lanes.put(1, who(&a, 1, 1), 'x');
    lanes.put(2, who(&b, 1, 1), 'y');
    assert_eq!(lanes.oldest(), Some(&'x'));
    assert_eq!(lanes.remove(&a, 1), Some('x'));
    assert_eq!(lanes.remove(&a, 1), None);
    assert_eq!((lanes.len(), lanes.lanes.len()), (1, 1));
    assert_eq!(lanes.drain(|job| *job == 'y'), ['y']);
    assert_eq!((lanes.len(), lanes.lanes.len()), (0, 0));
    assert_eq!(lanes.estimate(), None);
}

#[test]
fn a_weight_that_changes_holds_from_the_next_job() {
    let mut server = Server::new(64);
    (0..4).for_each(|_| server.put('a', 1, 1000));
    (0..4).for_each(|_| server.put('b', 1, 1000));
    (0..100).for_each(|_| {
        server.serve(|_| Some(1));
    });
    server.ran.clear();
    (0..400).for_each(|_| {
        server.serve(|name| Some(if name == 'a' { 3 } else { 1 }));
    });
    let part = server.share('a');
    assert!((0.72..0.78).contains(&part), "{part}");
}

#[test]
fn tenants_without_end_keep_nobody_waiting_for_ever_and_leave_nothing_behind() {
    let mut server = Server::new(32);
    // One that has had much, and waits.
    server.put('x', 1, 3_000_000);
    server.put('x', 1, 1000);
    server.put('y', 1, 1000);
    let mut turns = 0;
    let served = (0..200_000_u32).find(|n| {
        let tenant: Tenant = format!("t{n}").parse().unwrap();
        let number = server.lanes.number();
        server.lanes.put(number, who(&tenant, 1, 1), ('t', 1000));
        turns += 1;
        server.serve(|_| None) == Some('x') && turns > 1
    });
    println!("served after {served:?} others");
    assert!(served.is_some_and(|others| others > 0), "{served:?}");
    assert!(
        server.lanes.lanes.len() <= 3 * 32,
        "{}",
        server.lanes.lanes.len()
    );
    while server.serve(|_| None).is_some() {}
    assert!(server.lanes.lanes.is_empty());
    assert_eq!((server.lanes.floor, server.lanes.fluid), (0, 0));
}

#[test]
fn no_time_is_too_long() {
    let mut lanes = Lanes::new(4);
    let a = tenant('a');
    for number in 1..=4 {
        lanes.put(number, who(&a, 1, 1), ());
    }
    for _ in 0..4 {
        let taken = lanes.take().unwrap();
        lanes.settle(&a, taken.time, Ran::Whole(Duration::MAX));
    }
    assert!(lanes.lanes.is_empty());
}

#[test]
fn a_lead_is_what_a_tenant_that_comes_may_have() {
    // One job of three seconds beside one that wants little: who comes then stands a second before the middle at most.
    let mut server = Server::new(8);
    server.put('l', 1, 3_000_000);
    (0..3).for_each(|_| server.put('s', 1, 1));
    assert_eq!(server.serve(|_| Some(1)), Some('l'));
    assert_eq!(server.lanes.fluid, 1_500 * MS);
    assert_eq!(server.lanes.start(), 500 * MS);
}
