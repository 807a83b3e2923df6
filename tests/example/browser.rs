//! The page as a person meets it: a picture dropped and chosen, sentences compared, errors shown, all of it in Chromium.

use std::path::PathBuf;

use super::{Browser, daemon, require_backends, root, site};

fn coffee() -> PathBuf {
    root()
        .join("guests/assets/coffee.jpg")
        .canonicalize()
        .unwrap()
}

/// Where what the page looks like is left for people: docs/example.png is one of them.
fn picture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

const FIRST_LABEL: &str = "document.querySelector('#picture-result li span')?.textContent";
const FIRST_TEXT: &str = "document.querySelector('#texts-result li span')?.textContent";
const WRONG: &str = "document.querySelector('#picture-result [role=alert]')?.textContent";

/// Bars move to their length; a picture of the page is taken when they are there.
const STILL: &str = "document.getAnimations().length === 0";

/// Whether nothing is wider than the page.
const FITS: &str = "document.documentElement.scrollWidth <= innerWidth";

#[test]
fn a_picture_is_dropped_and_sentences_are_compared() {
    require_backends!();
    let Some(browser) = Browser::open() else {
        return;
    };
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    browser.resize(1000, 800);
    browser.prefer("prefers-color-scheme", "light");
    browser.go(&format!("http://{}/", host.address()));

    browser.drop_file("#drop", &coffee());
    browser.wait(&format!("{FIRST_LABEL} === 'espresso'"));
    browser.click("#form button");
    browser.wait(&format!("{FIRST_TEXT} === 'Someone is having a meal.'"));
    browser.wait("document.querySelector('#preview').naturalWidth > 0");
    browser.wait(
        "/took \\d+ ms/.test(document.querySelector('#picture-result [role=status]').textContent)",
    );
    browser.wait(STILL);
    browser.wait(FITS);
    browser.screenshot(&picture("example-page.png"));

    browser.prefer("prefers-color-scheme", "dark");
    browser.resize(390, 1500);
    browser.wait(FITS);
    browser.wait(STILL);
    browser.screenshot(&picture("example-page-small-dark.png"));
}

#[test]
fn what_goes_wrong_is_shown_with_a_hint_and_can_be_tried_again() {
    require_backends!();
    let Some(browser) = Browser::open() else {
        return;
    };
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    browser.resize(1000, 800);
    browser.go(&format!("http://{}/", host.address()));

    let none = root()
        .join("guests/example/site.toml")
        .canonicalize()
        .unwrap();
    browser.keys("#file", none.to_str().unwrap());
    browser.wait(&format!("{WRONG}?.includes('neither a JPEG nor a PNG')"));
    browser.wait(&format!("{WRONG}?.includes('Hint: POST')"));

    host.reconfigure(
        "[tenants.pictures]",
        "[tenants.pictures]\ntensor_bytes_max = 1000",
    );
    host.wait_log("read again");
    browser.keys("#file", coffee().to_str().unwrap());
    browser.wait(&format!("{WRONG}?.includes('Try again in 1 s')"));
    browser.wait(STILL);
    browser.screenshot(&picture("example-page-busy.png"));

    host.reconfigure(
        "\ntensor_bytes_max = 1000",
        "\ntensor_bytes_max = 100000000",
    );
    nn_tests::wait_until(
        "it is read once more",
        std::time::Duration::from_secs(20),
        || host.times_logged("read again") == 2,
    );
    browser.click("#picture-result button");
    browser.wait(&format!("{FIRST_LABEL} === 'espresso'"));
}

#[test]
fn the_page_is_usable_by_keyboard_and_for_those_who_do_not_see_it() {
    require_backends!();
    let Some(browser) = Browser::open() else {
        return;
    };
    let daemon = daemon();
    let host = site(&daemon).start_routes();
    browser.prefer("prefers-reduced-motion", "reduce");
    browser.go(&format!("http://{}/", host.address()));

    // Every control has a name, and is reached by the tabulator.
    browser.wait(
        "[...document.querySelectorAll('input, textarea')].every((one) => one.labels.length === 1)",
    );
    browser.wait("[...document.querySelectorAll('input, textarea, button')].every((one) => one.tabIndex === 0)");
    browser.wait("document.documentElement.lang === 'en' && document.title.length > 0");
    browser.keys("#query", "\u{e007}");
    browser.wait(&format!("{FIRST_TEXT} === 'Someone is having a meal.'"));
    browser
        .wait("getComputedStyle(document.querySelector('.track div')).transitionDuration === '0s'");
}
