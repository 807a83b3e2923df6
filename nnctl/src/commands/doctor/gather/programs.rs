//! Finds the programs and the configuration, and lets them speak for themselves.

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::super::facts::{Configuration, Printed, Programs};
use super::child::ask;
use crate::cli::Doctor;

const DAEMON: &str = "nn-daemon";
/// What is passed on of a line that another program prints, in characters.
const LINE_MAX: usize = 80;
const CONFIG: &str = "nn-daemon/nn-daemon.toml";

pub(super) async fn gather(options: &Doctor) -> (Programs, Configuration) {
    let nnctl = env::current_exe().unwrap_or_default();
    let daemon = options.daemon.clone().or_else(|| find_daemon(&nnctl));
    let file = options.config.clone().or_else(|| find_config(&nnctl));
    let configuration = Configuration {
        printed: match &daemon {
            Some(daemon) => Some(print(daemon, file.as_deref()).await),
            None => None,
        },
        file,
    };
    let printed = configuration.printed.as_ref().and_then(|p| p.as_ref().ok());
    let worker = built(printed.and_then(|printed| printed.worker.clone())).await;
    let relay = built(printed.and_then(|printed| printed.relay.clone())).await;
    let dialer = built(printed.and_then(|printed| printed.dialer.clone())).await;
    let spawner = printed.and_then(|printed| printed.spawner.clone());
    let programs = Programs {
        nnctl,
        daemon: match daemon {
            Some(daemon) => {
                let version = ask(&daemon, &["--version"]).await;
                Some((daemon, version.and_then(|text| version_of(&text))))
            }
            None => None,
        },
        worker,
        relay,
        dialer,
        spawner: spawner.map(|path| {
            let runs = access(&path, AccessFlags::X_OK).is_ok();
            (path, runs)
        }),
    };
    (programs, configuration)
}

/// A program of the daemon's, and the build that it says it is of.
async fn built(program: Option<PathBuf>) -> Option<(PathBuf, Result<String, String>)> {
    let program = program?;
    let build = ask(&program, &["--build-id"]).await;
    Some((program, build.map(|text| build_of(&text))))
}

/// Beside nnctl, else on PATH.
fn find_daemon(nnctl: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = std::iter::once(nnctl.with_file_name(DAEMON));
    let on_path = env::split_paths(&path).map(|folder| folder.join(DAEMON));
    beside.chain(on_path).find(|path| path.is_file())
}

/// Where the units of the two usual installations name it.
fn find_config(nnctl: &Path) -> Option<PathBuf> {
    let prefix = nnctl.parent().and_then(Path::parent);
    let places = [
        prefix.map(|prefix| prefix.join("etc").join(CONFIG)),
        Some(Path::new("/etc").join(CONFIG)),
    ];
    places.into_iter().flatten().find(|path| path.is_file())
}

async fn print(daemon: &Path, file: Option<&Path>) -> Result<Printed, String> {
    let mut arguments = vec!["--print-config"];
    if let Some(file) = file {
        let Some(file) = file.to_str() else {
            return Err("its name is not UTF-8".to_owned());
        };
        arguments.extend(["--config", file]);
    }
    parse(&ask(daemon, &arguments).await?)
}

fn parse(text: &str) -> Result<Printed, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        format!("what it prints is no TOML: {}", error.message())
    })?;
    let section = |name: &str| table.get(name).and_then(toml::Value::as_table);
    let path_in = |table: Option<&toml::Table>, key: &str| {
        let value = table?.get(key)?.as_str()?;
        Some(PathBuf::from(value))
    };
    let limits =
        section("limits").ok_or("what it prints is no configuration: it has no [limits]")?;
    let limits = limits.iter().filter_map(|(name, value)| {
        let value = u64::try_from(value.as_integer()?).ok()?;
        Some((name.clone(), value))
    });
    let repositories = table
        .get("model_repository")
        .and_then(toml::Value::as_array);
    let repositories = repositories.into_iter().flatten();
    let listens = |name: &str| section(name).is_some_and(|table| table.contains_key("listen"));
    let network = [
        ("[metrics] listen", listens("metrics")),
        ("[kserve] listen", listens("kserve")),
        ("[remote] endpoints", section("remote").is_some()),
    ];
    let network = network.into_iter().filter(|(_, is_said)| *is_said);
    let tenants = section("tenants").into_iter().flatten();
    let tenants = tenants.filter_map(|(name, tenant)| Some((name.clone(), uids_of(tenant)?)));
    Ok(Printed {
        state_dir: path_in(Some(&table), "state_dir"),
        onnxruntime: path_in(section("runtimes"), "onnxruntime"),
        openvino: path_in(section("runtimes"), "openvino"),
        worker: path_in(section("workers"), "program"),
        spawner: path_in(section("workers"), "spawner"),
        relay: path_in(section("workers"), "relay"),
        dialer: path_in(section("workers"), "dialer"),
        network: network.map(|(key, _)| key).collect(),
        limits: limits.collect(),
        repositories: repositories
            .filter_map(|path| Some(path.as_str()?.into()))
            .collect(),
        tenants: tenants.collect(),
    })
}

