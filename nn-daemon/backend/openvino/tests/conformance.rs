//! OpenVINO through the suite that every backend passes, and what is true of it alone. One test, because the library is
//! opened once a process.

use std::path::Path;

use nn_backend::Setup;
use nn_backend::conformance::{self, Abilities, library};
use nn_backend_openvino::OpenVinoBackend;

#[test]
fn openvino_conforms() {
    let Some(library) = library("openvino/libopenvino_c.so.2641") else {
        return;
    };
    let setup = Setup {
        library: &library,
        threads: 2,
        log: |line| println!("{line}"),
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/tiny");
    let mut backend = OpenVinoBackend::new();
    // Its Loop does not look whether it is to end, its kernels have no integers of 64 bits, and it plans for a number of
    // dimensions.
    let can = Abilities {
        stops_loops: false,
        wide_integers: false,
        open_ranks: false,
    };
    conformance::suite(&mut backend, &setup, &models, can);
}
