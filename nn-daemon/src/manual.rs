//! What the page of nn-daemon says beyond its command line.

use nn_manual::{Chapter, Item, Manual, Section};

/// nn-daemon(8).
pub const MANUAL: Manual = Manual {
    section: Section::Administrators,
    chapters: &[
        OPERATION,
        CONFIGURATION,
        ENVIRONMENT,
        FILES,
        SIGNALS,
        EXIT_STATUS,
        Chapter {
            title: "SEE ALSO",
            items: &[Item::Text(
                "nnctl(1), nn-host(1), systemd.socket(5), sd_notify(3)",
            )],
        },
    ],
};

const OPERATION: Chapter = Chapter {
    title: "OPERATION",
    items: &[
        Item::Text(
            "Each model version in use runs in an nn-worker process of its own, which nn-spawner starts in a \
             jail. Both programs lie beside nn-daemon or in ../lib/nn-daemon, and are of its build. What the \
             jail is made of here, nnctl sandbox explain tells; what is wrong with an installation, nnctl \
             doctor.",
        ),
        Item::Text(
            "Where [remote] endpoints names any, nn-dialer connects to them, and an nn-relay in place of each nn-worker has a \
             model computed there. They lie where nn-spawner does. nnctl place says where a version is computed.",
        ),
        Item::Text(
            "Started by systemd, it takes its sockets from nn-daemon.socket, says when it is ready, and feeds \
             the watchdog for as long as workers can be started and answer.",
        ),
    ],
};

const CONFIGURATION: Chapter = Chapter {
    title: "CONFIGURATION",
    items: &[
        Item::Text(
            "The file is TOML; every key has a default, and an unknown key is an error. --print-config prints \
             one with all of them. Flags win over the file.",
        ),
        Item::Entry(
            "runtime_dir, state_dir, model_repository",
            "As the flags of these names.",
        ),
        Item::Entry("[runtimes] onnxruntime", "The library of ONNX Runtime."),
        Item::Entry(
            "[runtimes] openvino",
            "The C library of OpenVINO, with the others that it needs beside it.",
        ),
        Item::Entry(
            "[workers] program, spawner, threads, uid_first, isolation, warm_spare",
            "The two programs, the framework's threads in one run, the first of 256 uids that workers get \
             where the daemon may give them away, whom one worker serves (peer or tenant), and whether a \
             second one waits beside it.",
        ),
        Item::Entry(
            "[workers] relay, dialer",
            "The programs that ask remote engines and that connect to them.",
        ),
        Item::Entry(
            "[sandbox] without, without_broker, without_spawner, without_dialer",
            "Layers of the jail of workers to be taken for missing, of the daemon's own, of the spawner's and of the dialer's.",
        ),
        Item::Entry(
            "[limits]",
            "Bounds on everything that can grow; nnctl status lists them.",
        ),
        Item::Entry(
            "[metrics] listen",
            "Where Prometheus may ask over HTTP, if anywhere.",
        ),
        Item::Entry(
            "[kserve] listen, tenant, plaintext",
            "Where clients of KServe connect over TCP, if anywhere, for which tenant, and whether they may without TLS from \
             other machines.",
        ),
        Item::Entry(
            "[kserve.tls] certificate, key, clients",
            "Files of PEM: the daemon's certificate, its key, and whose certificates clients must have.",
        ),
        Item::Entry(
            "[kserve.tenants] NAME",
            "The tenant of clients whose certificate has that name.",
        ),
        Item::Entry(
            "[remote] endpoints, secrets",
            "HOST:PORT of the remote engines that models may name, none unless they stand here; and the directory of the \
             certificates, keys and tokens that these models name.",
        ),
        Item::Entry(
            "[tenants.NAME] uids",
            "Who may act for a tenant. With any of these, tenants and uids that are not listed are refused.",
        ),
        Item::Entry(
            "[tenants.NAME] models, weight",
            "Names of the models that its guests may use, and its part of a model's turns, 1 to 100.",
        ),
        Item::Entry(
            "[tenants.NAME] sessions_max, computes_max, computes_per_second_max, compute_ms_max, arena_bytes_max, \
             tensors_max, guest_models_max, guest_model_bytes_max",
            "What it may have over all its sessions, where that is not as [limits] says; nnctl status --tenant shows it.",
        ),
    ],
};

