//! The spawner's own jail, as profile `spawner` says. What it starts inherits it, so it holds all that a worker does
//! before its own seal; and no Landlock, because what that restricts can mount nothing.

use nn_sandbox::{ApplyError, Layer, OwnAsk, OwnProfile, enter as apply, own_steps};

use crate::Exit;

/// Its name among the profiles.
const PROFILE: &str = "spawner";

/// Puts up these layers. `privileged`: namespaces take privileges here, which are kept.
pub(crate) fn enter(layers: &[String], privileged: bool) -> Result<(), Exit> {
    let unknown = |what: &str| Exit::Protocol(format!("no profile or layer is called {what:?}"));
    let profile = OwnProfile::named(PROFILE).ok_or_else(|| unknown(PROFILE))?;
    let layers = layers.iter();
    let layers = layers.map(|name| Layer::named(name).ok_or_else(|| unknown(name)));
    let layers: Vec<Layer> = layers.collect::<Result<_, _>>()?;
    let ask = OwnAsk {
        privileged,
        ..OwnAsk::default()
    };
    apply(&own_steps(profile, &layers, &ask)).map_err(|error| told(&error))
}

/// With its cause: nobody walks a chain here.
fn told(error: &ApplyError) -> Exit {
    Exit::Jail(format!("{error}: {}", error.source))
}
