//! Loads on a host. Open: requests are sent when their time has come, whatever became of those before; each one's time runs
//! from when it was to be sent, so that a host that stands still is charged for all who would have come. Closed: so many
//! clients, each with one request at a time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::faas::client::{Ask, Pool};
use crate::faas::pacer;
use crate::stats::quantile;

/// A connection that broke.
const BROKEN: u16 = 0;

/// Between the list and its first request.
const BEGIN_AFTER: Duration = Duration::from_millis(5);

/// Who sends so late is not measuring the host.
const LAG_MAX: Duration = Duration::from_millis(1);

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// How much later it was sent than it was to be.
    lag: Duration,
    /// From when it was to be sent to the end of its answer.
    latency: Duration,
    /// Since the beginning.
    done: Duration,
    status: u16,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    samples: Vec<Sample>,
    window: Duration,
}

/// Sends by a list.
pub(crate) async fn open(
    pool: &Rc<Pool>,
    ask: &Ask,
    arrivals: &[Duration],
    window: Duration,
) -> Result<Load> {
    let ask = Rc::new(ask.clone());
    let begin = Instant::now() + BEGIN_AFTER;
    let mut tasks = JoinSet::new();
    let mut times = pacer::start(begin, arrivals)?;
    while let Some(at) = times.recv().await {
        let (pool, ask) = (Rc::clone(pool), Rc::clone(&ask));
        tasks.spawn_local(async move { one(&pool, &ask, begin, begin + at).await });
    }
    gather(tasks, window).await
}

/// So many clients, until the window is over.
pub(crate) async fn closed(
    pool: &Rc<Pool>,
    ask: &Ask,
    clients: usize,
    window: Duration,
) -> Result<Load> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (pool, ask) = (Rc::clone(pool), ask.clone());
        tasks.spawn_local(async move {
            let mut own = Vec::new();
            while begin.elapsed() < window {
                own.push(one(&pool, &ask, begin, Instant::now()).await);
            }
            own
        });
    }
    let mut samples = Vec::new();
    while let Some(own) = tasks.join_next().await {
        samples.extend(own?);
    }
    Ok(Load { samples, window })
}

/// One after the other, so many.
pub(crate) async fn sequence(pool: &Rc<Pool>, ask: &Ask, count: usize) -> Load {
    let begin = Instant::now();
    let mut samples = Vec::new();
    for _ in 0..count {
        samples.push(one(pool, ask, begin, Instant::now()).await);
    }
    let window = begin.elapsed();
    Load { samples, window }
}

async fn gather(mut tasks: JoinSet<Sample>, window: Duration) -> Result<Load> {
    let mut samples = Vec::new();
    while let Some(sample) = tasks.join_next().await {
        samples.push(sample?);
    }
    Ok(Load { samples, window })
}

async fn one(pool: &Pool, ask: &Ask, begin: Instant, intended: Instant) -> Sample {
    let lag = intended.elapsed();
    let answer = pool.get(ask).await;
    let status = answer.map_or(BROKEN, |answer| answer.status);
    Sample {
        lag,
        latency: intended.elapsed(),
        done: begin.elapsed(),
        status,
    }
}

// === impl Sample ===

impl Sample {
    fn is_refused(self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

// === impl Load ===

impl Load {
    /// The same load again, in another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.window += other.window;
    }

    fn times(&self, which: impl Fn(&Sample) -> bool) -> Vec<u64> {
        let chosen = self.samples.iter().filter(|sample| which(sample));
        chosen.map(|sample| nanos(sample.latency)).collect()
    }

    fn answered(&self) -> Vec<u64> {
        self.times(|sample| sample.status == 200)
    }

    fn refusals(&self) -> Vec<u64> {
        self.times(|sample| sample.is_refused())
    }

    /// Of the requests that were answered well.
    pub(crate) fn latency_ms(&self, per_mille: usize) -> f64 {
        millis(quantile(&self.answered(), per_mille))
    }

    /// Of those that were refused.
    pub(crate) fn refusal_ms(&self, per_mille: usize) -> f64 {
        millis(quantile(&self.refusals(), per_mille))
    }

    pub(crate) fn lag_ms(&self) -> f64 {
        millis(quantile(&self.lags(), 990))
    }

    fn lags(&self) -> Vec<u64> {
        let lags = self.samples.iter().map(|sample| nanos(sample.lag));
        lags.collect()
    }

    /// Whether the requests were sent when they were to be.
    pub(crate) fn is_punctual(&self) -> bool {
        quantile(&self.lags(), 990) <= nanos(LAG_MAX)
    }

    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn refused(&self) -> usize {
        self.refusals().len()
    }

    /// Neither answered well nor refused.
    pub(crate) fn failed(&self) -> usize {
        self.count() - self.answered().len() - self.refused()
    }

    /// Requests a second that came.
    pub(crate) fn offered(&self) -> f64 {
        per_second(self.count(), self.window)
    }

    /// Good answers a second, of those that came within the time.
    pub(crate) fn goodput(&self) -> f64 {
        let good = |sample: &&Sample| sample.status == 200 && sample.done <= self.window;
        per_second(self.samples.iter().filter(good).count(), self.window)
    }

    /// Everything was answered, and well.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        let bad = self.failed() + self.refused();
        ensure!(
            bad == 0 && self.count() > 0,
            "{what}: {bad} of {} requests were not answered well",
            self.count()
        );
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(ns: u64) -> f64 {
    crate::stats::micros(ns) / 1000.0
}

fn per_second(count: usize, window: Duration) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    count / window.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(latency_ms: u64, done_ms: u64, status: u16) -> Sample {
        Sample {
            lag: Duration::from_micros(latency_ms * 100),
            latency: Duration::from_millis(latency_ms),
            done: Duration::from_millis(done_ms),
            status,
        }
    }

    fn load() -> Load {
        Load {
            samples: vec![
                sample(10, 500, 200),
                sample(20, 900, 200),
                sample(30, 1100, 200),
                sample(2, 100, 503),
                sample(3, 100, 429),
                sample(4, 100, 500),
                sample(5, 100, BROKEN),
            ],
            window: Duration::from_secs(1),
        }
    }

    #[test]
    fn what_was_refused_and_what_failed_is_no_answer() {
        let load = load();
        assert_eq!((load.count(), load.refused(), load.failed()), (7, 2, 2));
        assert!((load.latency_ms(1000) - 30.0).abs() < 1e-9);
        assert!((load.refusal_ms(1000) - 3.0).abs() < 1e-9);
        assert!(load.check("it").is_err());
    }

    #[test]
    fn an_answer_after_the_time_is_no_goodput() {
        assert!((load().goodput() - 2.0).abs() < 1e-9);
        assert!((load().offered() - 7.0).abs() < 1e-9);
    }

    #[test]
    fn who_sends_three_milliseconds_late_is_not_punctual() {
        assert!(!load().is_punctual());
    }
}
