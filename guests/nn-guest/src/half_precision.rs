//! The numbers of the crate `half`, as elements.

use half::{bf16, f16};

use crate::DType;
use crate::element::{Element, sealed};

elements!(f16: Fp16, bf16: Bf16);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    #[test]
    fn halves_go_through_a_tensor() {
        let values = [1.0, -0.5].map(f16::from_f32);
        let tensor = Tensor::new(&[2], &values).unwrap();
        assert_eq!(tensor.bytes(), [0x00, 0x3c, 0x00, 0xb8]);
        assert_eq!(tensor.to_vec::<f16>().unwrap(), values);
        assert!(tensor.to_vec::<bf16>().is_err());
    }
}
