//! Which Rust number is which element type.

use crate::DType;

/// A Rust number that a tensor can hold as it is: `f32`, `f64`, `u8`, `i32`, `i64`, and with the feature `half` its `f16`
/// and `bf16`. Other crates cannot add to these.
pub trait Element: sealed::Plain {
    /// The type of a tensor that holds these.
    const DTYPE: DType;
}

pub(crate) mod sealed {
    /// Numbers whose bytes can be looked at, and made of any bytes.
    pub trait Plain: bytemuck::Pod {}
}

macro_rules! elements {
    ($($number:ty: $dtype:ident),*) => {
        $(
            impl sealed::Plain for $number {}

            impl Element for $number {
                const DTYPE: DType = DType::$dtype;
            }
        )*
    };
}

elements!(f32: Fp32, f64: Fp64, u8: U8, i32: I32, i64: I64);

// A tensor's bytes are little-endian, and so is WebAssembly: numbers go in and out as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"));

#[cfg(test)]
mod tests {
    use super::*;

    fn fits<T: Element>() -> bool {
        size_of::<T>() == T::DTYPE.size()
    }

    #[test]
    fn every_number_is_as_large_as_its_type() {
        assert!(fits::<f32>() && fits::<f64>() && fits::<u8>());
        assert!(fits::<i32>() && fits::<i64>());
    }
}
