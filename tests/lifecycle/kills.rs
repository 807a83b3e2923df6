//! Kills while several operators work: what was answered holds, and what was not is there whole or not at all. `cargo xtask
//! soak kills --rounds 100`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nn_tests::{Daemon, kill, nnctl, require_backends, soak_rounds};
use serde_json::Value;

use super::faults::stored;
use super::swapped::sha256_of;
use super::{Files, adds, load, meant};

/// What an operator does that a kill may have interrupted.
#[derive(Clone, Debug)]
enum Step {
    Load { number: u16, staged: bool },
    Alias(&'static str, u64),
    Promote(u64),
    Rollback,
    Unload(u64),
}

/// A name as its operator was told that it is.
#[derive(Clone, Debug, Default)]
struct Told {
    name: String,
    /// What each version adds.
    versions: BTreeMap<u64, u16>,
    current: Option<u64>,
    aliases: BTreeMap<String, u64>,
    /// The highest number that was ever answered.
    highest: u64,
    random: u32,
}

/// As many versions of a name as an operator keeps.
const VERSIONS_MAX: usize = 3;

impl Told {
    fn random(&mut self, below: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        usize::try_from(self.random >> 16).unwrap() % below
    }

    fn any_version(&mut self) -> u64 {
        let at = self.random(self.versions.len());
        *self.versions.keys().nth(at).unwrap()
    }

    fn next(&mut self) -> Step {
        let spare = self
            .versions
            .keys()
            .copied()
            .find(|version| Some(*version) != self.current);
        match (self.random(6), spare) {
            (_, Some(spare)) if self.versions.len() > VERSIONS_MAX => Step::Unload(spare),
            (0, Some(spare)) => Step::Unload(spare),
            (1, Some(_)) => Step::Promote(self.any_version()),
            (2, Some(_)) => Step::Rollback,
            (3, Some(_)) => Step::Alias(["stable", "canary"][self.random(2)], self.any_version()),
            // Few different bytes: names share them.
            (random, _) => Step::Load {
                number: u16::try_from(1 + self.random(4)).unwrap(),
                staged: random == 4 && self.current.is_some(),
            },
        }
    }

    /// Does it, and believes the answer; `false` where there was none.
    fn take(&mut self, step: &Step, daemon: &Daemon, files: &[PathBuf]) -> bool {
        let name = &self.name;
        let of = |version: u64| format!("{name}@{version}");
        let answer = match step {
            Step::Load { number, staged } => {
                let words: &[&str] = if *staged { &["--stage"] } else { &[] };
                load(daemon, name, &files[usize::from(*number) - 1], words)
            }
            Step::Alias(alias, version) => nnctl(daemon, &["alias", &of(*version), alias]),
            Step::Promote(version) => nnctl(daemon, &["promote", &of(*version)]),
            Step::Rollback => nnctl(daemon, &["rollback", name]),
            Step::Unload(version) => nnctl(daemon, &["unload", &of(*version)]),
        };
        if answer.code == Some(4) && answer.stderr.contains("no earlier version") {
            return true;
        }
        if answer.code != Some(0) {
            return false;
        }
        match step {
            Step::Load { number, staged } => {
                let version = version_in(&answer.stdout, &format!("{name}@"));
                assert!(
                    version > self.highest,
                    "{}: a number twice: {version}",
                    self.name
                );
                self.highest = version;
                self.versions.insert(version, *number);
                if !staged {
                    self.current = Some(version);
                }
            }
            Step::Alias(alias, version) => {
                self.aliases.insert((*alias).to_owned(), *version);
            }
            Step::Promote(version) => self.current = Some(*version),
            Step::Rollback => {
                self.current = Some(version_in(&answer.stdout, &format!("{name} is {name}@")));
            }
            Step::Unload(version) => {
                self.versions.remove(version);
                self.aliases.retain(|_, of| of != version);
            }
        }
        true
    }

    /// Holds what is there against what was answered, and against what may have happened since; goes on from there.
    fn check(&mut self, doubt: Option<&Step>, found: &Told) {
        let case = format!("told {self:?}, in doubt {doubt:?}, found {found:?}");
        let news: BTreeSet<u64> = found
            .versions
            .keys()
            .copied()
            .filter(|version| !self.versions.contains_key(version))
            .collect();
        let gone: Vec<u64> = self
            .versions
            .keys()
            .copied()
            .filter(|version| !found.versions.contains_key(version))
            .collect();
        let mut currents = BTreeSet::from([self.current]);
        match doubt {
            Some(Step::Load { number, .. }) => {
                assert!(news.len() <= 1 && gone.is_empty(), "{case}");
                assert!(news.iter().all(|version| *version > self.highest), "{case}");
                assert!(
                    news.iter()
                        .all(|version| found.versions[version] == *number),
                    "{case}"
                );
                currents.extend(news.iter().copied().map(Some));
            }
            Some(Step::Unload(version)) => {
                assert!(
                    news.is_empty() && gone.iter().all(|gone| gone == version),
                    "{case}"
                );
            }
            Some(Step::Promote(version)) => {
                currents.insert(Some(*version));
                assert!(news.is_empty() && gone.is_empty(), "{case}");
            }
            Some(Step::Rollback) => {
                currents.extend(self.versions.keys().copied().map(Some));
                assert!(news.is_empty() && gone.is_empty(), "{case}");
            }
            Some(Step::Alias(..)) | None => assert!(news.is_empty() && gone.is_empty(), "{case}"),
        }
        assert!(currents.contains(&found.current), "{case}");
        let aliases = self.aliases_after(doubt);
        assert!(aliases.contains(&found.aliases), "{case}");
        for (version, number) in &self.versions {
            assert!(
                found
                    .versions
                    .get(version)
                    .is_none_or(|found| found == number),
                "{case}"
            );
        }
        self.versions.clone_from(&found.versions);
        self.current = found.current;
        self.aliases.clone_from(&found.aliases);
        self.highest = self
            .versions
            .keys()
            .copied()
            .chain([self.highest])
            .max()
            .unwrap();
    }

