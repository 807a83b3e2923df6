//! What is taken, from when on not, and what a worker is told.

use std::io::Read;

use nn_shm::BlobDraft;

use super::*;

const BUDGET: u64 = 1 << 30;
const THREADS: u32 = 2;
const BACKEND: &str = "onnxruntime";

fn said(layers: &[Layer]) -> wire::Workers {
    wire::Workers {
        backend: BACKEND.into(),
        library: "/lib/x.so".into(),
        beside: Vec::new(),
        threads_max: THREADS,
        profile: "worker-ort".into(),
        layers: layers.iter().map(|layer| layer.name().into()).collect(),
        data_bytes_max: BUDGET,
        filter: vec![7; 512],
    }
}

fn file(content: &[u8]) -> OwnedFd {
    let mut draft = BlobDraft::new(0).unwrap();
    draft.file().write_all(content).unwrap();
    draft.file().try_clone().unwrap().into()
}

/// The outfit after the spawner's own jail.
fn fixed() -> Outfit {
    let mut outfit = Outfit::default();
    let taken = outfit.take_workers(said(&Layer::ALL), vec![file(b"ELF")]);
    taken.unwrap();
    outfit.fix();
    outfit
}

fn is_fixed(taken: &Result<(), Exit>) -> bool {
    matches!(taken, Err(Exit::Refused(Refusal::Fixed { .. })))
}

#[test]
fn workers_with_fewer_layers_are_refused_after_the_jail() {
    let mut outfit = fixed();
    let taken = outfit.take_workers(said(&[]), vec![file(b"ELF")]);
    assert!(is_fixed(&taken), "{taken:?}");
    let layers = outfit.order(BACKEND, None, 1, 1).unwrap().sandbox.layers;
    assert_eq!(layers.len(), Layer::ALL.len());
}

#[test]
fn another_library_is_refused_after_the_jail() {
    let mut outfit = fixed();
    let taken = outfit.take_workers(said(&Layer::ALL), vec![file(b"another")]);
    assert!(is_fixed(&taken), "{taken:?}");
    assert_eq!(outfit.order(BACKEND, None, 1, 1).unwrap().library.bytes, 3);
}

#[test]
fn a_first_program_is_refused_after_the_jail_too() {
    let mut outfit = fixed();
    let taken = outfit.take_program(file(b"ELF"));
    assert!(
        matches!(taken, Err(Exit::Refused(Refusal::Late { .. }))),
        "{taken:?}"
    );
}

#[test]
fn before_the_jail_the_last_word_counts() {
    let mut outfit = Outfit::default();
    let first = outfit.take_workers(said(&Layer::ALL), vec![file(b"ELF")]);
    first.unwrap();
    let second = outfit.take_workers(said(&[Layer::NetNs]), vec![file(b"ELF")]);
    second.unwrap();
    let sandbox = outfit.order(BACKEND, Some(7), BUDGET, 1).unwrap().sandbox;
    assert_eq!(sandbox.layers, ["netns"]);
    assert_eq!((sandbox.uid, sandbox.data_bytes_max), (Some(7), BUDGET));
}

#[test]
fn a_budget_above_what_was_said_is_refused() {
    let refused = fixed().order(BACKEND, None, BUDGET + 1, 1);
    assert!(matches!(refused, Err(Refusal::Budget { most: BUDGET, .. })));
}

#[test]
fn a_worker_has_the_threads_it_was_asked_with_within_what_was_said() {
    let outfit = fixed();
    assert_eq!(
        outfit.order(BACKEND, None, 1, THREADS).unwrap().threads,
        THREADS
    );
    let others = [THREADS + 1, u32::MAX].map(|asked| outfit.order(BACKEND, None, 1, asked));
    let is_told = |order| matches!(order, &Err(Refusal::Threads { most: THREADS, .. }));
    assert!(others.iter().all(is_told), "{others:?}");
}

#[test]
fn a_layer_that_nobody_knows_is_refused() {
    let mut unknown = said(&[]);
    unknown.layers.push("glass".into());
    let taken = Outfit::default().take_workers(unknown, vec![file(b"ELF")]);
    let refused = taken.unwrap_err().to_string();
    assert!(refused.contains("glass"), "{refused}");
}

#[test]
fn no_worker_is_started_before_it_is_known_of_what() {
    assert!(matches!(
        Outfit::default().made(BACKEND),
        Err(Refusal::Early { missing: "Program" })
    ));
}

#[test]
fn an_order_is_read_from_its_pipe_to_the_end() {
    let order = fixed().order(BACKEND, Some(65_534), 1, 1).unwrap();
    let mut pipe = File::from(write_down(&order).unwrap());
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    assert_eq!(wire::decode::<wire::Order>(&bytes).unwrap(), order);
}

#[test]
fn workers_that_prepare_have_the_libraries_of_those_that_serve() {
    let mut outfit = Outfit::default();
    let serves = outfit.take_workers(said(&Layer::ALL), vec![file(b"ELF")]);
    serves.unwrap();
    let said = wire::Workers {
        backend: format!("{BACKEND}{}", wire::PREPARES),
        ..said(&Layer::ALL)
    };
    let prepares = outfit.take_workers(said.clone(), vec![file(b"another")]);
    prepares.unwrap();
    let order = outfit.order(&said.backend, None, 1, 1).unwrap();
    assert_eq!((order.backend, order.library.bytes), (said.backend, 3));
}
