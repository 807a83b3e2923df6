//! Core modules against the client's fake daemon: what each of the six functions answers, and what a guest
//! leaves behind. The module passes its arguments on; the tests write its memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[expect(dead_code, reason = "the client's own tests use the rest")]
#[path = "../client/tests/fake/server.rs"]
mod server;
#[path = "../client/tests/fake/world.rs"]
mod world;

use std::time::Duration;

use nn_client::Client;
use nn_host_shim::witx::{Dialect, WitxCtx, add_to_linker};
use nn_host_shim::{GuestLimits, WasiNnCtx};
use nn_tensor::Tenant;
use server::Fake;
use tempfile::TempDir;
use wasmtime::{Engine, Instance, Linker, Memory, Module, Store, Val};

const MODULE: &str = r#"
(module
  (import "wasi_ephemeral_nn" "load" (func $load (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "load_by_name" (func $by_name (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "load") (param i32 i32 i32 i32 i32) (result i32)
    (call $load (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "load_by_name") (param i32 i32 i32) (result i32)
    (call $by_name (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_execution_context") (param i32 i32) (result i32)
    (call $init (local.get 0) (local.get 1)))
  (func (export "set_input") (param i32 i32 i32) (result i32)
    (call $set (local.get 0) (local.get 1) (local.get 2)))
  (func (export "get_output") (param i32 i32 i32 i32 i32) (result i32)
    (call $get (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "compute") (param i32) (result i32) (call $compute (local.get 0))))
"#;

/// Where things are in the guest's memory.
const RECORD: u32 = 0;
const DIMS: u32 = 64;
const NAME: u32 = 128;
const OUT: u32 = 256;
const DATA: u32 = 1024;
const BUFFER: u32 = 65_536;
const MEMORY: u32 = 131_072;

/// Type numbers of dialect 0.6.
const F32: u8 = 1;
const U8: u8 = 3;

struct World {
    _dir: TempDir,
    fake: Fake,
    client: Client,
}

struct Guest {
    store: Store<WitxCtx>,
    instance: Instance,
    memory: Option<Memory>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(dir.path());
        let client = Client::new(dir.path().join("nn.sock"), Tenant::default());
        Self {
            _dir: dir,
            fake,
            client,
        }
    }

    async fn guest(&self) -> Guest {
        Guest::new(WasiNnCtx::new(self.client.clone()), Dialect::V06, MODULE).await
    }

    async fn limited(&self, limits: GuestLimits) -> Guest {
        let nn = WasiNnCtx::builder(self.client.clone()).limits(limits);
        Guest::new(nn.build(), Dialect::V06, MODULE).await
    }

    /// Waits for a number of input slots in use.
    async fn until_in_slots(&self, count: u64) {
        let waiting = async {
            while self.client.stats().in_slots != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(5), waiting).await;
        assert!(waited.is_ok(), "{:?}", self.client.stats());
    }
}

impl Guest {
    async fn new(nn: WasiNnCtx, dialect: Dialect, module: &str) -> Self {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker, |ctx: &mut WitxCtx| ctx).unwrap();
        let module = Module::new(&engine, wat::parse_str(module).unwrap()).unwrap();
        let mut store = Store::new(&engine, WitxCtx::new(nn, dialect));
        let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
        let memory = instance.get_memory(&mut store, "memory");
        Self {
            store,
            instance,
            memory,
        }
    }

    async fn call(&mut self, name: &str, args: &[u32]) -> i32 {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(arg.cast_signed())).collect();
        let mut results = [Val::I32(-1)];
        let called = func.call_async(&mut self.store, &args, &mut results).await;
        called.unwrap();
        results[0].unwrap_i32()
    }

    fn write(&mut self, at: u32, bytes: &[u8]) {
        let memory = self.memory.unwrap();
        memory
            .write(&mut self.store, at.try_into().unwrap(), bytes)
            .unwrap();
    }

    fn read(&self, at: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let memory = self.memory.unwrap();
        memory
            .read(&self.store, at.try_into().unwrap(), &mut bytes)
            .unwrap();
        bytes
    }

    fn out(&self) -> u32 {
        u32::from_le_bytes(self.read(OUT, 4).try_into().unwrap())
    }

    async fn load(&mut self, name: &str) -> i32 {
        self.write(NAME, name.as_bytes());
        let len = name.len().try_into().unwrap();
        self.call("load_by_name", &[NAME, len, OUT]).await
    }

    /// A context of a model, both its first.
    async fn context_of(&mut self, name: &str) {
        assert_eq!(self.load(name).await, 0);
        assert_eq!(self.call("init_execution_context", &[0, OUT]).await, 0);
    }

    async fn set(&mut self, index: u32, dims: &[u32], ty: u8, data: &[u8]) -> i32 {
        let rank = dims.len().try_into().unwrap();
        let len = data.len().try_into().unwrap();
        let words = [DIMS, rank, u32::from(ty), DATA, len];
        self.write(RECORD, &words.map(u32::to_le_bytes).concat());
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        self.write(DIMS, &dims);
        self.write(DATA, data);
        self.call("set_input", &[0, index, RECORD]).await
    }

    /// A connection breaks a moment after the server has gone.
    async fn compute_until_it_fails(&mut self) -> i32 {
        for _ in 0..1000 {
            let errno = self.call("compute", &[0]).await;
            if errno != 0 {
                return errno;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        0
    }

    async fn get(&mut self, index: u32, max: u32) -> i32 {
        self.call("get_output", &[0, index, BUFFER, max, OUT]).await
    }
}

#[tokio::test]
async fn an_inference_gives_the_answer_and_copies_its_payload_twice() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    assert_eq!(guest.set(0, &[5], U8, b"hello").await, 0);
    assert_eq!(guest.call("compute", &[0]).await, 0);
    assert_eq!(guest.get(0, 100).await, 0);
    assert_eq!((guest.out(), guest.read(BUFFER, 5)), (5, b"hello".to_vec()));
    assert_eq!(world.client.stats().copies, 2);
}

#[tokio::test]
async fn inputs_and_outputs_stay_until_they_are_replaced() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"one").await;
    assert_eq!(guest.call("compute", &[0]).await, 0);
    assert_eq!(guest.call("compute", &[0]).await, 0);
    assert_eq!((guest.get(0, 3).await, guest.get(0, 3).await), (0, 0));
    assert_eq!(guest.read(BUFFER, 3), b"one");
    assert_eq!(world.client.stats().out_slots, 1);
}

#[tokio::test]
async fn an_input_of_the_same_length_takes_the_place_of_the_one_before() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"one").await;
    guest.call("compute", &[0]).await;
    assert_eq!(guest.set(0, &[3], U8, b"two").await, 0);
    assert_eq!(guest.call("compute", &[0]).await, 0);
    guest.get(0, 3).await;
    assert_eq!(guest.read(BUFFER, 3), b"two");
    assert_eq!(world.client.stats().in_slots, 1);
    assert_eq!(guest.set(0, &[4], U8, b"four").await, 0);
    assert_eq!(world.client.stats().in_slots, 1);
}

#[tokio::test]
async fn an_input_that_a_job_still_reads_is_not_written_over() {
    let world = World::new();
    let limit = Duration::from_millis(20);
    let nn = WasiNnCtx::builder(world.client.clone()).timeout(limit);
    let mut guest = Guest::new(nn.build(), Dialect::V06, MODULE).await;
    guest.context_of("hold").await;
    guest.set(0, &[3], U8, b"one").await;
    assert_eq!(guest.call("compute", &[0]).await, 5);
    assert_eq!(guest.set(0, &[3], U8, b"two").await, 0);
    assert_eq!(world.client.stats().in_slots, 2);
    world.fake.answer_held();
    world.until_in_slots(1).await;
}

#[tokio::test]
async fn what_could_never_be_computed_is_refused_by_set_input() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    assert_eq!(guest.set(1, &[3], U8, b"abc").await, 1, "index");
    assert_eq!(guest.set(0, &[3], F32, &[0; 12]).await, 1, "type");
    assert_eq!(guest.set(0, &[3, 1], U8, b"abc").await, 1, "rank");
    assert_eq!(guest.set(0, &[4], U8, b"abc").await, 1, "length");
    assert_eq!(guest.set(0, &[3], 6, b"abc").await, 1, "type number");
    assert_eq!(world.client.stats().in_slots, 0);
    assert_eq!(guest.call("compute", &[0]).await, 1, "no input");
}

