//! Tensors without any model: what goes into the host must come out of it.

use cases::{DType, fill, join_dimensions};
use nn_guest::component::Tensor;

use crate::Stop;
use crate::tensors::tensor_type;

/// Ranks 0 to 8, empty ones, one element, and one as large as a picture.
const SHAPES: [&[u32]; 15] = [
    &[],
    &[0],
    &[1],
    &[3],
    &[2, 3],
    &[0, 4],
    &[4, 0, 2],
    &[1, 2, 3],
    &[1, 1, 1, 1],
    &[2, 1, 2, 1, 2],
    &[1, 1, 2, 1, 3, 1],
    &[2, 2, 2, 2, 2, 2, 2],
    &[2, 2, 2, 2, 2, 2, 2, 2],
    &[1024],
    &[1, 3, 224, 224],
];

/// All are made before the first is read, so that they live side by side in the host.
pub(super) fn there_and_back() -> Result<(), Stop> {
    let mut made = Vec::new();
    for ty in DType::ALL {
        for dimensions in SHAPES {
            let bytes = fill(ty, dimensions, &format!("seed:{}", made.len() + 1))?;
            let tensor = Tensor::new(dimensions, tensor_type(ty), &bytes);
            made.push((tensor, ty, dimensions, bytes));
        }
    }
    let mut sound = true;
    for (tensor, ty, dimensions, bytes) in &made {
        let case = format!("{} {}", ty.name(), join_dimensions(dimensions));
        let differs = [
            ("dimensions", tensor.dimensions() != **dimensions),
            ("type", tensor.ty() != tensor_type(*ty)),
            ("data", tensor.data() != *bytes),
            ("data read again", tensor.data() != *bytes),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            None => println!("ok {case}"),
            Some((what, _)) => {
                sound = false;
                println!("error mismatch {case}: other {what}");
            }
        }
    }
    println!("ok tensors={}", made.len());
    if sound { Ok(()) } else { Err(Stop::Reported) }
}
