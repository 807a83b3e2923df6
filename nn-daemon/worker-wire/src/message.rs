//! The frames between daemon and worker, as data. What they mean to `nn-tensor` is in `convert.rs`.

use bincode::{Decode, Encode};

use crate::{Conversion, EndpointState};

/// What the daemon tells a worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToWorker {
    /// First: build the jail, load the framework, seal, all as the spawner's [`Order`](crate::Order) says. Brings one
    /// descriptor: the socket on which [`Interrupt`]s come; and to a worker that prepares models a second one: memory that
    /// it is to write; and to a relay its socket to the dialer. Answered by [`FromWorker::Ready`].
    Boot {
        /// Must be the worker's own.
        build_id: String,
    },
    /// Load this model; one sealed descriptor a part. Answered by [`FromWorker::Loaded`].
    Model {
        /// `onnx`, or [`PREPARED`]; to a relay [`REMOTE`](crate::REMOTE).
        format: String,
        /// At most 16.
        parts: Vec<Part>,
        /// What it is computed in.
        precision: Precision,
    },
    /// Only before a model: let the framework compute something small. Answered by [`FromWorker::Canary`].
    Canary {
        /// Comes back in the answer.
        turn: u64,
    },
    /// Map this segment, whose descriptor comes along. Answered by [`FromWorker::Attached`].
    Attach {
        /// Arena it belongs to.
        arena: u64,
        /// Which segment.
        segment: u32,
        /// Its size in bytes.
        bytes: u64,
        /// Who writes it.
        role: Role,
        /// Whether clients of more than one uid use this worker from now on: small and integer inputs
        /// are then copied before the framework may index by them.
        shared: bool,
    },
    /// Unmap every segment of this arena. Not sent while a job uses it.
    Detach {
        /// The arena.
        arena: u64,
    },
    /// Unmap this input segment. Not sent while a job uses it.
    Unmap {
        /// The arena.
        arena: u64,
        /// The segment.
        segment: u32,
    },
    /// Give back output segments that have been idle since the last Trim, but for one of each arena.
    /// Answered by [`FromWorker::Trimmed`] if there are any.
    Trim,
    /// No memory for the [`FromWorker::Grow`] of this arena.
    Refuse {
        /// The arena.
        arena: u64,
        /// Whether so much is beyond what any output may have.
        too_large: bool,
    },
    /// Compute. Answered by [`FromWorker::Done`].
    Run(Run),
    /// These output slots are free again.
    Release {
        /// At most 1024.
        slots: Vec<Slot>,
    },
    /// Say that you are there. Answered by [`FromWorker::Alive`].
    Probe,
    /// Leave.
    Bye,
    /// Make of this model what loads faster, in the place that came with [`ToWorker::Boot`]; one sealed descriptor a part.
    /// Only for a worker that was made for it. Answered by [`FromWorker::Prepared`].
    Prepare {
        /// `onnx`.
        format: String,
        /// At most 16.
        parts: Vec<Part>,
        /// What it is computed in.
        precision: Precision,
    },
    /// Only before a model, and at most so often as that has tensors and labels: what its operator has converted. The model's
    /// worker converts what comes and goes, and still answers [`FromWorker::Loaded`] with the model's own signature.
    Convert {
        /// One declaration.
        conversion: Conversion,
    },
}

/// The format of what a worker has made of a model at [`ToWorker::Prepare`], for a worker of the same framework.
pub const PREPARED: &str = "prepared";

/// What a model is computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Precision {
    /// What it says itself.
    #[default]
    F32,
    /// What the processor is fastest with.
    Native,
}

/// What a worker is told on its other socket, where it listens also while it computes: do not begin this job, or stop
/// it if it has begun. Its [`FromWorker::Done`] still comes. One for a job that has ended already means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Interrupt {
    /// The job.
    pub job: u64,
}

