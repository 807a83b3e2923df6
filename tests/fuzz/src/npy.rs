//! Files that are said to be NumPy's, as nnctl reads them. nnctl is a program: its reader is compiled in here.

use std::path::PathBuf;

use nn_tensor::{Code, Fault};

#[expect(dead_code, reason = "files are read and written by nnctl only")]
#[path = "../../../nnctl/src/npy.rs"]
mod reader;

use reader::{Array, NpyError};

/// Reads the bytes as a file.
pub fn run(file: &[u8]) {
    match Array::parse(file) {
        Ok(array) => {
            let len = u64::try_from(array.bytes.len()).expect("as many bits");
            assert_eq!(array.shape.byte_len(array.dtype), Ok(len));
            assert!(file.ends_with(&array.bytes));
        }
        Err(source) => {
            let path = PathBuf::from("x.npy");
            let fault = Fault::from(NpyError::Format { path, source });
            assert_eq!(fault.code, Code::InvalidArgument);
            let _shown = fault.to_string();
        }
    }
}
