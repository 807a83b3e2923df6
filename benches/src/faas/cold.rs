//! What does a request cost whose instance is made for it? By a model that the host has by name, against one whose bytes each
//! request loads, as guests do whose host keeps nothing; and what all of it adds to the model's run, as the worker tells that.

use std::collections::HashMap;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::daemon::Daemon;
use crate::faas::ask::{self, ANYBODY, HEAVY, Model, REAL, TINY};
use crate::faas::client::{Ask, Pool};
use crate::faas::load::{self, Load};
use crate::faas::table::{Target, cell, head, row};
use crate::faas::{Bench, Part};
use crate::report::line;
use crate::stats::{micros, quantile};

const ROUNDS: usize = 5;

/// Requests of one round.
const REQUESTS: usize = 40;
const REQUESTS_QUICK: usize = 15;

/// Requests that do not count.
const FIRST: usize = 3;

/// Aim: what a request takes besides the model's run and what the guest does for itself.
const ADDED_MS_MAX: f64 = 1.0;

/// How long the daemon's log may take to hold what is already answered.
const LOG_MAX: Duration = Duration::from_secs(5);

/// One way of one model.
struct Way {
    model: &'static str,
    name: &'static str,
    pool: Rc<Pool>,
    ask: Ask,
    load: Load,
}

/// What requests took, and of that the model; and requests in between to the same guest that ask for less.
struct Added {
    model: Model,
    request_ns: Vec<u64>,
    run_ns: Vec<u64>,
    added_ns: Vec<u64>,
    nothing_ns: Vec<u64>,
    input_ns: Vec<u64>,
}

/// What one model's requests took, those that infer with their ids.
struct Asked {
    model: Model,
    inferring: Vec<(String, u64)>,
    nothing_ns: Vec<u64>,
    input_ns: Vec<u64>,
}

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Part> {
    let mut part = Part::default();
    let ways = compared(bench)?;
    ways_told(&mut part, &ways);
    let added = added(bench)?;
    added_told(&mut part, &added);
    Ok(part)
}

fn compared(bench: &Bench<'_>) -> Result<Vec<Way>> {
    let daemon = bench.daemon("", false)?;
    let (isolated, in_process) = (bench.isolated(&daemon)?, bench.in_process()?);
    bench.drive(async {
        let (ours, theirs) = (isolated.pool(), in_process.pool());
        let way = |model, name, pool: &Rc<Pool>, ask| Way {
            model,
            name,
            pool: Rc::clone(pool),
            ask,
            load: Load::default(),
        };
        let mut ways = vec![
            way("none", "nn-host serve", &ours, ask::nothing()),
            way("none", "in process", &theirs, ask::nothing()),
        ];
        for model in [TINY, REAL] {
            let title = model.title;
            ways.push(way(
                title,
                "nn-host serve, by name",
                &ours,
                model.by_name(ANYBODY),
            ));
            ways.push(way(
                title,
                "in process, by name",
                &theirs,
                model.by_name(ANYBODY),
            ));
            ways.push(way(
                title,
                "in process, from bytes",
                &theirs,
                model.brought(),
            ));
            agree(&ways).await?;
        }
        for way in &ways {
            load::sequence(&way.pool, &way.ask, FIRST)
                .await
                .check(way.name)?;
        }
        for _ in 0..bench.either(ROUNDS, 1) {
            for way in &mut ways {
                let count = bench.either(REQUESTS, REQUESTS_QUICK);
                way.load
                    .add(load::sequence(&way.pool, &way.ask, count).await);
            }
        }
        for way in &ways {
            way.load.check(way.name)?;
        }
        Ok(ways)
    })
}

/// The last three ways give the same bytes.
async fn agree(ways: &[Way]) -> Result<()> {
    let last = ways.get(ways.len().saturating_sub(3)..).unwrap_or_default();
    let mut answers = Vec::new();
    for way in last {
        let answer = way.pool.get(&way.ask).await?;
        ensure!(answer.status == 200, "{}: {}", way.name, answer.text);
        answers.push(answer.text);
    }
    ensure!(
        answers.windows(2).all(|two| two.first() == two.last()),
        "the hosts do not answer the same: {answers:?}"
    );
    Ok(())
}

fn added(bench: &Bench<'_>) -> Result<Vec<Added>> {
    let daemon = bench.daemon("", true)?;
    let isolated = bench.isolated(&daemon)?;
    let count = bench.either(ROUNDS * REQUESTS, REQUESTS_QUICK);
    let asked = bench.drive(async {
        let pool = isolated.pool();
        let mut asked = Vec::new();
        for model in [TINY, REAL, HEAVY] {
            asked.push(Asked::of(model, &pool, count).await?);
        }
        Ok(asked)
    })?;
    let last = asked.last().and_then(|asked| asked.inferring.last());
    let (last, _) = last.context("nothing was asked")?;
    let runs = runs(&daemon, last)?;
    asked.into_iter().map(|asked| asked.held(&runs)).collect()
}

/// One request, which is answered well; the host's name for it, and how long it took.
async fn timed(pool: &Pool, ask: &Ask) -> Result<(String, u64)> {
    let begun = Instant::now();
    let answer = pool.get(ask).await?;
    let took = u64::try_from(begun.elapsed().as_nanos())?;
    ensure!(answer.status == 200, "{}: {}", ask.target, answer.text);
    Ok((answer.id.context("an answer without an id")?, took))
}