/// What a worker tells the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FromWorker {
    /// The framework is loaded.
    Ready {
        /// The worker's own.
        build_id: String,
        /// Framework and version, for people.
        runtime: String,
    },
    /// What came of letting the framework compute.
    Canary {
        /// As it was asked.
        turn: u64,
        /// Nothing, if it computed right.
        result: Result<(), Failure>,
    },
    /// The model is loaded, or is not going to be.
    Loaded {
        /// What the model takes and gives.
        result: Result<Signature, Failure>,
    },
    /// The segment is mapped; if this worker writes it, it may now be sealed against other writers.
    Attached {
        /// Arena.
        arena: u64,
        /// Segment.
        segment: u32,
    },
    /// This output arena needs another segment before the job at hand can go on. Answered by
    /// [`ToWorker::Attach`] or [`ToWorker::Refuse`].
    Grow {
        /// The arena.
        arena: u64,
        /// The new segment must have at least so many bytes.
        bytes_min: u64,
    },
    /// In answer to [`ToWorker::Probe`].
    Alive,
    /// These output segments are unmapped.
    Trimmed {
        /// Arena and segment of each; at most 1024.
        segments: Vec<(u64, u32)>,
    },
    /// A job has ended. Its input slots are no longer looked at.
    Done {
        /// The job.
        job: u64,
        /// The outputs, in slots of the job's output arena.
        result: Result<Vec<Tensor>, Failure>,
        /// From taking up the job to this answer, in microseconds.
        run_us: u64,
    },
    /// Of a relay alone, when it changes: what it says of its endpoints.
    Endpoints {
        /// Each of the model's, in its order.
        states: Vec<EndpointState>,
    },
    /// What was to be prepared lies in its place, whole; or is not going to.
    Prepared {
        /// Else why not.
        result: Result<(), Failure>,
    },
}

/// One inference.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// Unique within this worker's life.
    pub job: u64,
    /// Every input of the model, by the model's names. At most 128.
    pub inputs: Vec<Tensor>,
    /// Where the outputs go.
    pub out_arena: u64,
    /// Microseconds from now after which nobody waits any more.
    pub timeout_us: u64,
}

/// Who writes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    /// The client writes; the worker maps read-only.
    Input,
    /// The worker writes; it maps read-write.
    Output,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    /// `model.onnx`.
    pub name: String,
    /// Size.
    pub bytes: u64,
}

/// `nn_tensor::Descriptor`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// `nn_tensor::DType`, counted in the order of its `ALL`.
    pub dtype: u8,
    /// Dimensions.
    pub dims: Vec<u32>,
    /// Place.
    pub slot: Slot,
}

/// `nn_tensor::SlotRef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Slot {
    /// Arena.
    pub arena: u64,
    /// Segment.
    pub segment: u32,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// Generation.
    pub generation: u64,
}

/// `nn_tensor::Signature`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signature {
    /// At most 128.
    pub inputs: Vec<Spec>,
    /// At most 128.
    pub outputs: Vec<Spec>,
}

/// `nn_tensor::TensorSpec`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Spec {
    /// Name.
    pub name: String,
    /// As in [`Tensor`].
    pub dtype: u8,
    /// `None` where the rank is open.
    pub dims: Option<Vec<Dim>>,
}

/// `nn_tensor::Dim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Dim {
    /// Exactly this many.
    Fixed(u32),
    /// Any number.
    Any,
}

/// A failure inside a worker: what the client may read, and what only the log may.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Failure {
    /// `nn_tensor::Code`, counted in the order of its `ALL`.
    pub code: u8,
    /// A sentence of our own.
    pub message: String,
    /// What would have been right.
    pub expected: String,
    /// What came.
    pub got: String,
    /// What to do next.
    pub hint: String,
    /// The framework's own words, for the daemon's log only.
    pub detail: String,
    /// Whether the worker's memory budget was used up.
    pub out_of_memory: bool,
    /// Whether the job had begun and was stopped because of an [`Interrupt`].
    pub interrupted: bool,
    /// `nn_tensor::Reason`, by its id; empty where there is none.
    pub reason: String,
}
