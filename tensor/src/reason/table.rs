//! The rows. A row is: variant, id, code, stage, who can mend it, what happened, what to do. An id stays what it is: people
//! look it up and programs compare it. Texts have no path and no name of a part of this program.

use super::{Mender, Row, Stage};
use crate::Code;

macro_rules! reasons {
    ($($variant:ident $id:literal $code:ident $stage:ident $mender:ident $what:literal $todo:literal;)*) => {
        /// Why something did not happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $what] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order in which a call may meet them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What is known of it.
            #[must_use]
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        id: $id,
                        code: Code::$code,
                        stage: Stage::$stage,
                        mender: Mender::$mender,
                        what: $what,
                        todo: $todo,
                    },)*
                }
            }
        }
    };
}

reasons! {
    // === Door ===
    DaemonUnreachable "daemon-unreachable" RuntimeError Door Operator "nn-daemon cannot be reached"
        "nn-daemon must be running and its socket be known to this host";
    DaemonLost "daemon-lost" RuntimeError Door Guest "the connection to nn-daemon was lost before the answer came"
        "calls that were in flight are not repeated; call again";
    DaemonSilent "daemon-silent" Timeout Door Operator "nn-daemon did not answer in time"
        "call again; if it stays so, look at nn-daemon's log";
    DaemonLeaving "daemon-leaving" Leaving Door Time "nn-daemon is ending"
        "nothing of this has begun: ask the next one, in a moment";
    CutOff "cut-off" RuntimeError Door Guest "nn-daemon ended before the call was done"
        "call again; limits.drain_ms_max says how long the end waits for what runs";
    Reconnecting "reconnecting" Busy Door Time "the connection to nn-daemon is being made anew"
        "call again in a moment";
    Congested "congested" Busy Door Time "the connection to nn-daemon is congested"
        "try again later";
    ConnectionsFull "connections-full" Busy Door Operator "this user has too many connections to the daemon"
        "close some, or have limits.connections_per_uid_max raised";
    SessionsFull "sessions-full" Busy Door Operator "too many sessions"
        "close one, or raise the limit that is named";
    SessionUnknown "session-unknown" NotFound Door Guest "no such session"
        "open a session first; it ends with its descriptor connection";
    SessionEnded "session-ended" RuntimeError Door Guest "the session has ended"
        "call again: the host opens another";
    TenantName "tenant-name" InvalidArgument Door Operator "a tenant's name is not well-formed"
        "give the host another tenant";
    TenantDenied "tenant-denied" Security Door Operator "this peer may not act for this tenant"
        "the operator lists uids under [tenants] of the daemon's configuration";
    AdminDenied "admin-denied" Security Door Operator "this peer may not administer the daemon"
        "run the command as the daemon's user or as root";
    ProtocolVersion "protocol-version" InvalidArgument Door Operator "the daemon does not speak this version of nn.v1"
        "use a client and a daemon of the same release";
    Protocol "protocol" InvalidArgument Door Operator "the client breaks the protocol nn.v1"
        "use a client and a daemon of the same release";
    MessageWrong "message-wrong" InvalidArgument Door Guest "the message is none of the Open Inference Protocol"
        "use a client of its version 2, or of Triton's";
    MessageTooLarge "message-too-large" TooLarge Door Operator "a message is too large"
        "send less in one message, or have limits.kserve_message_bytes_max raised";
    MessagesFull "messages-full" Busy Door Time "this user's clients have too many bytes of tensors on their way at once"
        "send fewer requests at a time, or have limits.kserve_bytes_per_uid_max raised";
    CallUnoffered "call-unoffered" UnsupportedOperation Door Guest "this part of the protocol is not offered"
        "kserve.md, in the documentation, lists what is";
    AnswerProtocol "answer-protocol" RuntimeError Door Operator "nn-daemon's answer breaks the protocol"
        "nn-daemon and this host must be of the same release";
    Defect "defect" RuntimeError Door Operator "something went wrong inside the daemon or the host"
        "look for it in their logs and report it";

    // === Model ===
    ModelName "model-name" InvalidArgument Model Guest "the name is none that a model can have"
        "write NAME, NAME@VERSION or NAME:ALIAS";
    ModelUnknown "model-unknown" NotFound Model Guest "there is no such model, version or alias, or none for this tenant"
        "`nnctl list` shows the models; `nnctl load NAME FILE` adds one";
    ModelUnloaded "model-unloaded" NotFound Model Operator "the model has been unloaded"
        "have it loaded again, then load it by its name";
    ModelLoading "model-loading" Busy Model Time "the model is still loading"
        "try again later; `nnctl list` shows its state";
    ModelQuarantined "model-quarantined" Security Model Operator "the model is quarantined: its workers crashed too often"
        "`nnctl quarantine list` says since when; `nnctl quarantine lift` lets it be tried again";
    ModelKept "model-kept" Busy Model Operator "the version cannot rest now"
        "unpin it, wait for what it computes, or unload it by `nnctl unload`";
    ModelFailed "model-failed" Unknown Model Operator "the model could not be loaded"
        "`nnctl describe NAME` says why";
    WorkersFull "workers-full" Busy Model Operator "no worker can be started now: there are as many as there may be"
        "try again later, unload or unpin a model, or raise limits.workers_max";
    TenantWorkersFull "tenant-workers-full" Busy Model Operator "too many tenants have workers of this model of their own"
        "try again later, or raise limits.workers_max";
    WorkersMemoryFull "workers-memory-full" Busy Model Operator "the workers of other models have the memory that this one needs"
        "unload or unpin a model, or raise the limit that is named; `nnctl status` shows what is used";
    WorkerTooLarge "worker-too-large" TooLarge Model Operator "the model's worker would have more memory than all workers may"
        "raise the limit that is named";
    MachineMemory "machine-memory" Busy Model Operator "the machine has not the memory that loading the model may take"
        "unload a model, end another program, or serve it from a larger machine";
    WorkerNotStarted "worker-not-started" RuntimeError Model Operator "no worker could be started"
        "the daemon's log says why; `nnctl doctor` looks for what is wrong";
    SpawnRefused "spawn-refused" Busy Model Operator "the system starts no worker now"
        "try again later; the daemon's log says why";
    LoadLate "load-late" Timeout Model Operator "the model was not ready in time"
        "try again, or have load_ms_max of its model.toml or limits.load_ms_max raised";
    LoadCrashed "load-crashed" BackendCrashed Model Model "the worker died while it loaded the model"
        "the file may be damaged, or the framework cannot take it: check it there, or export it again";
    LoadMemory "load-memory" TooLarge Model Operator "the model does not fit into a worker's memory budget"
        "use a smaller model, or a larger budget: limits.worker_memory_bytes";
    LoadFailed "load-failed" RuntimeError Model Model "the framework could not load the model"
        "the daemon's log has the framework's own words under the log id";
    ModelUnreadable "model-unreadable" InvalidEncoding Model Model "the framework cannot read the model"
        "check that the file is whole and sound (for the Python package onnx: onnx.checker.check_model), or export it again";
    OperatorUnsupported "operator-unsupported" UnsupportedOperation Model Model "the model needs an operator that the framework does not have"
        "export the model for an older operator set, or without that operator; another backend may have it";
    SignatureUnsupported "signature-unsupported" UnsupportedOperation Model Model "an input or output of the model cannot be offered to guests"
        "convert it inside the model, by a Cast node for example";
    NamesTooLong "names-too-long" TooLarge Model Model "the names of the model's tensors are too long together"
        "export the model with fewer or shorter names";
    BackendUnknown "backend-unknown" UnsupportedOperation Model Operator "there is no such backend here"
        "name one that there is, or leave it out";
    BackendFormat "backend-format" UnsupportedOperation Model Operator "the backend does not read this format"
        "name another backend in model.toml, or convert the model";
    FrameworkMissing "framework-missing" UnsupportedOperation Model Operator "the daemon has not found the framework that the model needs"
        "install its libraries; `nnctl status` shows where they are looked for";
    FrameworkBroken "framework-broken" RuntimeError Model Operator "the framework does not load"
        "the daemon's log has the framework's own words under the log id";
    PlacementOff "placement-off" UnsupportedOperation Model Operator "the daemon asks no such endpoint for models"
        "name it in [remote] endpoints of the daemon's configuration, and start the daemon anew";
    PlacementSecret "placement-secret" InvalidArgument Model Operator "a file that the model's [kserve] names cannot be used"
        "it lies in [remote] secrets of the daemon's configuration, where the daemon can read it";
    PlacementAway "placement-away" RuntimeError Model Operator "the process that connects to endpoints is gone"
        "start the daemon anew; its log says how that process ended";
    PlacementUnsaid "placement-unsaid" InvalidArgument Model Operator "the model's model.toml names no endpoints"
        "load it anew with endpoints: `nnctl load NAME FILE --endpoint HOST:PORT`, or [kserve] endpoints = [...] in its model.toml";
    PlacementFile "placement-file" NotFound Model Operator "there is no file of the model on this machine"
        "only its endpoints compute it: load it with a file to have it computed here";
    PlacementDiffers "placement-differs" InvalidArgument Model Operator "the model at its endpoints takes or gives something else than the model here"
        "compare both by `nnctl describe NAME`; have the endpoint serve the same model, or correct kserve.model in its model.toml";
    WarmUpFailed "warm-up-failed" RuntimeError Model Operator "a warm-up run of the model failed"
        "look at warm_up in its model.toml, or at the model";
    WarmUpLate "warm-up-late" Timeout Model Operator "a warm-up run of the model took too long"
        "raise compute_ms_max of its model.toml, or limits.compute_ms_max";
    ManifestWrong "manifest-wrong" InvalidArgument Model Operator "the model's model.toml cannot be understood"
        "mend the key that is named";
    BytesUnread "bytes-unread" RuntimeError Model Operator "the model's bytes could not be read"
        "try again; the daemon's log says why";
    BytesDamaged "bytes-damaged" RuntimeError Model Operator "the model's bytes are damaged, or gone"
        "unload this version, and load it again from where it came from; the daemon's log says more";

    // === Bytes ===
    EncodingUnsupported "encoding-unsupported" InvalidEncoding Bytes Guest "models in this encoding are not loaded from bytes"
        "convert the model to ONNX";
    TargetUnsupported "target-unsupported" UnsupportedOperation Bytes Guest "the execution target is not offered"
        "ask for the target cpu";
    TargetNumber "target-number" InvalidArgument Bytes Guest "no execution target has this number"
        "pass 0, which is the target cpu";
    PartsWrong "parts-wrong" InvalidArgument Bytes Guest "the model does not consist of the parts that its format has"
        "send ONNX as one part, OpenVINO's IR as two: its XML, then its weights";
    ModelTooLarge "model-too-large" TooLarge Bytes Guest "the model is too large"
        "have the operator load it (`nnctl load NAME FILE`) and load it by its name";
    GuestModelsFull "guest-models-full" Busy Bytes Guest "the guest holds too many models loaded from bytes"
        "drop those that are no longer needed";
    GuestModelBytesFull "guest-model-bytes-full" TooLarge Bytes Guest "the models that the guest loaded are too large together"
        "drop models that are no longer needed";
    TenantModelsFull "tenant-models-full" Busy Bytes Guest "the tenant's guests have loaded too many models"
        "drop graphs that are no longer needed, or raise limits.guest_models_per_tenant_max";
    TenantModelBytesFull "tenant-model-bytes-full" Busy Bytes Guest "the tenant's memory for its guests' models is used up"
        "drop graphs that are no longer needed, or raise limits.guest_model_bytes_per_tenant_max";
    ModelsFull "models-full" Busy Bytes Operator "there are too many models"
        "unload one, or raise limits.models_max";
    UploadBusy "upload-busy" Busy Bytes Time "somebody else is still sending this model"
        "try again later; limits.load_ms_max says how long that may take";
    UploadLate "upload-late" Timeout Bytes Guest "sending the model took too long"
        "send it again; limits.load_ms_max says how long it may take";
    UploadInterrupted "upload-interrupted" RuntimeError Bytes Guest "taking the model in was interrupted"
        "send it again";
    UploadLength "upload-length" InvalidArgument Bytes Guest "more or fewer bytes came than were announced"
        "the file changed while it was sent; send it again";
    UploadDigest "upload-digest" InvalidArgument Bytes Guest "the upload's digest is not the announced one"
        "the file changed while it was sent; send it again";
    StateUnwritable "state-unwritable" RuntimeError Bytes Operator "the daemon could not write to its state directory"
        "the daemon's log says why";

    // === Vetting ===
    VetFormat "vet-format" InvalidEncoding Vetting Guest "the file is no model of that format"
        "export the model to ONNX (for PyTorch: torch.onnx.export) and load that file";
    VetMalformed "vet-malformed" InvalidEncoding Vetting Guest "the file cannot be read to its end"
        "the file may be damaged; export it again";
    VetDuplicateField "vet-duplicate-field" InvalidEncoding Vetting Model "a field of the model comes twice"
        "the file may be damaged; export it again";
    VetSize "vet-size" TooLarge Vetting Operator "the model is too large"
        "use a smaller model, or raise limits.model_bytes_max";
    VetNodes "vet-nodes" TooLarge Vetting Operator "the model has too many nodes"
        "simplify the model, or raise limits.model_nodes_max";
    VetValues "vet-values" TooLarge Vetting Operator "the model has too many tensors and values"
        "simplify the model, or raise limits.model_nodes_max";
    VetDepth "vet-depth" InvalidEncoding Vetting Model "the model is nested too deeply"
        "flatten its subgraphs";
    VetDims "vet-dims" InvalidEncoding Vetting Model "the model has a tensor of impossible dimensions"
        "the file is damaged, or its exporter is wrong: export it again";
    VetRank "vet-rank" UnsupportedOperation Vetting Model "the model has a tensor of too many dimensions"
        "reshape it to at most 8 dimensions";
    VetDataType "vet-data-type" InvalidEncoding Vetting Model "the model has a tensor of an unknown element type"
        "the file is damaged, or its exporter is wrong: export it again";
    VetDataLength "vet-data-length" InvalidEncoding Vetting Model "a tensor of the model has another length than its dimensions say"
        "the file is damaged, or its exporter is wrong: export it again";
    VetExternalData "vet-external-data" InvalidEncoding Vetting Model "a tensor of the model keeps its bytes in another file"
        "save the model with all data inside its file (for the Python package onnx: load it with its data, then onnx.save_model(model, path, save_as_external_data=False))";
    VetOpDomain "vet-op-domain" UnsupportedOperation Vetting Model "the model uses operators of a domain that is not served"
        "export the model with standard operators (ai.onnx, ai.onnx.ml, com.microsoft), or define the operator as a function in the model";
    VetCustomOp "vet-custom-op" UnsupportedOperation Vetting Model "the model needs a custom operator"
        "export the model with standard operators (ai.onnx, ai.onnx.ml, com.microsoft), or define the operator as a function in the model";
    VetEpContext "vet-ep-context" Security Vetting Model "the model has a node that stands for compiled code in a file"
        "load the model that it was compiled from";
    VetFrameworkConfig "vet-framework-config" Security Vetting Model "the model sets options of the framework"
        "take the entry out of the model's metadata_props";
    VetOrtFile "vet-ort-file" InvalidEncoding Vetting Guest "the file is in ONNX Runtime's own format"
        "load the .onnx file that it was made from";
    VetRecursiveFunction "vet-recursive-function" InvalidEncoding Vetting Model "a function of the model calls itself"
        "functions may call each other, but not in a circle";
    VetName "vet-name" InvalidEncoding Vetting Model "the model has a name that can be read as another"
        "export the model with other names";
    VetDtd "vet-dtd" InvalidEncoding Vetting Model "the file declares a document type or entities"
        "save the model by OpenVINO itself";
    VetIrVersion "vet-ir-version" UnsupportedOperation Vetting Model "the model is of a version that is not served"
        "save the model by a current OpenVINO";
    VetWiring "vet-wiring" InvalidEncoding Vetting Model "the model's layers do not fit each other"
        "the file may be damaged; export it again";

    // === Tensors ===
    TensorRank "tensor-rank" InvalidArgument Tensors Guest "a tensor has too many dimensions"
        "reshape it to at most 8 dimensions";
    TensorSize "tensor-size" InvalidArgument Tensors Guest "a tensor's dimensions are more than any memory holds"
        "check the dimensions that are sent";
    TensorLength "tensor-length" InvalidArgument Tensors Guest "a tensor's length is not that of its shape"
        "send the product of the dimensions times the size of an element";
    TensorTooLarge "tensor-too-large" TooLarge Tensors Guest "a tensor is too large"
        "send smaller tensors, or have limits.tensor_bytes_max raised";
    TensorType "tensor-type" InvalidArgument Tensors Guest "no element type has this number"
        "guests built with other headers number types differently: set the dialect";
    TypeUnserved "type-unserved" InvalidArgument Tensors Guest "tensors of this element type are not served"
        "convert the values: FP16, FP32, FP64, BF16, UINT8, INT32 and INT64 are served";
    ContentsWrong "contents-wrong" InvalidArgument Tensors Guest "a tensor's contents are not as its message must have them"
        "send the bytes of every input in raw_input_contents, or none there and its elements in the list that is for its type";
    OutputUnknown "output-unknown" InvalidArgument Tensors Guest "the model has no output of this name"
        "`nnctl describe NAME` lists a model's outputs";
    ParameterWrong "parameter-wrong" InvalidArgument Tensors Guest "a parameter has another type, or another value, than it may have"
        "kserve.md, in the documentation, lists the parameters that mean something here";
    InputsTooMany "inputs-too-many" InvalidArgument Tensors Guest "too many inputs"
        "send each of the model's inputs once";
    InputName "input-name" InvalidArgument Tensors Guest "a tensor's name has no usable length"
        "use the model's own names: `nnctl describe NAME` lists them";
    InputUnknown "input-unknown" InvalidArgument Tensors Guest "the model has no input of this name"
        "`nnctl describe NAME` lists a model's inputs; a decimal index works too";
    InputTwice "input-twice" InvalidArgument Tensors Guest "an input was given twice"
        "an input may be named or numbered, not both";
    InputMissing "input-missing" InvalidArgument Tensors Guest "an input is missing"
        "send every input of the model: `nnctl describe NAME` lists them";
    InputDtype "input-dtype" InvalidArgument Tensors Guest "an input has another element type than the model takes"
        "convert the values before they are sent: `nnctl describe NAME` shows the model's types";
    InputRank "input-rank" InvalidArgument Tensors Guest "an input has more or fewer dimensions than the model takes"
        "reshape it; `nnctl describe NAME` shows the model's shapes, where ? stands for any size";
    InputShape "input-shape" InvalidArgument Tensors Guest "an input has other dimensions than the model takes"
        "resize it; `nnctl describe NAME` shows the model's shapes, where ? stands for any size";
    InputNumber "input-number" InvalidArgument Tensors Guest "an input has a number that is too large for OpenVINO"
        "load the model with the backend onnxruntime";
    InputUnconverted "input-unconverted" InvalidArgument Tensors Guest "an input cannot be converted to what the model takes"
        "`nnctl describe NAME` shows what clients send and what the model takes";
    ArenaFull "arena-full" Busy Tensors Guest "the tenant's tensor memory is used up"
        "drop tensors that are no longer needed, or raise limits.arena_bytes_per_tenant_max";
    SharedMemory "shared-memory" Busy Tensors Operator "the daemon could not make shared memory"
        "the machine is out of memory or descriptors: the daemon's log says which";
    TenantTensorsFull "tenant-tensors-full" Busy Tensors Guest "the tenant holds too many tensors"
        "drop outputs that are no longer needed, or have the limit that is named raised";
    SegmentsFull "segments-full" Busy Tensors Operator "the worker has too many segments mapped"
        "use fewer sessions, or larger segments (limits.segment_bytes)";
    GuestTensorsFull "guest-tensors-full" TooLarge Tensors Guest "the guest holds too many tensors"
        "drop tensors that are no longer needed";
    GuestTensorBytesFull "guest-tensor-bytes-full" TooLarge Tensors Guest "the guest's tensors are too large together"
        "drop tensors that are no longer needed";
    GuestHandlesFull "guest-handles-full" Busy Tensors Guest "the guest holds too many graphs, contexts or computes"
        "drop those that are no longer needed";
    GraphsFull "graphs-full" Busy Tensors Operator "the session has resolved too many graphs"
        "drop graphs that are no longer needed, or raise limits.graphs_per_session_max";
    GraphUnknown "graph-unknown" NotFound Tensors Guest "no such graph in this session"
        "load the model again by its name";
    ArenaUnknown "arena-unknown" NotFound Tensors Guest "no such arena in this session"
        "load the model again by its name";
    GraphLost "graph-lost" NotFound Tensors Guest "the model was loaded from bytes and is gone: the connection to nn-daemon was lost"
        "load it again from its bytes";
    PointerOutside "pointer-outside" InvalidArgument Tensors Guest "a pointer leads out of the guest's memory"
        "check the pointer and the length that are passed";
    TextWrong "text-wrong" InvalidArgument Tensors Guest "a name is too long or is not UTF-8"
        "check the pointer and the length that are passed";
    HandleUnknown "handle-unknown" InvalidArgument Tensors Guest "no graph or context has this handle"
        "use the handles that the calls gave";
    IndexUnknown "index-unknown" InvalidArgument Tensors Guest "the model has no input or output of this index"
        "count from 0: `nnctl describe NAME` lists inputs and outputs in order";
    NoOutputs "no-outputs" RuntimeError Tensors Guest "there are no outputs"
        "call compute, then get_output";
    BufferTooSmall "buffer-too-small" TooLarge Tensors Guest "the output is larger than the buffer"
        "pass a buffer of at least the expected bytes";
    RoomLate "room-late" Timeout Tensors Guest "there was no room for the input in time"
        "drop tensors that are no longer needed, or try again later";

    // === Compute ===
    InFlightFull "in-flight-full" Busy Compute Guest "too many computes are in flight in this session"
        "wait for a reply; limits.in_flight_per_session_max says how many there may be";
    TenantComputesFull "tenant-computes-full" Busy Compute Guest "the tenant has too many computes in flight"
        "wait for a reply, or have the limit that is named raised";
    TenantRateFull "tenant-rate-full" Busy Compute Time "the tenant has begun as many computes as it may in a second"
        "try again in a moment, or have the limit that is named raised";
    QueueFull "queue-full" Busy Compute Operator "the model's queue is full"
        "try again later; limits.queue_per_model_max says how many may wait";
    QueueShareFull "queue-share-full" Busy Compute Operator "the tenant's part of the model's queue is full"
        "wait for a reply; limits.queue_per_model_max says how many may wait";
    DeadlineQueued "deadline-queued" Timeout Compute Operator "the deadline passed before the compute began"
        "allow more time, or send fewer requests at a time; `nnctl status` shows the queue";
    DeadlineRunning "deadline-running" Timeout Compute Guest "the deadline passed while the model computed"
        "allow more time, or send smaller inputs";
    DeadlineUnanswered "deadline-unanswered" Timeout Compute Guest "the compute was not answered before its deadline"
        "a longer timeout, a smaller input, or a less loaded machine";
    Cancelled "cancelled" Timeout Compute Guest "the compute was cancelled by its client"
        "call again if the answer is still wanted";
    RunFailed "run-failed" RuntimeError Compute Guest "the framework failed while computing"
        "check that sizes that depend on each other agree between the inputs; the daemon's log has the framework's own words under the log id";
    RunMemory "run-memory" TooLarge Compute Guest "the model ran out of its worker's memory budget while computing"
        "use smaller inputs, or a larger budget: limits.worker_memory_bytes";
    OutputUnconverted "output-unconverted" RuntimeError Compute Operator "an output cannot be converted to what was declared of it"
        "correct outputs in its model.toml: `nnctl describe NAME` shows what the model gives and what clients get";
    OutputTooLarge "output-too-large" TooLarge Compute Guest "an output is too large"
        "send smaller inputs, or have limits.tensor_bytes_max raised";
    OutputsFull "outputs-full" Busy Compute Guest "there is no room for an output"
        "drop the results of earlier calls, or raise limits.arena_bytes_per_tenant_max";
    WorkerCrashed "worker-crashed" BackendCrashed Compute Model "the model's worker crashed"
        "try again; if it happens each time, the model or these inputs crash the framework";
    WorkerForbidden "worker-forbidden" BackendCrashed Compute Model "the model's worker did what it may not and was stopped"
        "try again; if it happens each time, the model or these inputs make the framework do it";
    WorkerMemory "worker-memory" BackendCrashed Compute Operator "the model's worker ran out of memory"
        "use smaller inputs, or have limits.worker_memory_bytes raised";
    WorkerKilled "worker-killed" BackendCrashed Compute Time "the model's worker was killed"
        "try again; a new worker is being started";
    WorkerAway "worker-away" BackendCrashed Compute Operator "the model's worker is not back yet"
        "try again later; `nnctl describe NAME` says why it ended";
    RemoteUnreachable "remote-unreachable" RuntimeError Compute Operator "no remote engine of the model can be reached"
        "nothing was sent: call again once an endpoint answers; `nnctl describe NAME` shows the endpoints";
    RemoteRefused "remote-refused" Busy Compute Time "the model's remote engines failed too often and are left alone for a while"
        "nothing was sent: try again later; `nnctl describe NAME` shows the endpoints";
    RemoteTls "remote-tls" Security Compute Operator "the connection to the remote engine cannot be protected as it must be"
        "compare ca, certificate, key and name under [kserve.tls] of its model.toml with what the endpoint has; the daemon's log says more";
    RemoteModel "remote-model" RuntimeError Compute Operator "the remote engine does not have the model as it must be there"
        "have the endpoint serve the model and version that [kserve] of its model.toml names (model = \"…\" where it is called otherwise there), the same one at every endpoint";
    RemoteMessage "remote-message" TooLarge Compute Guest "the inputs are more than one message to the remote engine may hold"
        "send smaller inputs, or have message_bytes_max under [kserve] of its model.toml raised";
    RemoteLost "remote-lost" RuntimeError Compute Guest "the connection to the remote engine ended before the answer came"
        "it is not sent twice: call again";
    RemoteFailed "remote-failed" RuntimeError Compute Guest "the remote engine failed to compute"
        "check that sizes that depend on each other agree between the inputs; the daemon's log has the engine's own words under the log id";
    RemoteAnswer "remote-answer" RuntimeError Compute Operator "the remote engine's answer is not what the model gives"
        "have every endpoint serve the same model; the daemon's log says what came";
    RemoteDeadline "remote-deadline" Timeout Compute Operator "the deadline passed before the remote engine had answered"
        "allow more time, or see why the engine is slow; `nnctl describe NAME` shows the endpoints";
}
