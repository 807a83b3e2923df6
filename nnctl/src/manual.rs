//! What the pages of nnctl say beyond its command line.

use nn_manual::{Chapter, Item, Manual, Section};

/// nnctl(1); its commands have pages of their own.
pub(crate) const MANUAL: Manual = Manual {
    section: Section::Users,
    chapters: &[
        Chapter {
            title: "OUTPUT",
            items: &[
                Item::Text(
                    "Results go to standard output: text for people, or with --json one JSON value. \
                     Complaints go to standard error. With --json a failure is an object on standard output \
                     as well, with the members error and exit.",
                ),
                Item::Text(
                    "load, unload, promote, rollback, alias, pin, unpin, place, quarantine, events, logs, metrics and drain need root or the \
                     daemon's user, and so does all of status; the others need the right to connect to the socket, which is \
                     its group's. Every key of the JSON stands in docs/json.md.",
                ),
            ],
        },
        Chapter {
            title: "ENVIRONMENT",
            items: &[
                Item::Entry(
                    "NN_SOCKET",
                    "The daemon's gRPC socket, where --socket is not given.",
                ),
                Item::Entry(
                    "NO_COLOR",
                    "Set and not empty, there are no colours. There are none either but on a terminal, and none with --json.",
                ),
                Item::Entry(
                    "XDG_RUNTIME_DIR",
                    "Where neither says it, nn-daemon/nn.sock in this directory, if it is there.",
                ),
            ],
        },
        Chapter {
            title: "FILES",
            items: &[
                Item::Entry(
                    "/run/nn-daemon/nn.sock",
                    "The socket, where nothing else names one.",
                ),
                Item::Entry(
                    "/run/nn-daemon/fd.sock",
                    "Its sibling, over which shared memory is handed out. infer and bench use both.",
                ),
            ],
        },
        Chapter {
            title: "EXIT STATUS",
            items: &[
                Item::Entry("0", "Done. For doctor: nothing is a problem."),
                Item::Entry(
                    "1",
                    "The operation failed. For doctor: something is a problem.",
                ),
                Item::Entry("2", "The command line makes no sense."),
                Item::Entry("3", "No daemon answers on the socket."),
                Item::Entry("4", "No such model, version, reason or sandbox profile."),
                Item::Entry(
                    "5",
                    "Refused by policy: not the daemon's user or root, no access to the socket, tenant not \
                     allowed.",
                ),
            ],
        },
        Chapter {
            title: "SEE ALSO",
            items: &[Item::Text("nn-daemon(8), nn-host(1)")],
        },
    ],
};
