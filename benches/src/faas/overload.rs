//! What becomes of more requests than can be answered? The most that come through is found by clients that wait for their
//! answers; then half of it, nearly all, and half as much again is sent at random times, whatever becomes of it.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use crate::faas::ask::{ANYBODY, REAL};
use crate::faas::client::Pool;
use crate::faas::load::{self, Load};
use crate::faas::server::{REQUESTS_MAX, Server};
use crate::faas::table::{Target, cell, head, lag, row};
use crate::faas::{Bench, Part, arrivals, punctual};
use crate::report::line;

/// Clients that find the most that comes through.
const CLIENTS: usize = 8;

const CAPACITY_WINDOW: Duration = Duration::from_secs(6);
const CAPACITY_WINDOW_QUICK: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(20);
const WINDOW_QUICK: Duration = Duration::from_secs(3);

/// Of the most that comes through.
const SHARES: [f64; 3] = [0.5, 0.9, 1.5];

/// Of the list of arrivals.
const SEED: u64 = 1;

/// Aim: good answers beyond the most that comes through, of that.
const KEPT_MIN: f64 = 0.9;

/// One host.
struct Side {
    name: &'static str,
    capacity: f64,
    loads: Vec<(f64, Load)>,
}

/// Gives what the host of this project can answer in a second, too.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<(Part, f64)> {
    let ours = {
        let daemon = bench.daemon("", false)?;
        let host = bench.isolated(&daemon)?;
        one_side(bench, "nn-host serve", &host)?
    };
    let peer = one_side(bench, "in process", &bench.in_process()?)?;
    let capacity = ours.capacity;
    Ok((told(&[ours, peer]), capacity))
}

/// The most that this project's host answers in a second, and nothing else.
pub(crate) fn capacity(bench: &Bench<'_>) -> Result<f64> {
    let daemon = bench.daemon("", false)?;
    let host = bench.isolated(&daemon)?;
    bench.drive(async { most(bench, "nn-host serve", &host.pool()).await })
}

async fn most(bench: &Bench<'_>, name: &'static str, pool: &Rc<Pool>) -> Result<f64> {
    let ask = REAL.by_name(ANYBODY);
    load::sequence(pool, &ask, 5).await.check(name)?;
    let window = bench.either(CAPACITY_WINDOW, CAPACITY_WINDOW_QUICK);
    let most = load::closed(pool, &ask, CLIENTS, window).await?;
    most.check(name)?;
    Ok(most.goodput())
}

fn one_side(bench: &Bench<'_>, name: &'static str, host: &Server) -> Result<Side> {
    bench.drive(async {
        let pool = host.pool();
        let ask = REAL.by_name(ANYBODY);
        let capacity = most(bench, name, &pool).await?;
        let window = bench.either(WINDOW, WINDOW_QUICK);
        let mut loads = Vec::new();
        for share in SHARES {
            let list = arrivals::poisson(capacity * share, window, SEED);
            let load = punctual(async || load::open(&pool, &ask, &list, window).await).await?;
            loads.push((share, load));
        }
        Ok(Side {
            name,
            capacity,
            loads,
        })
    })
}

fn told(sides: &[Side]) -> Part {
    let mut part = Part::default();
    let text = &mut part.text;
    line(
        text,
        &format!(
            "### More requests than can be answered\n\nThe route infers with {}; {CLIENTS} clients that wait for their answers find the most, \
             then requests come at random times. {REQUESTS_MAX} requests at a time, of both hosts.\n",
            REAL.title
        ),
    );
    head(
        text,
        &[
            "host",
            "load",
            "sent/s",
            "answered/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "refused",
            "refusal p99 ms",
            "failed",
            "sent late, p99 ms",
        ],
    );
    for side in sides {
        let mut cells = vec![side.name.to_owned(), "the most".to_owned(), "–".to_owned()];
        cells.push(cell(side.capacity));
        cells.extend(vec!["–".to_owned(); 7]);
        row(text, &cells);
        for (share, load) in &side.loads {
            let cells = [
                side.name.to_owned(),
                format!("{:.0} %", share * 100.0),
                cell(load.offered()),
                cell(load.goodput()),
                cell(load.latency_ms(500)),
                cell(load.latency_ms(990)),
                cell(load.latency_ms(999)),
                load.refused().to_string(),
                cell(load.refusal_ms(990)),
                load.failed().to_string(),
                lag(load),
            ];
            row(text, &cells);
        }
    }
    text.push('\n');
    if let Some(ours) = sides.first()
        && let Some((share, load)) = ours.loads.last()
    {
        let kept = load.goodput() / ours.capacity;
        part.targets.push(Target {
            what: "good answers at 150 % of the most that comes through",
            aim: format!("≥ {:.0} % of it", KEPT_MIN * 100.0),
            got: format!("{:.0} % at {:.0} %", kept * 100.0, share * 100.0),
            is_met: load.is_punctual().then_some(kept >= KEPT_MIN),
        });
    }
    part
}
