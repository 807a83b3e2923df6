//! Which case an argument names. What a case does is in the file for its kind.

mod compute;
mod limits;
mod models;
mod tensors;

use crate::Stop;
use crate::spec::number;

/// Runs the case that the arguments name.
///
/// # Errors
/// [`Stop`] says how the run ends: with the usage text, with one more line, or with nothing more to say.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Stop> {
    match arguments {
        ["run", model, count, inputs @ ..] => compute::run(model, number(count)?, inputs),
        ["loop", model, count, inputs @ ..] => compute::repeat(model, number(count)?, inputs),
        ["bytes", model, name, ty, dims, len] => compute::bytes(
            model,
            &compute::Odd {
                name,
                ty,
                dims,
                len: number(len)?,
            },
        ),
        ["leak", model, count, inputs @ ..] => compute::leak(model, number(count)?, inputs),
        ["trap", model, count, inputs @ ..] => {
            compute::leak(model, number(count)?, inputs)?;
            limits::trap()
        }
        ["hold", model, seconds, inputs @ ..] => compute::hold(model, number(seconds)?, inputs),
        ["noname", names @ ..] => models::names(names),
        ["load-bytes", files, rest @ ..] => models::load_bytes(files, rest),
        ["tensor"] => tensors::there_and_back(),
        ["spin"] => limits::spin(),
        ["alloc", mib] => limits::alloc(number(mib)?),
        [] => Err(Stop::Usage("no case".to_owned())),
        [case, ..] => Err(Stop::Usage(format!("no case {case} with these arguments"))),
    }
}
