//! What does one tenant notice of another? One infers now and then; then another sends ten times as much as half of all that the
//! model can do, all the time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::faas::ask::{NEIGHBOUR, REAL, VICTIM};
use crate::faas::client::Pool;
use crate::faas::load::{self, Load};
use crate::faas::server::{Server, TENANT_REQUESTS_MAX};
use crate::faas::table::{Target, cell, head, lag, row};
use crate::faas::{Bench, Part, arrivals, punctual};
use crate::procs;
use crate::report::line;

/// Requests a second of the quiet tenant.
const RATE: f64 = 10.0;

/// The other's, of its share.
const TIMES_SHARE: f64 = 10.0;

/// Each of two has one half.
const SHARE: f64 = 0.5;

/// Alone and beside the loud one, in turns.
const ROUNDS: u64 = 3;
const WINDOW: Duration = Duration::from_secs(20);
const WINDOW_QUICK: Duration = Duration::from_secs(3);

/// Until the other one's requests queue.
const RUN_UP: Duration = Duration::from_secs(1);

const SEED: u64 = 2;

/// Aims: of what the quiet one's requests take when it is alone, p99.
const SHARED_MAX: f64 = 2.2;
const OWN_MAX: f64 = 1.5;

/// One arrangement.
struct Row {
    name: &'static str,
    alone: Load,
    beside: Load,
    other: Load,
    /// Who had the processors beside the loud one, in nanoseconds.
    used: Vec<(&'static str, u64)>,
    /// For how long.
    spent: Duration,
}

/// Processes of one kind.
type Group = (&'static str, Vec<u32>);

pub(crate) fn measure(bench: &Bench<'_>, capacity: f64) -> Result<Part> {
    ensure!(capacity > 0.0, "it is not known how much can be answered");
    let mut rows = Vec::new();
    let arrangements = [
        ("nn-host serve, one worker for both", ""),
        ("nn-host serve, a worker for each", "isolation = \"tenant\""),
    ];
    for (name, workers) in arrangements {
        let daemon = bench.daemon(workers, false)?;
        let host = bench.isolated(&daemon)?;
        let groups = || {
            vec![
                ("the load", vec![std::process::id()]),
                ("host", vec![host.pid()]),
                ("daemon", vec![daemon.pid()]),
                ("workers", daemon.workers()),
            ]
        };
        rows.push(one_row(bench, name, (&host, &groups), capacity)?);
    }
    let peer = bench.in_process()?;
    let groups = || {
        vec![
            ("the load", vec![std::process::id()]),
            ("host", vec![peer.pid()]),
        ]
    };
    rows.push(one_row(bench, "in process", (&peer, &groups), capacity)?);
    Ok(told(&rows))
}

fn one_row(
    bench: &Bench<'_>,
    name: &'static str,
    (host, groups): (&Server, &dyn Fn() -> Vec<Group>),
    capacity: f64,
) -> Result<Row> {
    let window = bench.either(WINDOW, WINDOW_QUICK);
    let rate = capacity * SHARE * TIMES_SHARE;
    let mut row = Row::new(name);
    bench.drive(async {
        let (victims, others) = (host.pool(), host.pool());
        for (pool, tenant) in [(&victims, VICTIM), (&others, NEIGHBOUR)] {
            let first = load::sequence(pool, &REAL.by_name(tenant), 5).await;
            first.check(name)?;
        }
        for seed in 0..bench.either(ROUNDS, 1) {
            let alone = punctual(async || victim(&victims, window).await).await?;
            row.alone.add(alone);
            let flood = arrivals::poisson(rate, window + RUN_UP, SEED + seed);
            let ask = REAL.by_name(NEIGHBOUR);
            let other = load::open(&others, &ask, &flood, window + RUN_UP);
            let beside = beside(&victims, window, groups);
            let (other, (beside, spent, used)) = tokio::try_join!(other, beside)?;
            row.other.add(other);
            row.beside.add(beside);
            row.use_more(spent, &used);
        }
        row.alone.check(name)?;
        Ok(())
    })?;
    Ok(row)
}

/// The quiet one's requests once the other's queue, and the processors' time meanwhile.
async fn beside(
    victims: &Rc<Pool>,
    window: Duration,
    groups: &dyn Fn() -> Vec<Group>,
) -> Result<(Load, Duration, Vec<(&'static str, u64)>)> {
    sleep(RUN_UP).await;
    let (began, before) = (Instant::now(), groups());
    let before: Vec<_> = before
        .into_iter()
        .map(|(name, pids)| (name, procs::cpu_ns(&pids), pids))
        .collect();
    let beside = victim(victims, window).await?;
    let spent = began.elapsed();
    let used = before
        .into_iter()
        .map(|(name, before, pids)| (name, procs::cpu_ns(&pids).saturating_sub(before)))
        .collect();
    Ok((beside, spent, used))
}

#[expect(clippy::cast_precision_loss, reason = "a share of seconds")]
fn percent(ns: u64, of: Duration) -> f64 {
    ns as f64 / of.as_nanos() as f64 * 100.0
}

async fn victim(pool: &Rc<Pool>, window: Duration) -> Result<Load> {
    let list = arrivals::fixed(RATE, window);
    load::open(pool, &REAL.by_name(VICTIM), &list, window).await
}

fn told(rows: &[Row]) -> Part {
    let mut part = Part::default();
    let text = &mut part.text;
    line(
        text,
        &format!(
            "### A quiet tenant beside a loud one\n\nBoth infer with {}: one {RATE:.0} times a second, the other {TIMES_SHARE:.0} times as often \
             as half of what the model can do. {TENANT_REQUESTS_MAX} requests at a time of each, in all hosts.\n",
            REAL.title
        ),
    );
    head(
        text,
        &[
            "host",
            "alone, p50 ms",
            "p99 ms",
            "beside, p50 ms",
            "p99 ms",
            "beside ÷ alone, p99",
            "its requests",
            "refused",
            "failed",
            "the other's sent/s",
            "answered/s",
            "sent late, p99 ms",
        ],
    );
    for Row {
        name,
        alone,
        beside,
        other,
        ..
    } in rows
    {
        let cells = [
            (*name).to_owned(),
            cell(alone.latency_ms(500)),
            cell(alone.latency_ms(990)),
            cell(beside.latency_ms(500)),
            cell(beside.latency_ms(990)),
            format!("{:.2}", ratio(alone, beside)),
            beside.count().to_string(),
            beside.refused().to_string(),
            beside.failed().to_string(),
            cell(other.offered()),
            cell(other.goodput()),
            lag(beside),
        ];
        row(text, &cells);
    }
    text.push('\n');
    line(
        text,
        "Who had the processors meanwhile, in percent of one:\n",
    );
    head(text, &["host", "the load", "host", "daemon", "workers"]);
    for Row {
        name, used, spent, ..
    } in rows
    {
        let mut cells = vec![(*name).to_owned()];
        let shares = used.iter().map(|(_, ns)| percent(*ns, *spent));
        cells.extend(shares.map(|percent| format!("{percent:.0}")));
        cells.resize(5, "–".to_owned());
        row(text, &cells);
    }
    text.push('\n');
    part.targets = targets(rows);
    part
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let aims = [
        (
            "a quiet tenant's p99 beside a loud one, one worker for both",
            SHARED_MAX,
        ),
        ("the same, a worker for each tenant", OWN_MAX),
    ];
    let target = |((what, max), Row { alone, beside, .. }): ((&'static str, f64), &Row)| {
        let got = ratio(alone, beside);
        let counts = alone.is_punctual() && beside.is_punctual();
        let whole = beside.refused() + beside.failed() == 0;
        Target {
            what,
            aim: format!("≤ {max} × alone, nothing refused"),
            got: format!("{got:.2} ×, {} refused", beside.refused()),
            is_met: counts.then_some(got <= max && whole),
        }
    };
    aims.into_iter().zip(rows).map(target).collect()
}

fn ratio(alone: &Load, beside: &Load) -> f64 {
    beside.latency_ms(990) / alone.latency_ms(990)
}

// === impl Row ===

impl Row {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            alone: Load::default(),
            beside: Load::default(),
            other: Load::default(),
            used: Vec::new(),
            spent: Duration::ZERO,
        }
    }

    fn use_more(&mut self, spent: Duration, used: &[(&'static str, u64)]) {
        self.spent += spent;
        for &(name, ns) in used {
            match self.used.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += ns,
                None => self.used.push((name, ns)),
            }
        }
    }
}
