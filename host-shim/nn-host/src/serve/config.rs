//! What to serve, where, and within which bounds: flags before the file, the file before the defaults. A file has
//! several routes, or says at its top what the command line says by GUEST.wasm and --tenant: one for every request.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nn_tensor::{ModelRef, Tenant};
use toml::de::DeTable;

use crate::cli::ServeArgs;
use crate::daemon::Daemon;
use crate::exit::Failure;
use crate::guest::Keep;
use crate::serve::document::{Mistake, Section, Text};
use crate::serve::error::ServeError;
use crate::serve::file::{
    self, HostLimits, ROUTE_AT_TOP, RequestLimits, RouteTable, TenantRules, TenantTable,
};
use crate::serve::route::Pattern;

/// The routes, the address, and what all of it may take.
#[derive(Debug)]
pub(crate) struct Config {
    pub(super) daemon: Daemon,
    /// `None` where a socket must be inherited.
    pub(super) listen: Option<SocketAddr>,
    pub(super) cache: Keep,
    pub(super) limits: HostLimits,
    pub(super) tenants: BTreeMap<Tenant, TenantRules>,
    /// One at least.
    pub(super) routes: Vec<Route>,
}

/// Requests, and the guest that answers them.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) pattern: Pattern,
    pub(super) component: PathBuf,
    pub(super) tenant: Tenant,
    /// Ready before the first request is taken.
    pub(super) models: Vec<ModelRef>,
    pub(super) env: Vec<(String, String)>,
    pub(super) limits: RequestLimits,
}

/// The most routes of one file.
const ROUTES_MAX: usize = 1024;

/// What the file says of tenants and of requests.
struct Rules {
    dir: PathBuf,
    limits: RequestLimits,
    tenants: BTreeMap<Tenant, TenantTable>,
}

// === impl Config ===

impl TryFrom<ServeArgs> for Config {
    type Error = Failure;

    fn try_from(args: ServeArgs) -> Result<Self, Failure> {
        let path = args.config.clone().unwrap_or_default();
        let text = match &args.config {
            Some(path) => fs::read_to_string(path).map_err(|source| ServeError::File {
                path: path.clone(),
                source,
            })?,
            None => String::new(),
        };
        let of = Text {
            path: &path,
            text: &text,
        };
        let table = DeTable::parse(&text);
        let table = table.map_err(|error| ServeError::from(Mistake::unreadable(of, &error)))?;
        Self::read(args, &Section::whole(of, table.get_ref()))
    }
}

impl Config {
    fn read(args: ServeArgs, top: &Section<'_>) -> Result<Self, Failure> {
        file::top_keys(top).map_err(ServeError::from)?;
        let dir = args.config.as_deref().and_then(Path::parent);
        let (limits, rules) = Rules::read(top, dir).map_err(ServeError::from)?;
        let listen = file::listen(top).map_err(ServeError::from)?;
        let socket = top.text("socket").map_err(ServeError::from)?;
        Ok(Self {
            routes: rules.routes(&args, top)?,
            daemon: Daemon::chosen(args.daemon, socket.map(PathBuf::from)),
            listen: args.listen.or(listen),
            cache: Keep::from(args.cache),
            limits,
            tenants: rules
                .tenants
                .into_iter()
                .map(|(name, of)| (name, of.rules))
                .collect(),
        })
    }
}

// === impl Rules ===

impl Rules {
    fn read(top: &Section<'_>, dir: Option<&Path>) -> Result<(HostLimits, Self), Mistake> {
        let (mut host, mut limits) = (HostLimits::default(), RequestLimits::default());
        if let Some(section) = top.section("limits")? {
            host = HostLimits::read(&section)?;
            limits = limits.with(&section)?;
        }
        let mut tenants = BTreeMap::new();
        if let Some(sections) = top.section("tenants")? {
            for (name, section) in sections.named()? {
                let malformed = |error| sections.mistake(name, format!("tenants: {error}"));
                let tenant = name.parse::<Tenant>().map_err(malformed)?;
                tenants.insert(tenant, TenantTable::read(&section, limits)?);
            }
        }
        let rules = Self {
            dir: dir.unwrap_or(Path::new("")).to_path_buf(),
            limits,
            tenants,
        };
        Ok((host, rules))
    }

