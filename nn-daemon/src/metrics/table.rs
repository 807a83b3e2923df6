//! Every metric that the daemon gives: its name, its kind, its labels, what it says. docs/metrics.md is written from these
//! rows, and a sample takes its labels from here, so that neither can say what the other does not.

/// What a metric is, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rises, until the daemon is started anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by length.
    Histogram,
}

/// What a metric is about: a section of docs/metrics.md.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Computes,
    Models,
    Tenants,
    Workers,
    Memory,
    Daemon,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    #[cfg(test)]
    pub(super) about: About,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

macro_rules! metrics {
    ($($variant:ident $name:literal $kind:ident $about:ident [$($label:literal)*] $help:literal;)*) => {
        /// One of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Metric {
            $($variant,)*
        }

        impl Metric {
            /// All, in the order in which they are given.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What is known of it.
            pub(super) const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        kind: Kind::$kind,
                        #[cfg(test)]
                        about: About::$about,
                        labels: &[$($label),*],
                        help: $help,
                    },)*
                }
            }
        }
    };
}

metrics! {
    // === Computes ===
    Computes "nn_computes_total" Counter Computes ["code"]
        "Computes that have ended: ok, or the code of their fault.";
    InFlight "nn_computes_in_flight" Gauge Computes []
        "Computes that sessions have begun and that are not answered.";
    Stops "nn_compute_stops_total" Counter Computes ["reason"]
        "Computes that were stopped while their worker lived on, by who wanted it.";

    // === Models ===
    ModelComputes "nn_model_computes_total" Counter Models ["model" "version" "code"]
        "Computes of a model that have ended: ok, or the code of their fault.";
    ModelDuration "nn_model_compute_duration_seconds" Histogram Models ["model" "version"]
        "Computes that gave outputs: from the arrival at the daemon to the answer.";
    ModelStage "nn_model_compute_stage_duration_seconds" Histogram Models ["model" "version" "stage"]
        "The parts of that: queue until a worker is given the job, run by the worker's word, hop for the rest; and copy, before it.";
    Fallbacks "nn_model_fallbacks_total" Counter Models ["model" "version"]
        "Computes that no endpoint could be asked and that a worker here took over.";
    Endpoints "nn_model_endpoint_asked" Gauge Models ["model" "version" "endpoint"]
        "Whether calls go to an endpoint now, 1 or 0; of several relays, each tenant's own, 0 where one does not.";
    Waiting "nn_model_jobs_waiting" Gauge Models ["model" "version"]
        "Computes in the queue that no worker has.";
    ModelInFlight "nn_model_computes_in_flight" Gauge Models ["model" "version"]
        "Computes that workers have been given and have not answered.";
    ModelWorkers "nn_model_workers" Gauge Models ["model" "version"]
        "Workers that serve.";
    ModelMemory "nn_model_memory_bytes" Gauge Models ["model" "version"]
        "Memory of those when it was last measured, with their part of what they share.";
    ModelLoad "nn_model_load_duration_seconds" Gauge Models ["model" "version"]
        "How long the last load took that somebody waited for.";
    States "nn_models" Gauge Models ["state"]
        "Model versions by state, those that guests have loaded among them.";
    Quarantined "nn_models_quarantined" Gauge Models []
        "Models that are refused because their workers crashed too often.";
    Prepared "nn_models_prepared" Gauge Models []
        "Models of which something is kept that loads faster.";
    PreparedBytes "nn_models_prepared_bytes" Gauge Models []
        "What is kept of those, all together.";

    // === Tenants ===
    TenantComputes "nn_tenant_computes_total" Counter Tenants ["tenant" "code"]
        "Computes of a tenant that have ended: ok, or the code of their fault.";
    TenantFaults "nn_tenant_faults_total" Counter Tenants ["tenant" "reason"]
        "Computes that gave no outputs and sessions that were refused, by the reason of docs/errors.md.";
    TenantSessions "nn_tenant_sessions" Gauge Tenants ["tenant"]
        "Sessions that are open.";
    TenantInFlight "nn_tenant_computes_in_flight" Gauge Tenants ["tenant"]
        "Computes that those have begun and that are not answered.";
    TenantArenas "nn_tenant_arena_bytes" Gauge Tenants ["tenant"]
        "Shared memory for tensors, inputs and outputs together.";

    // === Workers ===
    Workers "nn_workers" Gauge Workers ["state"]
        "Workers of models: starting, serving, or waiting as spares.";
    Starts "nn_worker_starts_total" Counter Workers []
        "Workers that were started for a model.";
    Restarts "nn_worker_restarts_total" Counter Workers []
        "Workers that were to be replaced because they ended or did not come up.";
    Ends "nn_worker_ends_total" Counter Workers ["cause"]
        "Workers that ended though nobody had asked them to leave, by cause; out_of_memory counts those that lived, too.";
    Loads "nn_worker_load_duration_seconds" Histogram Workers []
        "How long workers took until they served: jail, framework, model, warm-up.";

    // === Memory ===
    Arenas "nn_arena_bytes" Gauge Memory []
        "Shared memory for tensors of all tenants.";
    WorkerMemory "nn_worker_memory_bytes" Gauge Memory ["kind"]
        "Memory of workers when it was last measured: own, or their part of what they share.";
    Budget "nn_worker_memory_budget_bytes" Gauge Memory []
        "What workers of models may take together, by the budget of each.";

    // === Daemon ===
    Build "nn_build_info" Gauge Daemon ["version" "build_id"]
        "1, for the build that runs.";
    Draining "nn_draining" Gauge Daemon []
        "1 from the moment the daemon has begun to end.";
    Runtimes "nn_runtime_available" Gauge Daemon ["backend"]
        "Whether the framework's library was found: 1 or 0.";
    Layers "nn_jail_layer_active" Gauge Daemon ["process" "layer"]
        "Whether a layer of a jail is up, 1 or 0, for each process that has a profile.";
    Cpu "process_cpu_seconds_total" Counter Daemon []
        "Processor time of the daemon, without spawner and workers.";
    Resident "process_resident_memory_bytes" Gauge Daemon []
        "Resident memory of the daemon.";
    Virtual "process_virtual_memory_bytes" Gauge Daemon []
        "Address space of the daemon.";
    Threads "process_threads" Gauge Daemon []
        "Threads of the daemon.";
    Descriptors "process_open_fds" Gauge Daemon []
        "Descriptors that the daemon has open. Linux 6.2 and later say.";
    DescriptorsMax "process_max_fds" Gauge Daemon []
        "The most that it may have.";
    Started "process_start_time_seconds" Gauge Daemon []
        "When the daemon began, since 1970.";
}

// === impl Kind ===

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = Row> {
        Metric::ALL.iter().map(|metric| metric.row())
    }

    #[test]
    fn every_name_is_there_once_and_says_what_it_is() {
        let mut names: Vec<&str> = rows().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let wrong = rows().filter(|row| {
            let counts = row.name.ends_with("_total");
            let prefix = row.name.starts_with("nn_") || row.name.starts_with("process_");
            !prefix || counts != (row.kind == Kind::Counter)
        });
        assert_eq!(wrong.map(|row| row.name).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn help_is_one_line_that_needs_no_escapes() {
        let odd = |row: &Row| row.help.contains(['\\', '\n', '|']) || !row.help.ends_with('.');
        assert_eq!(rows().filter(odd).count(), 0);
    }
}