    /// The aliases as they were answered, and as they may be since.
    fn aliases_after(&self, doubt: Option<&Step>) -> Vec<BTreeMap<String, u64>> {
        let mut aliases = vec![self.aliases.clone()];
        match doubt {
            Some(Step::Alias(alias, version)) => {
                let mut after = self.aliases.clone();
                after.insert((*alias).to_owned(), *version);
                aliases.push(after);
            }
            Some(Step::Unload(version)) => {
                let mut after = self.aliases.clone();
                after.retain(|_, of| of != version);
                aliases.push(after);
            }
            _ => {}
        }
        aliases
    }

    /// What the daemon says now.
    fn found(daemon: &Daemon, name: &str, numbers: &BTreeMap<String, u16>) -> Self {
        let mut found = Self::default();
        let models = daemon.models();
        for model in models.iter().filter(|model| model["name"] == name) {
            let version = model["version"].as_u64().unwrap();
            let described = daemon.json(&["describe", &format!("{name}@{version}")]);
            let model: &Value = &described["model"];
            found
                .versions
                .insert(version, numbers[model["sha256"].as_str().unwrap()]);
            if model["current"] == true {
                found.current = Some(version);
            }
            for alias in model["aliases"].as_array().unwrap() {
                found
                    .aliases
                    .insert(alias.as_str().unwrap().to_owned(), version);
            }
        }
        found
    }
}

fn version_in(stdout: &str, before: &str) -> u64 {
    let rest = stdout.strip_prefix(before).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Works until it gets no answer; gives what it was about to do.
fn operate(
    daemon: &Daemon,
    told: &mut Told,
    files: &[PathBuf],
    is_killed: &AtomicBool,
) -> Option<Step> {
    while !is_killed.load(Ordering::SeqCst) {
        let step = told.next();
        if !told.take(&step, daemon, files) {
            assert!(
                is_killed.load(Ordering::SeqCst),
                "{}: {step:?} failed without a kill",
                told.name
            );
            return Some(step);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_operators_work_take_nothing_away_that_was_answered() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    let paths: Vec<PathBuf> = (1..=4).map(|number| files.adds(number)).collect();
    let numbers: BTreeMap<String, u16> = (1..=4)
        .map(|number| (sha256_of(&adds(number)), number))
        .collect();
    let mut operators: Vec<Told> = (1..=3)
        .map(|number| Told {
            name: format!("op{number}"),
            random: number * 7919,
            ..Told::default()
        })
        .collect();
    let (mut in_doubt, rounds) = (0, soak_rounds(6));
    for round in 0..rounds {
        let is_killed = AtomicBool::new(false);
        let pause = Duration::from_millis(u64::from(round * 389 % 1500));
        let doubts: Vec<Option<Step>> = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let working: Vec<_> = operators
                    .iter_mut()
                    .map(|told| scope.spawn(|| operate(&daemon, told, &paths, &is_killed)))
                    .collect();
                std::thread::sleep(pause);
                is_killed.store(true, Ordering::SeqCst);
                kill(daemon.pid());
                working
                    .into_iter()
                    .map(|working| working.join().unwrap())
                    .collect()
            })
        });
        tokio::task::block_in_place(|| {
            daemon.kill();
            daemon.restart();
        });
        let client = daemon.client();
        for (told, doubt) in operators.iter_mut().zip(&doubts) {
            let found = tokio::task::block_in_place(|| Told::found(&daemon, &told.name, &numbers));
            told.check(doubt.as_ref(), &found);
            in_doubt += usize::from(doubt.is_some());
            for (version, number) in &told.versions {
                let answer = meant(&client, &format!("{}@{version}", told.name)).await;
                assert_eq!(answer, Ok(f32::from(*number)), "round {round}: {told:?}");
            }
        }
    }
    let used: BTreeSet<u16> = operators
        .iter()
        .flat_map(|told| told.versions.values().copied())
        .collect();
    println!("{rounds} kills, {in_doubt} in the middle of something; {operators:?}");
    assert_eq!(stored(&daemon), (used.len(), 0));
}