    fn routes(&self, args: &ServeArgs, top: &Section<'_>) -> Result<Vec<Route>, Failure> {
        let sections = top.sections("routes").map_err(ServeError::from)?;
        if sections.is_empty() {
            return Ok(vec![self.only_route(args, top)?]);
        }
        if args.guest.is_some() || args.tenant.is_some() {
            return Err(ServeError::GuestAndRoutes.into());
        }
        let routes = self.several(top, &sections);
        Ok(routes.map_err(ServeError::from)?)
    }

    /// The one of the command line, and of the file's top.
    fn only_route(&self, args: &ServeArgs, top: &Section<'_>) -> Result<Route, Failure> {
        let mut table = RouteTable::read_at_top(top).map_err(ServeError::from)?;
        if let Some(tenant) = &args.tenant {
            table.tenant = Some(tenant.parse()?);
        }
        let component = match &args.guest {
            Some(guest) => guest.clone(),
            None => self
                .dir
                .join(table.component.take().ok_or(ServeError::NoGuest)?),
        };
        let route = self.route(top, table, component, Ok);
        Ok(route.map_err(ServeError::from)?)
    }

    fn several(&self, top: &Section<'_>, sections: &[Section<'_>]) -> Result<Vec<Route>, Mistake> {
        if let Some(key) = ROUTE_AT_TOP.into_iter().find(|key| top.has(key)) {
            let what = format!("{key} and routes exclude each other");
            return Err(top.mistake(key, what).hint("say it in each of [[routes]]"));
        }
        if sections.len() > ROUTES_MAX {
            let what = format!(
                "there are {} routes; expected at most {ROUTES_MAX}",
                sections.len()
            );
            return Err(top.mistake("routes", what));
        }
        let mut routes: Vec<Route> = Vec::with_capacity(sections.len());
        for section in sections {
            let mut table = RouteTable::read(section)?;
            let component = self.dir.join(table.component.take().unwrap_or_default());
            let limited = |limits: RequestLimits| limits.with_routes(section);
            let route = self.route(section, table, component, limited)?;
            if let Some(first) = routes.iter().position(|one| one.pattern == route.pattern) {
                let what = format!(
                    "{} has the same host and path as routes.{first}",
                    section.place()
                );
                return Err(section.mistake("path", what));
            }
            routes.push(route);
        }
        Ok(routes)
    }

    fn route(
        &self,
        section: &Section<'_>,
        table: RouteTable,
        component: PathBuf,
        limited: impl FnOnce(RequestLimits) -> Result<RequestLimits, Mistake>,
    ) -> Result<Route, Mistake> {
        let tenant = table.tenant.unwrap_or_default();
        let rules = self.tenants.get(&tenant);
        let allowed = rules.and_then(|table| table.rules.models.as_ref());
        let foreign = |model: &&ModelRef| allowed.is_some_and(|all| !all.contains(&model.name));
        if let Some(model) = table.models.iter().find(foreign) {
            let what = format!(
                "{} has {model}, which tenants.{tenant}.models has not",
                section.name("models")
            );
            return Err(section.mistake("models", what));
        }
        Ok(Route {
            pattern: table.pattern,
            component,
            limits: limited(rules.map_or(self.limits, |table| table.limits))?,
            tenant,
            models: table.models,
            env: table.env,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(file: &str, flags: &[&str]) -> Result<Config, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        fs::write(&path, file).unwrap();
        let words = ["nn-host", "serve", "--config", path.to_str().unwrap()];
        let cli = Cli::try_parse_from(words.iter().chain(flags)).unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("serve was asked for")
        };
        Config::try_from(args)
    }

    fn refusal(file: &str) -> String {
        let failure = config(file, &[]).unwrap_err();
        let text = failure.to_string();
        text.split_once("site.toml, ")
            .map_or(text.clone(), |(_, what)| what.to_owned())
    }

    #[test]
    fn flags_go_before_the_file() {
        let file =
            "listen = \"127.0.0.1:1\"\ntenant = \"a\"\ncomponent = \"a.wasm\"\nsocket = \"/a\"";
        let flags = [
            "--listen",
            "127.0.0.1:2",
            "--tenant",
            "b",
            "--socket",
            "/b",
            "b.wasm",
        ];
        let config = config(file, &flags).unwrap();
        assert_eq!(config.listen.unwrap().port(), 2);
        assert_eq!(config.routes[0].tenant.as_str(), "b");
        assert_eq!(config.routes[0].component, Path::new("b.wasm"));
        assert!(matches!(config.daemon, Daemon::At(path) if path == Path::new("/b")));
    }

    #[test]
    fn a_component_is_looked_for_beside_the_file() {
        let config = config("component = \"a.wasm\"", &[]).unwrap();
        let component = &config.routes[0].component;
        assert!(component.is_absolute() && component.ends_with("a.wasm"));
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused_with_the_bounds() {
        let told = refusal("component = \"a\"\n[limits]\nrequests_max = 0");
        assert_eq!(told, "line 3: limits.requests_max is 0; expected 1 to 1024");
    }

    #[test]
    fn a_variable_that_cannot_be_is_refused() {
        let told = refusal("component = \"a\"\n[env]\n\"A=B\" = \"c\"");
        assert!(told.contains("line 3") && told.contains("A=B"), "{told}");
    }

    #[test]
    fn no_guest_at_all_is_wrong_usage() {
        let error = config("", &[]).unwrap_err();
        assert!(matches!(error, Failure::Serve(ServeError::NoGuest)));
    }

    #[test]
    fn a_routes_own_limits_go_before_its_tenants_and_those_before_all() {
        let file = "[limits]\nmemory_max = 1000000\ncpu_ms_max = 1\ncompute_timeout_ms = 1\n\
            [tenants.shop]\ncpu_ms_max = 2\ncompute_timeout_ms = 2\nrequests_max = 3\n\
            [[routes]]\ncomponent = \"a\"\ntenant = \"shop\"\nlimits = { compute_timeout_ms = 3 }\n\
            [[routes]]\npath = \"/b\"\ncomponent = \"b\"\n";
        let config = config(file, &[]).unwrap();
        let limits = config.routes[0].limits;
        assert_eq!(limits.memory_max, 1_000_000);
        assert_eq!(limits.cpu_max, Duration::from_millis(2));
        assert_eq!(limits.compute_timeout, Duration::from_millis(3));
        assert_eq!(config.routes[1].limits.cpu_max, Duration::from_millis(1));
        let shop = &config.tenants[&"shop".parse::<Tenant>().unwrap()];
        assert_eq!(shop.requests_max, Some(3));
    }

    #[test]
    fn what_contradicts_itself_is_told_by_its_line() {
        let route = "[[routes]]\ncomponent = \"a\"\n";
        let twice = refusal(&format!("{route}{route}path = \"/\"\n"));
        assert_eq!(
            twice,
            "line 5: routes.1 has the same host and path as routes.0"
        );
        let top = refusal(&format!("tenant = \"a\"\n{route}"));
        assert_eq!(top, "line 1: tenant and routes exclude each other");
        let file =
            "component = \"a\"\nmodels = [\"a\", \"b@2\"]\n[tenants.default]\nmodels = [\"a\"]";
        let foreign = refusal(file);
        assert_eq!(
            foreign,
            "line 2: models has b@2, which tenants.default.models has not"
        );
        let none = refusal("[[routes]]\npath = \"/a\"\n");
        assert_eq!(none, "line 1: there is no routes.0.component");
    }

    /// The installed file with every default in force: `#key = value` without its `#`.
    fn uncommented() -> String {
        let file = include_str!("../../../../dist/nn-host/example.toml");
        let lines = file.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => setting,
            Some(_) | None => line,
        });
        lines.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn the_defaults_that_the_installed_file_shows_are_the_defaults() {
        let shown = uncommented();
        let config = config(&shown, &[]).unwrap();
        assert_eq!(config.limits, HostLimits::default());
        assert_eq!(config.routes[0].limits, RequestLimits::default());
        assert_eq!(config.routes[0].tenant, Tenant::default());
        let keys = file::limit_keys();
        let missing = keys.filter(|key| !shown.contains(&format!("\n{key} = ")));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn a_guest_on_the_command_line_and_routes_exclude_each_other() {
        let error = config("[[routes]]\ncomponent = \"a\"\n", &["b.wasm"]).unwrap_err();
        assert!(matches!(error, Failure::Serve(ServeError::GuestAndRoutes)));
    }
}
