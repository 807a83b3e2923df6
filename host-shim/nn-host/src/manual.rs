//! What the pages of nn-host say beyond its command line.

use nn_manual::{Chapter, Item, Manual, Section};

/// nn-host(1); its commands have pages of their own.
pub(crate) const MANUAL: Manual = Manual {
    section: Section::Users,
    chapters: &[
        Chapter {
            title: "ENVIRONMENT",
            items: &[
                Item::Entry(
                    "NN_SOCKET",
                    "The daemon's gRPC socket, where --socket is not given.",
                ),
                Item::Entry(
                    "XDG_RUNTIME_DIR",
                    "Where neither says it, nn-daemon/nn.sock in this directory, if it is there.",
                ),
                Item::Entry(
                    "CACHE_DIRECTORY, XDG_CACHE_HOME, HOME",
                    "Where guests' machine code is kept: the first itself, nn-host in the second, .cache/nn-host in the \
                     third. It is executed as it lies there: the directory is the user's own and writable by nobody else.",
                ),
                Item::Entry(
                    "LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC",
                    "For serve: what systemd tells; sd_listen_fds(3), sd_notify(3).",
                ),
            ],
        },
        Chapter {
            title: "FILES",
            items: &[
                Item::Entry(
                    "/run/nn-daemon/nn.sock, /run/nn-daemon/fd.sock",
                    "The daemon's sockets, where nothing else names them.",
                ),
                Item::Entry(
                    "/etc/nn-host/NAME.toml",
                    "What the unit nn-host@NAME.service serves: its guest or its routes, tenants and bounds. Flags win.",
                ),
            ],
        },
        Chapter {
            title: "SIGNALS",
            items: &[
                Item::Entry(
                    "SIGTERM, SIGINT",
                    "The guest ends; serve lets requests in flight end first, within a bound.",
                ),
                Item::Entry(
                    "SIGHUP",
                    "serve reads its configuration and its guests again. What is wrong changes nothing.",
                ),
            ],
        },
        Chapter {
            title: "EXIT STATUS",
            items: &[
                Item::Text(
                    "The guest's own, where it has run to its end. Where nn-host ends the run:",
                ),
                Item::Entry("1", "The guest failed, or could not be run."),
                Item::Entry("2", "The command line makes no sense."),
                Item::Entry("3", "No daemon answers on the socket."),
                Item::Entry("4", "No such model or version."),
                Item::Entry("5", "Refused by policy."),
                Item::Entry("130", "Interrupted."),
            ],
        },
        Chapter {
            title: "SEE ALSO",
            items: &[Item::Text("nn-daemon(8), nnctl(1)")],
        },
    ],
};
