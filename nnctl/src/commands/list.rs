//! `nnctl list`: every version of every model, one line each.

use nn_proto::v1;
use serde::Serialize;

use super::model::ModelView;
use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Paint, Report, Table, bytes};

/// What there is.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    models: Vec<ModelView>,
}

/// Asks the daemon.
pub(crate) async fn run(daemon: &Daemon) -> Result<Listing, Failure> {
    let mut models = daemon.models();
    let answer = within("list", models.list(v1::ListRequest {})).await?;
    Ok(answer.into_inner().into())
}

// === impl Listing ===

impl From<v1::ListResponse> for Listing {
    fn from(answer: v1::ListResponse) -> Self {
        Self {
            models: answer.models.into_iter().map(Into::into).collect(),
        }
    }
}

impl Report for Listing {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new(&[
            "MODEL",
            "VERSION",
            "STATE",
            "CURRENT",
            "ALIASES",
            "SIZE",
            "BACKEND",
            "INSTANCES",
            "SOURCE",
        ]);
        for model in &self.models {
            table.row([
                model.name.clone(),
                model.version.to_string(),
                model.state_text().to_owned(),
                if model.current { "yes" } else { "" }.to_owned(),
                model.aliases.join(", "),
                bytes(model.bytes),
                model.backend.clone(),
                model.instances_text(),
                model.source_text(),
            ]);
        }
        table.render(paint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::sample;
    use super::*;

    #[test]
    fn a_model_is_a_line() {
        let mut old = sample();
        old.version = 1;
        old.current = false;
        old.aliases = vec!["stable".to_owned(), "v1".to_owned()];
        old.instances.clear();
        old.state = v1::ModelState::Absent.into();
        let listing = Listing::from(v1::ListResponse {
            models: vec![old, sample()],
        });
        assert_eq!(
            listing.text(Paint::Plain),
            "\
MODEL  VERSION  STATE   CURRENT  ALIASES     SIZE      BACKEND      INSTANCES  SOURCE
foo    1        absent  -        stable, v1  17.6 MiB  onnxruntime  0/0        uploaded
foo    2        ready   yes      -           17.6 MiB  onnxruntime  1/1        uploaded
"
        );
    }

    #[test]
    fn a_guests_model_says_whose_it_is() {
        let mut guests = sample();
        guests.source = "guest".to_owned();
        guests.tenant = "shop".to_owned();
        let listing = Listing::from(v1::ListResponse {
            models: vec![guests],
        });
        assert!(listing.text(Paint::Plain).contains("guest of shop"));
    }

    #[test]
    fn json_has_exact_numbers() {
        let models = vec![sample()];
        let json = serde_json::to_value(Listing::from(v1::ListResponse { models })).unwrap();
        let model = &json["models"][0];
        assert_eq!(model["bytes"], 18_554_880);
        assert_eq!(model["instances"][0]["pid"], 42);
        assert!(model["error"].is_null());
    }
}