/// How long the worker ran for each request, by the request's id; the log has to hold the last one.
fn runs(daemon: &Daemon, last: &str) -> Result<HashMap<String, u64>> {
    let begun = Instant::now();
    loop {
        let runs: HashMap<_, _> = daemon.log()?.lines().filter_map(run_of).collect();
        if runs.contains_key(last) || begun.elapsed() > LOG_MAX {
            return Ok(runs);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A line of the daemon's log about a compute: whose, and how many microseconds its worker ran.
fn run_of(line: &str) -> Option<(String, u64)> {
    let after = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        let end = rest.find([' ', '}']).unwrap_or(rest.len());
        Some(rest.get(..end)?.trim_matches('"'))
    };
    let run_us = after(" run_us=")?.parse().ok()?;
    Some((after(" trace=")?.to_owned(), run_us))
}

fn ways_told(part: &mut Part, ways: &[Way]) {
    let text = &mut part.text;
    line(
        text,
        "### A request with an instance of its own, one after the other\n",
    );
    head(
        text,
        &[
            "model",
            "host",
            "requests",
            "p50 ms",
            "p99 ms",
            "× nn-host serve",
        ],
    );
    let mut ours = None;
    for way in ways {
        let p50 = way.load.latency_ms(500);
        if way.name.starts_with("nn-host") {
            ours = Some(p50);
        }
        let ratio = ours.map_or_else(|| "–".to_owned(), |ours| format!("{:.2}", p50 / ours));
        let cells = [
            way.model.to_owned(),
            way.name.to_owned(),
            way.load.count().to_string(),
            cell(p50),
            cell(way.load.latency_ms(990)),
            ratio,
        ];
        row(text, &cells);
    }
    text.push('\n');
}

fn added_told(part: &mut Part, all: &[Added]) {
    let text = &mut part.text;
    line(
        text,
        "### What a request to nn-host serve takes besides the model's run\n",
    );
    head(
        text,
        &[
            "model",
            "requests",
            "run, p50 ms",
            "request, p50 ms",
            "besides, p50 ms",
            "p99 ms",
            "a request for nothing, p50 ms",
            "for the input alone, p50 ms",
            "besides run and input, p50 ms",
        ],
    );
    for added in all {
        let cells = [
            added.model.title.to_owned(),
            added.request_ns.len().to_string(),
            cell(ms(&added.run_ns, 500)),
            cell(ms(&added.request_ns, 500)),
            cell(ms(&added.added_ns, 500)),
            cell(ms(&added.added_ns, 990)),
            cell(ms(&added.nothing_ns, 500)),
            cell(ms(&added.input_ns, 500)),
            cell(added.start_ms()),
        ];
        row(text, &cells);
        if added.model.title == REAL.title {
            let got = added.start_ms();
            part.targets.push(Target {
                what: "a request with a fresh instance, besides the model's run and the guest's making of its input, p50",
                aim: format!("≤ {ADDED_MS_MAX} ms"),
                got: format!(
                    "{} ms, and {} ms for the input",
                    cell(got),
                    cell(added.making_ms())
                ),
                is_met: Some(got <= ADDED_MS_MAX),
            });
        }
    }
    text.push('\n');
}

fn ms(values: &[u64], per_mille: usize) -> f64 {
    micros(quantile(values, per_mille)) / 1000.0
}

// === impl Asked ===

impl Asked {
    /// In turns, so that each kind finds caches as the others leave them.
    async fn of(model: Model, pool: &Rc<Pool>, count: usize) -> Result<Self> {
        let (infer, input, nothing) = (model.by_name(ANYBODY), model.input(), ask::nothing());
        for ask in [&nothing, &input, &infer] {
            let first = load::sequence(pool, ask, FIRST).await;
            first.check(model.title)?;
        }
        let mut asked = Self {
            model,
            inferring: Vec::new(),
            nothing_ns: Vec::new(),
            input_ns: Vec::new(),
        };
        for _ in 0..count {
            asked.inferring.push(timed(pool, &infer).await?);
            asked.nothing_ns.push(timed(pool, &nothing).await?.1);
            asked.input_ns.push(timed(pool, &input).await?.1);
        }
        Ok(asked)
    }

    /// Against what the worker says.
    fn held(self, runs: &HashMap<String, u64>) -> Result<Added> {
        let mut added = Added {
            model: self.model,
            request_ns: Vec::new(),
            run_ns: Vec::new(),
            added_ns: Vec::new(),
            nothing_ns: self.nothing_ns,
            input_ns: self.input_ns,
        };
        for (id, request_ns) in self.inferring {
            let run_us = runs.get(&id).context("a run that the daemon did not log")?;
            let run_ns = run_us.saturating_mul(1000);
            added.request_ns.push(request_ns);
            added.run_ns.push(run_ns);
            added.added_ns.push(request_ns.saturating_sub(run_ns));
        }
        Ok(added)
    }
}

// === impl Added ===

impl Added {
    /// What the guest needs to make its input, in memory that is fresh.
    fn making_ms(&self) -> f64 {
        ms(&self.input_ns, 500) - ms(&self.nothing_ns, 500)
    }

    /// Connection, instance, model, tensors, daemon, the worker's way.
    fn start_ms(&self) -> f64 {
        ms(&self.added_ns, 500) - self.making_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computes_line_gives_its_id_and_its_run() {
        let line = "DEBUG compute{model=m@1 request=4 tenant=default trace=\"ab-7\"}: nn_daemon::infer: computed run_us=12";
        assert_eq!(run_of(line), Some(("ab-7".to_owned(), 12)));
        assert_eq!(run_of("INFO listening"), None);
    }
}
