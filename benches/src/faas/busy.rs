//! Is the rest still answered while models compute? A route that has nothing to do with models is asked at even distances, while
//! guests of the same host keep a model busy.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::faas::ask::{self, HEAVY};
use crate::faas::client::Pool;
use crate::faas::load::{self, Load};
use crate::faas::scheduling::{self, Seen};
use crate::faas::server::{Server, THREADS};
use crate::faas::table::{Target, cell, head, lag, row};
use crate::faas::{Bench, Part, arrivals, punctual};
use crate::report::line;

/// Guests that infer.
const GUESTS: usize = 8;

/// Requests a second for the other route.
const RATE: f64 = 100.0;

const ROUNDS: usize = 3;
const WINDOW: Duration = Duration::from_secs(10);
const WINDOW_QUICK: Duration = Duration::from_secs(2);

/// Until all guests are at it.
const RUN_UP: Duration = Duration::from_millis(500);

/// Aims: of what the same route takes on an idle host, or so much more.
const RATIO_MAX: f64 = 2.0;
const MORE_MS_MAX: f64 = 1.0;

/// Aim: the peer's over ours.
const BETTER_MIN: f64 = 5.0;

/// One host.
#[derive(Default)]
struct Side {
    name: &'static str,
    idle: Load,
    busy: Load,
    inferring: Load,
}

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Part> {
    let daemon = bench.daemon("", false)?;
    let (isolated, in_process) = (bench.isolated(&daemon)?, bench.in_process()?);
    let hosts = [("nn-host serve", &isolated), ("in process", &in_process)];
    let (sides, processes) = bench.drive(async {
        let mut sides: Vec<Side> = Vec::new();
        for _ in 0..bench.either(ROUNDS, 1) {
            for (index, (name, host)) in hosts.into_iter().enumerate() {
                let found = one_side(bench, name, host).await?;
                match sides.get_mut(index) {
                    Some(side) => side.add(found),
                    None => sides.push(found),
                }
            }
        }
        let mut processes = vec![
            scheduling::seen("the load's", std::process::id()),
            scheduling::seen("nn-host", isolated.pid()),
            scheduling::seen("nn-daemon", daemon.pid()),
        ];
        let workers = daemon.workers().into_iter();
        processes.extend(workers.map(|pid| scheduling::seen("nn-worker", pid)));
        processes.push(scheduling::seen("in process", in_process.pid()));
        Ok((sides, processes))
    })?;
    Ok(told(&sides, &processes))
}

async fn one_side(bench: &Bench<'_>, name: &'static str, host: &Server) -> Result<Side> {
    let window = bench.either(WINDOW, WINDOW_QUICK);
    let (probing, guests) = (host.pool(), host.pool());
    load::sequence(&probing, &ask::nothing(), 20)
        .await
        .check(name)?;
    let first = load::sequence(&guests, &HEAVY.by_name(ask::ANYBODY), 2).await;
    first.check(name)?;
    let idle = punctual(async || probe(&probing, window).await).await?;
    let ask = HEAVY.by_name(ask::ANYBODY);
    let inferring = load::closed(&guests, &ask, GUESTS, window + RUN_UP);
    let busy = async {
        sleep(RUN_UP).await;
        probe(&probing, window).await
    };
    let (inferring, busy) = tokio::try_join!(inferring, busy)?;
    for load in [&idle, &busy, &inferring] {
        load.check(name)?;
    }
    Ok(Side {
        name,
        idle,
        busy,
        inferring,
    })
}

async fn probe(pool: &Rc<Pool>, window: Duration) -> Result<Load> {
    load::open(
        pool,
        &ask::nothing(),
        &arrivals::fixed(RATE, window),
        window,
    )
    .await
}

fn told(sides: &[Side], processes: &[Seen]) -> Part {
    let mut part = Part::default();
    let text = &mut part.text;
    line(text, "### A route without a model while 8 guests infer\n");
    head(
        text,
        &[
            "host",
            "models",
            "requests",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "sent late, p99 ms",
            "inferences/s",
        ],
    );
    for side in sides {
        for (state, load) in [("idle", &side.idle), ("busy", &side.busy)] {
            let inferences = if state == "idle" {
                "–".to_owned()
            } else {
                cell(side.inferring.goodput())
            };
            let cells = [
                side.name.to_owned(),
                state.to_owned(),
                load.count().to_string(),
                cell(load.latency_ms(500)),
                cell(load.latency_ms(990)),
                cell(load.latency_ms(999)),
                lag(load),
                inferences,
            ];
            row(text, &cells);
        }
    }
    let model = HEAVY.title;
    line(
        text,
        &format!(
            "\nThe model is {model}; its run time is in the table of cold requests. Executor threads of each host: {THREADS}. The load \
             comes from the same machine.\n"
        ),
    );
    scheduling::table(text, processes);
    if let [ours, peer] = sides {
        part.targets = targets(ours, peer);
    }
    part
}

fn targets(ours: &Side, peer: &Side) -> Vec<Target> {
    let counts = [&ours.idle, &ours.busy]
        .iter()
        .all(|load| load.is_punctual());
    let (idle, busy) = (ours.idle.latency_ms(990), ours.busy.latency_ms(990));
    let keeps = Target {
        what: "a route without a model, p99 while models are busy",
        aim: format!("≤ {RATIO_MAX} × idle, or + {MORE_MS_MAX} ms"),
        got: format!("{} ms, idle {} ms", cell(busy), cell(idle)),
        is_met: counts.then_some(busy <= idle * RATIO_MAX || busy <= idle + MORE_MS_MAX),
    };
    let theirs = peer.busy.latency_ms(990);
    let better = Target {
        what: "the same, against in process",
        aim: format!("≥ {BETTER_MIN} × shorter"),
        got: format!("{} × ({} ms)", cell(theirs / busy), cell(theirs)),
        is_met: counts.then_some(theirs >= busy * BETTER_MIN),
    };
    vec![keeps, better]
}

// === impl Side ===

impl Side {
    fn add(&mut self, other: Self) {
        self.idle.add(other.idle);
        self.busy.add(other.busy);
        self.inferring.add(other.inferring);
    }
}