#[tokio::test]
async fn a_refused_input_leaves_the_one_before() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"one").await;
    assert_eq!(guest.set(0, &[4], U8, b"two").await, 1);
    assert_eq!(guest.call("compute", &[0]).await, 0);
    guest.get(0, 3).await;
    assert_eq!(guest.read(BUFFER, 3), b"one");
}

#[tokio::test]
async fn a_small_buffer_is_too_large_and_nothing_is_written() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"abc").await;
    guest.call("compute", &[0]).await;
    guest.write(OUT, &[0xEE; 4]);
    assert_eq!(guest.get(0, 2).await, 7);
    assert_eq!(guest.read(BUFFER, 2), [0, 0]);
    assert_eq!(guest.read(OUT, 4), [0xEE; 4]);
}

#[tokio::test]
async fn outputs_that_are_not_there_are_told_apart_from_those_that_never_are() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    assert_eq!(guest.get(0, 100).await, 5, "before a compute");
    assert_eq!(guest.get(1, 100).await, 1, "beyond the model's");
}

#[tokio::test]
async fn a_compute_that_fails_ends_the_outputs_before_it() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"abc").await;
    assert_eq!(guest.call("compute", &[0]).await, 0);
    drop(world.fake);
    assert_eq!(guest.compute_until_it_fails().await, 5);
    assert_eq!(guest.get(0, 3).await, 5);
}

