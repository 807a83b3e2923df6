//! What clients get in place of an output.

use nn_tensor::{DType, Dim, Fault, NAME_BYTES_MAX, TensorName, TensorSpec};

use super::same;
use crate::declare::{Output, refused, short};
use crate::output::{OutputStep, axis_of, computed_in};

/// Makes faults of a declaration that does not fit an output.
struct Place<'a> {
    own: &'a TensorSpec,
    name: String,
}

/// What clients get, the first of which is the output number `first` to them.
pub(super) fn of(
    own: &TensorSpec,
    declared: &Output,
    first: usize,
) -> Result<(Vec<TensorSpec>, OutputStep), Fault> {
    let name = own.name.as_str();
    let place = Place {
        own,
        name: format!("outputs.{}", short(name)),
    };
    let softmax = declared.softmax.map(|softmax| softmax.0);
    let is_softmax = softmax.map(|axis| place.has_axis(axis)).transpose()?;
    let computed = computed_in(own.dtype, is_softmax.is_some());
    let dtype = declared.dtype.map_or(computed, |given| given.0);
    if declared.dtype.is_some() && dtype == computed {
        let gives = TensorSpec {
            dtype: computed,
            ..own.clone()
        };
        return Err(same(&place.name, "gives", &gives));
    }
    let seen = match declared.top_k {
        Some(k) => {
            let dims = place.dims(k)?;
            let values = place.spec(".values", dtype, dims.clone())?;
            let indices = place.spec(".indices", DType::I32, dims)?;
            let text = || place.spec(".labels", DType::U8, Some(vec![Dim::Any]));
            let labels = (!declared.labels.is_empty()).then(text).transpose()?;
            [values, indices].into_iter().chain(labels).collect()
        }
        None => vec![TensorSpec {
            dtype,
            ..own.clone()
        }],
    };
    let step = OutputStep {
        name: name.to_owned(),
        first,
        from: own.dtype,
        softmax,
        top_k: declared.top_k,
        dtype,
        labels: declared.labels.clone(),
    };
    Ok((seen, step))
}

// === impl Place ===

impl Place<'_> {
    fn misfit(&self, key: &str, expected: String) -> Fault {
        let Self { own, name } = self;
        refused(format!("model.toml: {name}.{key} does not fit the model"))
            .expected(expected)
            .got(own.to_string())
    }

    fn has_axis(&self, axis: i32) -> Result<(), Fault> {
        if self.own.dtype.is_integer() {
            let expected = "an output of floating-point numbers";
            return Err(self.misfit("softmax", expected.to_owned()));
        }
        match &self.own.dims {
            Some(dims) if axis_of(axis, dims.len()).is_none() => {
                Err(self.misfit("softmax", format!("an output with a dimension {axis}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Those of the `k` largest.
    fn dims(&self, k: u32) -> Result<Option<Vec<Dim>>, Fault> {
        let Some(mut dims) = self.own.dims.clone() else {
            return Ok(None);
        };
        let last = dims.last_mut();
        let last = last.filter(|last| !matches!(last, Dim::Fixed(len) if *len < k));
        let few = || {
            let expected = format!("an output whose last dimension is at least {k}");
            self.misfit("top_k", expected)
        };
        *last.ok_or_else(few)? = Dim::Fixed(k);
        Ok(Some(dims))
    }

    fn spec(
        &self,
        suffix: &str,
        dtype: DType,
        dims: Option<Vec<Dim>>,
    ) -> Result<TensorSpec, Fault> {
        let name = TensorName::new(&format!("{}{suffix}", self.own.name));
        let name = name.map_err(|_| {
            let expected =
                format!("a name that {suffix} makes no longer than {NAME_BYTES_MAX} bytes");
            self.misfit("top_k", expected)
        })?;
        Ok(TensorSpec { name, dtype, dims })
    }
}
