//! The page in front of the two example functions, which serve /classify and /similarity of the same host: one file, with
//! nothing from elsewhere, and a policy that lets it do no more than it does.

use http_guest::types::{IncomingRequest, ResponseOutparam};
use http_guest::{Answer, method, send, target};

const PAGE: &str = include_str!("page.html");

const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/policy.txt"));

struct Page;

wasip2::http::proxy::export!(Page);

// === impl Page ===

impl wasip2::exports::http::incoming_handler::Guest for Page {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (path, _query) = target(&request);
        send(out, &answer(&method(&request), &path));
    }
}

fn answer(method: &str, path: &str) -> Answer {
    match (method, path) {
        ("GET" | "HEAD", "/") => Answer::new(200, PAGE)
            .of_kind("text/html; charset=utf-8")
            .header("content-security-policy", POLICY)
            .header("referrer-policy", "no-referrer")
            .header("cross-origin-opener-policy", "same-origin")
            .header("x-content-type-options", "nosniff")
            .header("cache-control", "no-cache"),
        (_, "/") => {
            Answer::new(405, "the page can be got, and no more").header("allow", "GET, HEAD")
        }
        _ => Answer::new(404, "there are /, /classify and /similarity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_a_style_and_a_script_by_their_digests() {
        let answer = answer("GET", "/");
        let policy = answer
            .headers
            .iter()
            .find(|(name, _)| *name == "content-security-policy");
        let (_, policy) = policy.unwrap();
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere_and_has_no_style_that_the_policy_forbids() {
        let foreign = ["http://", "https://", "//", " style=", " onclick="];
        let page: String = PAGE
            .lines()
            .filter(|line| !line.trim().starts_with("//"))
            .collect();
        let found: Vec<_> = foreign
            .iter()
            .filter(|what| page.contains(**what))
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn there_is_one_page_to_get() {
        let statuses = [
            ("GET", "/"),
            ("HEAD", "/"),
            ("POST", "/"),
            ("GET", "/favicon.ico"),
        ];
        let statuses = statuses.map(|(method, path)| answer(method, path).status);
        assert_eq!(statuses, [200, 200, 405, 404]);
    }
}
