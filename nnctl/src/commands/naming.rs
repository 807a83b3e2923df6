//! `nnctl promote`, `rollback` and `alias`, which say which version a name means; `pin` and `unpin`; `place`.

use std::time::Duration;

use nn_proto::v1;
use nn_tensor::{Fault, ModelName, ModelRef};
use serde::Serialize;

use super::model::ModelView;
use crate::cli::{AliasArgs, Command};
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::output::{Paint, Report, printable};

/// Longest time for a change that may load a model first.
const LOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// A version, and what it is called now.
#[derive(Debug, Serialize)]
pub(crate) struct Named {
    model: ModelView,
    #[serde(skip)]
    told: String,
}

/// Does one of them.
pub(crate) async fn run(daemon: &Daemon, command: Command) -> Result<Named, Failure> {
    match command {
        Command::Promote { model } => promote(daemon, &model).await,
        Command::Rollback { model } => rollback(daemon, &model).await,
        Command::Alias(args) => alias(daemon, args).await,
        Command::Pin { model } => pin(daemon, &model, true).await,
        Command::Unpin { model } => pin(daemon, &model, false).await,
        Command::Place { model, placement } => place(daemon, &model, placement).await,
        other => Err(Failure::usage(Fault::invalid_argument(format!(
            "{other:?} names nothing"
        )))),
    }
}

/// NAME means this version from now on.
async fn promote(daemon: &Daemon, model: &ModelRef) -> Result<Named, Failure> {
    let reference = model.to_string();
    let mut models = daemon.models();
    let call = models.promote(v1::PromoteRequest { reference });
    let answer = within("promote", call).await?.into_inner();
    current(answer.model)
}

/// NAME means again what it meant before.
async fn rollback(daemon: &Daemon, model: &ModelName) -> Result<Named, Failure> {
    let name = model.to_string();
    let mut models = daemon.models();
    let call = models.rollback(v1::RollbackRequest { name });
    let answer = within("rollback", call).await?.into_inner();
    current(answer.model)
}

/// NAME:ALIAS means a version, or nothing any more.
async fn alias(daemon: &Daemon, args: AliasArgs) -> Result<Named, Failure> {
    let name = format!("{}:{}", args.model.name, args.alias);
    let request = v1::SetAliasRequest {
        reference: args.model.to_string(),
        alias: args.alias.as_str().to_owned(),
        remove: args.remove,
    };
    let mut models = daemon.models();
    let answer = within("alias", models.set_alias(request))
        .await?
        .into_inner();
    named(answer.model, |model| {
        let reference = printable(&model.reference());
        if args.remove {
            format!("{name} is no more; it was {reference}\n")
        } else {
            format!("{name} is {reference}\n")
        }
    })
}

/// The current version stays loaded, or may rest again.
async fn pin(daemon: &Daemon, model: &ModelName, pinned: bool) -> Result<Named, Failure> {
    let name = model.to_string();
    let mut models = daemon.models();
    let call = models.set_pin(v1::SetPinRequest { name, pinned });
    let answer = within("pin", call).await?.into_inner();
    named(answer.model, |model| {
        let how = if pinned { "stays loaded" } else { "may rest" };
        format!("{} {how}\n", printable(&model.reference()))
    })
}

/// A worker here computes a version, or its endpoints do.
async fn place(daemon: &Daemon, model: &ModelRef, placement: String) -> Result<Named, Failure> {
    let reference = model.to_string();
    let mut models = daemon.models();
    let call = models.place(v1::PlaceRequest {
        reference,
        placement,
    });
    let answer = within("place", call).await?.into_inner();
    named(answer.model, |model| {
        let reference = printable(&model.reference());
        match model.placement.as_str() {
            "kserve" => {
                let addresses: Vec<&str> = model.endpoints.iter().map(|of| &*of.address).collect();
                let addresses = printable(&addresses.join(", ")).to_string();
                format!("{reference} is computed by {addresses}\n")
            }
            _ => format!("{reference} is computed here\n"),
        }
    })
}

fn current(model: Option<v1::Model>) -> Result<Named, Failure> {
    named(model, |model| {
        let (name, reference) = (printable(&model.name), printable(&model.reference()));
        format!("{name} is {reference}\n")
    })
}

fn named(
    model: Option<v1::Model>,
    told: impl FnOnce(&ModelView) -> String,
) -> Result<Named, Failure> {
    let missing = || Fault::runtime("the daemon's answer names no model");
    let model = ModelView::from(model.ok_or_else(missing)?);
    let told = told(&model);
    Ok(Named { model, told })
}

async fn within<T>(
    what: &str,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(LOAD_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::late(what, LOAD_TIMEOUT)),
    }
}

impl Report for Named {
    fn text(&self, _: Paint) -> String {
        self.told.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::sample;
    use super::*;

    #[test]
    fn what_a_name_means_is_said_in_a_line() {
        assert_eq!(
            current(Some(sample())).unwrap().text(Paint::Plain),
            "foo is foo@2\n"
        );
    }

    #[test]
    fn an_answer_without_a_model_is_a_failure() {
        assert!(current(None).is_err());
    }
}