#[tokio::test]
async fn an_output_without_elements_has_no_length() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    assert_eq!(guest.set(0, &[0], U8, b"").await, 0);
    assert_eq!(guest.call("compute", &[0]).await, 0);
    guest.write(OUT, &[0xEE; 4]);
    assert_eq!(guest.get(0, 0).await, 0);
    assert_eq!(guest.out(), 0);
}

#[tokio::test]
async fn handles_count_from_0_and_others_are_invalid() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.load("echo").await;
    guest.load("hold").await;
    assert_eq!(guest.out(), 1);
    guest.call("init_execution_context", &[1, OUT]).await;
    assert_eq!(guest.out(), 0);
    assert_eq!(guest.call("init_execution_context", &[2, OUT]).await, 1);
    assert_eq!(guest.call("compute", &[1]).await, 1);
    assert_eq!(guest.call("compute", &[u32::MAX]).await, 1);
    assert_eq!(guest.call("get_output", &[1, 0, BUFFER, 1, OUT]).await, 1);
}

#[tokio::test]
async fn names_that_are_unknown_malformed_or_endless_are_told_apart() {
    let world = World::new();
    let mut guest = world.guest().await;
    assert_eq!(guest.load("nobody").await, 8);
    assert_eq!(guest.load("no/body").await, 1);
    assert_eq!(guest.call("load_by_name", &[0, MEMORY, OUT]).await, 1);
    let pointless = [NAME, 4, MEMORY - 3];
    assert_eq!(guest.call("load_by_name", &pointless).await, 1);
    assert_eq!(world.fake.seen(|seen| seen.resolves.len()), 1);
}

#[tokio::test]
async fn bytes_that_are_not_offered_are_refused_before_they_are_read() {
    let world = World::new();
    let mut guest = world.guest().await;
    let parts = [DATA.to_le_bytes(), 4_u32.to_le_bytes()].concat();
    guest.write(RECORD, &parts);
    // OpenVINO's IR has two parts.
    assert_eq!(guest.call("load", &[RECORD, 1, 0, 0, OUT]).await, 1);
    assert_eq!(guest.call("load", &[RECORD, 1, 6, 0, OUT]).await, 2);
    assert_eq!(guest.call("load", &[RECORD, 1, 1, 1, OUT]).await, 6);
    assert_eq!(guest.call("load", &[RECORD, 1, 1, 4, OUT]).await, 1);
    assert_eq!(guest.call("load", &[RECORD, 0, 1, 0, OUT]).await, 1);
    assert_eq!(guest.call("load", &[RECORD, 1, 1, 0, MEMORY]).await, 1);
}

