//! Text that names paths of an installation, for one that lies elsewhere than below /usr. Pure.

use std::path::Path;

use super::layout::Layout;

/// What files in dist/ are written for, and what to call it elsewhere.
fn moved(layout: &Layout) -> [(&'static str, String); 6] {
    let absolute = |path: &Path| format!("/{}", path.display());
    let etc = absolute(layout.etc());
    [
        ("/usr/bin/nn", format!("{}/nn", absolute(&layout.bin()))),
        ("/usr/lib/nn-daemon", absolute(&layout.private())),
        (
            "/usr/share/nn-daemon",
            format!("{}/nn-daemon", absolute(&layout.share())),
        ),
        (
            "/usr/share/doc/nn-daemon",
            format!("{}/doc/nn-daemon", absolute(&layout.share())),
        ),
        ("/etc/nn-daemon", format!("{etc}/nn-daemon")),
        ("/etc/nn-host", format!("{etc}/nn-host")),
    ]
}

/// The text with the paths of this installation.
pub(crate) fn at_home(text: &str, layout: &Layout) -> String {
    let mut rest = text;
    let mut result = String::with_capacity(text.len());
    let moved = moved(layout);
    // One pass: what was put in is not looked at again.
    while let Some(at) = rest.find('/') {
        let (before, here) = rest.split_at(at);
        result.push_str(before);
        let begins = before
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric());
        let found = moved
            .iter()
            .find(|(from, _)| begins && here.starts_with(from));
        let taken = match found {
            Some((from, to)) => {
                result.push_str(to);
                from.len()
            }
            None => {
                result.push('/');
                1
            }
        };
        rest = &here[taken..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "ExecStart=/usr/bin/nn-host serve --config /etc/nn-host/%i.toml\n\
                        ExecReload=/bin/kill -HUP $MAINPID\nReadWritePaths=-/sys/fs/cgroup\n";

    fn at(prefix: &str) -> String {
        at_home(UNIT, &Layout::new(Path::new(prefix)).unwrap())
    }

    #[test]
    fn below_usr_nothing_changes() {
        assert_eq!(at("/usr"), UNIT);
    }

    #[test]
    fn elsewhere_our_paths_change_and_those_of_others_do_not() {
        let wanted = "ExecStart=/opt/nn/bin/nn-host serve --config /opt/nn/etc/nn-host/%i.toml\n\
                      ExecReload=/bin/kill -HUP $MAINPID\nReadWritePaths=-/sys/fs/cgroup\n";
        assert_eq!(at("/opt/nn"), wanted);
    }

    #[test]
    fn a_prefix_that_holds_the_old_one_is_put_in_once() {
        assert!(at("/home/a/usr").contains("=/home/a/usr/bin/nn-host "));
    }
}
