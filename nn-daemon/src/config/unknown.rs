//! A key of the configuration file that there is not, told with the one that was probably meant.

use nn_tensor::nearest;

/// What to add to what the parser says, or nothing.
pub(super) fn hint(error: &toml::de::Error) -> String {
    // It names the key, then those that there are, each between backticks.
    let mut names = error.message().split('`').skip(1).step_by(2);
    let unknown = names
        .next()
        .filter(|_| error.message().starts_with("unknown field"));
    let meant = unknown.and_then(|key| nearest(names, key));
    meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::File;

    fn hint_for(text: &str) -> String {
        hint(&toml::from_str::<File>(text).unwrap_err())
    }

    #[test]
    fn the_key_that_was_meant_is_told_where_there_is_one() {
        assert_eq!(
            hint_for("[tenants.a]\nmodel = []"),
            " (did you mean models?)"
        );
        assert_eq!(
            hint_for("[limits]\nsession_max = 3"),
            " (did you mean sessions_max?)"
        );
        assert_eq!(hint_for("[tenants.a]\nxyz = []"), "");
        assert_eq!(hint_for("[tenants.a]\nuids = 7"), "");
    }
}