#[tokio::test]
async fn a_model_beyond_the_guests_ceiling_is_too_large() {
    let world = World::new();
    let limits = GuestLimits {
        model_bytes_max: 3,
        ..GuestLimits::default()
    };
    let mut guest = world.limited(limits).await;
    let parts = [DATA.to_le_bytes(), 4_u32.to_le_bytes()].concat();
    guest.write(RECORD, &parts);
    assert_eq!(guest.call("load", &[RECORD, 1, 1, 0, OUT]).await, 7);
}

#[tokio::test]
async fn quotas_hold_for_core_modules_too() {
    let world = World::new();
    let limits = GuestLimits {
        graphs_max: 1,
        contexts_max: 1,
        tensor_bytes_max: 4,
        ..GuestLimits::default()
    };
    let mut guest = world.limited(limits).await;
    guest.context_of("echo").await;
    assert_eq!(guest.load("echo").await, 4);
    assert_eq!(guest.call("init_execution_context", &[0, OUT]).await, 4);
    assert_eq!(guest.set(0, &[5], U8, b"hello").await, 7);
    guest.set(0, &[3], U8, b"abc").await;
    assert_eq!(guest.call("compute", &[0]).await, 7, "the output's bytes");
}

#[tokio::test]
async fn guests_of_0_5_and_0_4_are_understood_and_understand() {
    let world = World::new();
    let nn = || WasiNnCtx::new(world.client.clone());
    let mut newer = Guest::new(nn(), Dialect::V05, MODULE).await;
    newer.context_of("echo").await;
    assert_eq!(newer.set(0, &[3], 2, b"abc").await, 0);
    assert_eq!(newer.load("nobody").await, 8);
    let mut older = Guest::new(nn(), Dialect::V04, MODULE).await;
    assert_eq!(older.load("nobody").await, 1);
}

#[tokio::test]
async fn a_module_without_a_memory_is_told_so() {
    let world = World::new();
    let module = MODULE.replace("(memory (export \"memory\") 2)", "(memory 2)");
    let nn = WasiNnCtx::new(world.client.clone());
    let mut guest = Guest::new(nn, Dialect::V06, &module).await;
    assert_eq!(guest.call("load_by_name", &[0, 4, 8]).await, 3);
    assert_eq!(guest.call("load", &[0, 1, 1, 0, 8]).await, 3);
    assert_eq!(guest.call("init_execution_context", &[0, 8]).await, 3);
    assert_eq!(guest.call("set_input", &[0, 0, 0]).await, 3);
    assert_eq!(guest.call("get_output", &[0, 0, 0, 0, 0]).await, 3);
    assert_eq!(guest.call("compute", &[0]).await, 3);
}

#[tokio::test]
async fn a_store_that_is_dropped_leaves_nothing_behind() {
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"abc").await;
    guest.call("compute", &[0]).await;
    drop(guest);
    let stats = world.client.stats();
    assert_eq!((stats.in_slots, stats.out_slots), (0, 0));
    world.fake.until(|seen| seen.released_slots == 1).await;
    assert_eq!(world.fake.out_slots_in_use(), 0);
}

/// A fixed sequence of numbers, mostly such that lead somewhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        let mut bits = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            u32::try_from(self.0 >> 32).unwrap()
        };
        match bits() % 4 {
            0 => bits(),
            1 => bits() % (2 * MEMORY),
            2 => u32::MAX - bits() % 16,
            _ => bits() % 4,
        }
    }
}

#[tokio::test]
async fn whatever_a_guest_passes_it_gets_an_errno() {
    const CALLS: [(&str, usize); 6] = [
        ("load", 5),
        ("load_by_name", 3),
        ("init_execution_context", 2),
        ("set_input", 3),
        ("get_output", 5),
        ("compute", 1),
    ];
    let world = World::new();
    let mut guest = world.guest().await;
    guest.context_of("echo").await;
    guest.set(0, &[3], U8, b"abc").await;
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for (name, args) in CALLS.iter().cycle().take(20_000) {
        let args: Vec<u32> = (0..*args).map(|_| numbers.next()).collect();
        let errno = guest.call(name, &args).await;
        assert!((0..=8).contains(&errno), "{name} {args:?}: {errno}");
    }
}
