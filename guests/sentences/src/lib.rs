//! What guests that compare sentences share: BERT's tokenizer, sentences of unequal length side by side, and the cosine of
//! what a model makes of them. It knows no host and no model: numbers in, numbers out.

mod batch;
mod tokenizer;
mod vocabulary;

pub use batch::{Batch, OutputMismatch, cosine};
pub use tokenizer::{Rules, Tokenizer, TokenizerError, read};
pub use vocabulary::{Pieces, Sorted};
