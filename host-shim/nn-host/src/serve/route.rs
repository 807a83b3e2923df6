//! Which requests a route is for: those to a host, below a path. Of several that fit, one that names the host goes
//! before one that names none, and then the one with the longest path.

use http::uri::Authority;

/// A host, or any, and a path with all that lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// In lower case.
    host: Option<String>,
    /// Begins with a slash and ends with none; empty for all paths.
    path: String,
}

/// What the patterns lead to.
#[derive(Debug)]
pub(super) struct Table<T>(Vec<(Pattern, T)>);

const HOST: &str = "a name or an address without a port, as shop.example";
const PATH: &str = "a path that begins with a slash, as /shop";

// === impl Pattern ===

impl Default for Pattern {
    /// Every request.
    fn default() -> Self {
        Self {
            host: None,
            path: String::new(),
        }
    }
}

impl Pattern {
    /// From the texts of a file; what is wrong is told by its key and what was expected.
    pub(crate) fn new(
        host: Option<&str>,
        path: &str,
    ) -> Result<Self, (&'static str, &'static str)> {
        let is_host = |host: &str| {
            let authority = host.parse::<Authority>().ok();
            authority.is_some_and(|authority| authority.host() == host && !host.is_empty())
        };
        if host.is_some_and(|host| !is_host(host)) {
            return Err(("host", HOST));
        }
        let sober = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
        if !path.starts_with('/') || !path.chars().all(sober) {
            return Err(("path", PATH));
        }
        Ok(Self {
            host: host.map(str::to_ascii_lowercase),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    fn fits(&self, host: &str, path: &str) -> bool {
        let below = path.strip_prefix(&self.path);
        let own = self.host.as_deref();
        own.is_none_or(|own| own.eq_ignore_ascii_case(host))
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The higher goes first.
    fn rank(&self) -> (bool, usize) {
        (self.host.is_some(), self.path.len())
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}/", self.host.as_deref().unwrap_or("*"), self.path)
    }
}

// === impl Table ===

impl<T> Table<T> {
    pub(super) fn new(mut routes: Vec<(Pattern, T)>) -> Self {
        routes.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.rank()));
        Self(routes)
    }

    /// What a request to that host and path leads to.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<&T> {
        // "*", of OPTIONS, lies below nothing but the whole.
        let path = if path.starts_with('/') { path } else { "" };
        let mut routes = self.0.iter();
        routes.find_map(|(pattern, to)| pattern.fits(host, path).then_some(to))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, to)| to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(of: &[(Option<&str>, &str)]) -> Table<usize> {
        let routes = of.iter().enumerate();
        let routes =
            routes.map(|(index, (host, path))| (Pattern::new(*host, path).unwrap(), index));
        Table::new(routes.collect())
    }

    #[test]
    fn the_longest_path_wins_wherever_it_stands() {
        let table = table(&[(None, "/"), (None, "/a"), (None, "/a/b")]);
        let found = ["/", "/x", "/a", "/a/", "/a/c", "/a/b", "/a/b/c", "/ab"];
        let found = found.map(|path| table.find("h", path).copied());
        assert_eq!(found, [0, 0, 1, 1, 1, 2, 2, 0].map(Some));
    }

    #[test]
    fn a_route_that_names_the_host_goes_before_a_longer_path() {
        let table = table(&[(None, "/a/b"), (Some("Shop.example"), "/")]);
        assert_eq!(table.find("sHOP.example", "/a/b"), Some(&1));
        assert_eq!(table.find("other.example", "/a/b"), Some(&0));
        assert_eq!(table.find("other.example", "/a"), None);
    }

    #[test]
    fn a_slash_at_the_end_makes_no_difference_and_an_asterisk_is_for_the_whole() {
        let table = table(&[(None, "/a/"), (Some("h"), "/")]);
        assert_eq!(table.find("x", "/a"), Some(&0));
        assert_eq!(table.find("h", "*"), Some(&1));
        assert_eq!(table.find("x", "*"), None);
    }

    #[test]
    fn what_is_no_host_and_no_path_is_refused_by_its_key() {
        let hosts = ["", "a:80", "a/b", "me@a"].map(|host| Pattern::new(Some(host), "/"));
        assert!(
            hosts
                .iter()
                .all(|refused| matches!(refused, Err(("host", _))))
        );
        let paths = ["", "a", "/a?b", "/a b", "/ä"].map(|path| Pattern::new(None, path));
        assert!(
            paths
                .iter()
                .all(|refused| matches!(refused, Err(("path", _))))
        );
    }
}