const ENVIRONMENT: Chapter = Chapter {
    title: "ENVIRONMENT",
    items: &[
        Item::Entry(
            "RUNTIME_DIRECTORY, XDG_RUNTIME_DIR",
            "Where the sockets go, where neither flag nor file says it: the first itself, nn-daemon in the second.",
        ),
        Item::Entry("STATE_DIRECTORY, XDG_STATE_HOME", "The same for the state."),
        Item::Entry(
            "NN_RUNTIMES",
            "A directory with onnxruntime/ and openvino/ in it.",
        ),
        Item::Entry(
            "CREDENTIALS_DIRECTORY",
            "The directory of secrets, where [remote] names none.",
        ),
        Item::Entry(
            "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, NOTIFY_SOCKET, WATCHDOG_USEC",
            "What systemd tells; sd_listen_fds(3), sd_notify(3).",
        ),
    ],
};

const FILES: Chapter = Chapter {
    title: "FILES",
    items: &[
        Item::Entry(
            "/etc/nn-daemon/nn-daemon.toml",
            "The configuration that nn-daemon.service names.",
        ),
        Item::Entry(
            "/run/nn-daemon/nn.sock, /run/nn-daemon/fd.sock",
            "Where clients connect. Whoever may connect may infer.",
        ),
        Item::Entry("/var/lib/nn-daemon", "Models that were loaded by nnctl."),
        Item::Entry(
            "/usr/lib/nn-daemon/runtimes/onnxruntime/libonnxruntime.so.*",
            "ONNX Runtime; the last one by name.",
        ),
    ],
};

const SIGNALS: Chapter = Chapter {
    title: "SIGNALS",
    items: &[
        Item::Entry(
            "SIGTERM, SIGINT",
            "End: nobody new is let in, computes in flight are waited for, up to limits.drain_ms_max, and \
             workers leave. The spawner ends at SIGTERM too: send it to the daemon alone (KillMode=mixed).",
        ),
        Item::Entry(
            "SIGHUP",
            "Read the configuration again; what can only be changed by a restart is named in the log. [tenants], \
             [kserve.tenants] and the files of [kserve.tls] hold at once.",
        ),
    ],
};

const EXIT_STATUS: Chapter = Chapter {
    title: "EXIT STATUS",
    items: &[
        Item::Entry(
            "0",
            "It was asked to end, or to check or print its configuration.",
        ),
        Item::Entry("1", "It could not start, or lost its spawner."),
        Item::Entry("2", "The command line makes no sense."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Sections of the configuration file that is installed, those that are commented out among them.
    fn sections() -> Vec<&'static str> {
        let file = include_str!("../../dist/nn-daemon.toml");
        let lines = file.lines().filter_map(|line| {
            let line = line.trim_start_matches(['#', ' ']).strip_prefix('[')?;
            let (name, rest) = line.split_once(']')?;
            let is_all = rest.trim().is_empty() || rest.trim().starts_with('#');
            is_all.then_some(name)
        });
        lines.collect()
    }

    #[test]
    fn every_section_of_the_configuration_is_in_the_manual() {
        let entries = CONFIGURATION.items.iter();
        let keys = entries.filter_map(|item| match item {
            Item::Entry(keys, _) => Some(*keys),
            Item::Text(_) => None,
        });
        let keys: Vec<&str> = keys.collect();
        let sections = sections();
        assert!(sections.contains(&"limits") && sections.contains(&"kserve.tls"));
        for section in sections {
            let named = match section.split_once('.') {
                Some(("tenants", _)) => "[tenants.NAME]".to_owned(),
                _ => format!("[{section}]"),
            };
            assert!(keys.iter().any(|key| key.starts_with(&named)), "{named}");
        }
    }
}