/// None where only bounds are said of it.
fn uids_of(tenant: &toml::Value) -> Option<Vec<u32>> {
    let uids = tenant.get("uids")?.as_array()?.iter();
    let uids = uids.filter_map(|uid| u32::try_from(uid.as_integer()?).ok());
    Some(uids.collect())
}

/// `0.1.0` of `nn-daemon 0.1.0`; another program says something else.
fn version_of(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [DAEMON, version] => Ok(version.to_owned()),
        _ => {
            let line: String = text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(LINE_MAX)
                .collect();
            Err(format!("it is no {DAEMON}: --version prints {line:?}"))
        }
    }
}

/// `0.1.0-f535` of `nn-worker-build-id=0.1.0-f535;`.
fn build_of(text: &str) -> String {
    let text = text.trim();
    let value = text.split_once('=').map_or(text, |(_, value)| value);
    value.trim_end_matches(';').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_the_daemon_prints_is_read() {
        let text = "runtime_dir = \"/run/nn-daemon\"\nmodel_repository = [\"/srv/models\"]\nstate_dir = \"/var/lib/nn-daemon\"\n\n[runtimes]\n\
                    # onnxruntime: not found in [\"/x\"]\n\n[workers]\nprogram = \"/w\"\nspawner = \"/s\"\n\n\
                    [limits]\nworkers_max = 64\n\n[tenants.\"default\"]\nuids = [0, 1000]\n\n\
                    [tenants.\"bounded\"]\nweight = 1\n";
        let printed = parse(text).unwrap();
        assert_eq!(printed.onnxruntime, None);
        assert_eq!(printed.state_dir, Some("/var/lib/nn-daemon".into()));
        assert_eq!(printed.worker, Some("/w".into()));
        assert_eq!(printed.limits.get("workers_max"), Some(&64));
        assert_eq!(printed.repositories, [Path::new("/srv/models")]);
        let default = ("default".to_owned(), vec![0, 1000]);
        assert_eq!(printed.tenants, BTreeMap::from([default]));
    }

    #[test]
    fn what_takes_a_network_is_known_by_its_keys() {
        let of = |more: &str| parse(&format!("[limits]\n{more}")).unwrap();
        assert!(of("").network.is_empty());
        let all = of(
            "[workers]\nrelay = \"/r\"\ndialer = \"/d\"\n[metrics]\nlisten = \"127.0.0.1:1\"\n\
             [kserve]\nlisten = \"[::1]:2\"\n[remote]\nendpoints = [\"a:1\"]\n",
        );
        let keys = ["[metrics] listen", "[kserve] listen", "[remote] endpoints"];
        assert_eq!(all.network, keys);
        assert_eq!(all.relay, Some("/r".into()));
        assert_eq!(all.dialer, Some("/d".into()));
    }

    #[test]
    fn what_is_no_configuration_is_told() {
        assert!(parse("nn-daemon 0.1.0\n").unwrap_err().contains("no TOML"));
    }

    #[test]
    fn a_build_is_what_is_marked_as_one() {
        assert_eq!(build_of("nn-worker-build-id=0.1.0-f535;\n"), "0.1.0-f535");
    }

    #[test]
    fn a_version_is_what_stands_behind_the_daemons_name() {
        assert_eq!(version_of("nn-daemon 0.1.0\n"), Ok("0.1.0".to_owned()));
    }

    #[test]
    fn another_program_is_not_taken_for_the_daemon() {
        let text = "true (GNU coreutils) 9.1\n\nWritten by Jim Meyering.\n";
        let why = version_of(text).unwrap_err();
        assert_eq!(
            why,
            "it is no nn-daemon: --version prints \"true (GNU coreutils) 9.1\""
        );
        assert!(parse("").unwrap_err().contains("no configuration"));
    }
}
