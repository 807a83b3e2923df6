//! Which case an argument names. What a case does is in the file for its kind.

mod compute;
mod made;
mod models;
mod table;

use cases::{limits, number};

use crate::Stop;

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
        ["tensor"] => made::there_and_back(),
        ["table", steps @ ..] => table::run(steps),
        ["table-file", path] => table::run_file(path),
        ["spin"] => {
            limits::spin();
            Ok(())
        }
        ["alloc", mib] => limits::alloc(number(mib)?).map_err(|text| Stop::Own {
            code: "out-of-memory",
            text,
        }),
        [] => Err(Stop::Usage("no case".to_owned())),
        [case, ..] => Err(Stop::Usage(format!("no case {case} with these arguments"))),
    }
}
