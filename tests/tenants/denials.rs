//! A client with a session of its own that tries what is another tenant's: it is not there, and operators hear of it.

use nn_proto::v1;
use nn_tensor::{Code, Reason};
use nn_tests::{Daemon, nnctl, require_backends};
use serde_json::json;

use super::{Raw, Sleeper, daemon, events, fault, geteuid, is_not_found, until};

/// Two tenants of the same user: not even that tells them apart for each other.
fn two() -> Daemon {
    daemon(&[("ours", ""), ("theirs", "models = [\"sleep\"]")])
}

/// The last denial: tenant, model and why.
fn last_denial(daemon: &Daemon) -> (String, String, String) {
    let denied = events(daemon, "denied");
    let last = denied.last().unwrap();
    assert_eq!(last["uid"], json!(geteuid().as_raw()));
    let text = |key: &str| last[key].as_str().unwrap().to_owned();
    (text("tenant"), text("model"), text("detail"))
}

#[test]
fn a_model_that_is_not_for_a_tenant_is_not_there_for_it_in_the_words_for_one_that_is_not() {
    require_backends!();
    let daemon = two();
    let theirs = Raw::of(&daemon, "theirs").unwrap();
    assert!(theirs.resolve("sleep").is_ok());
    let unknown = fault(&theirs.resolve("nothing").unwrap_err());
    assert!(events(&daemon, "denied").is_empty(), "it is nobody's");
    for name in ["echo", "echo@1"] {
        let refused = fault(&theirs.resolve(name).unwrap_err());
        assert_eq!(refused.code, Code::NotFound);
        assert_eq!(refused.message.replace(name, "nothing"), unknown.message);
        assert_eq!(refused.hint, unknown.hint);
        let (tenant, model, why) = last_denial(&daemon);
        assert_eq!((tenant.as_str(), model.as_str()), ("theirs", "echo@1"));
        assert!(why.contains("not for this tenant"), "{why}");
    }
    assert!(Raw::of(&daemon, "ours").unwrap().resolve("echo").is_ok());
}

#[test]
fn a_session_for_a_tenant_that_is_not_ones_own_is_denied_and_told() {
    require_backends!();
    let daemon = two();
    let refused = fault(&Raw::of(&daemon, "nobodys").err().unwrap());
    assert_eq!(refused.reason, Some(Reason::TenantDenied));
    let (tenant, _, _) = last_denial(&daemon);
    assert_eq!(tenant, "nobodys");
}

#[test]
fn guessed_graphs_arenas_and_sessions_are_not_there() {
    require_backends!();
    let daemon = two();
    let mut ours = Sleeper::of(&daemon, "ours");
    let mut theirs = Sleeper::of(&daemon, "theirs");
    let (graph, arena) = (ours.graph.resolved.graph_id, ours.graph.resolved.arena_id);

    let mut of_ours = theirs.compute(0);
    of_ours.graph_id = graph;
    theirs.send(1, of_ours);
    let refused = theirs.answer();
    assert!(is_not_found(&refused), "{refused:?}");
    let (tenant, _, why) = last_denial(&daemon);
    assert_eq!(tenant, "theirs");
    assert!(why.contains(&format!("graph {graph} ")), "{why}");

    let refused = fault(&theirs.raw.grow(arena, 1).unwrap_err());
    assert_eq!(refused.reason, Some(Reason::ArenaUnknown));
    assert_eq!(refused.code, Code::NotFound);
    let (_, _, why) = last_denial(&daemon);
    assert!(why.contains(&format!("arena {arena} ")), "{why}");

    let mut stolen = Raw::of(&daemon, "theirs").unwrap();
    stolen.id = v1::Id128 { high: 7, low: 7 };
    let refused = fault(&stolen.resolve("sleep").unwrap_err());
    assert_eq!(refused.reason, Some(Reason::SessionUnknown));
    let (_, _, why) = last_denial(&daemon);
    assert!(why.contains("no session of this user"), "{why}");

    assert!(ours.sleep(1, 0).is_ok(), "nobody has touched what is ours");
    assert!(theirs.sleep(2, 0).is_ok(), "who guesses keeps its own");
}

#[test]
fn a_slot_in_anothers_arena_is_refused_whoever_its_user_is() {
    require_backends!();
    let daemon = two();
    let mut ours = Sleeper::of(&daemon, "ours");
    let mut theirs = Sleeper::of(&daemon, "theirs");
    let mut crossed = theirs.compute(0);
    let arena = ours.graph.resolved.arena_id;
    crossed.inputs[0].slot.as_mut().unwrap().arena_id = arena;
    theirs.send(1, crossed);
    let refused = theirs.answer().unwrap_err();
    assert_eq!(refused.code, Code::InvalidArgument);
    let (tenant, _, why) = last_denial(&daemon);
    assert_eq!(tenant, "theirs");
    assert!(why.contains(&format!("arena {arena} ")), "{why}");
    // Of the same tenant, in another session, it is no different.
    let mut again = Sleeper::of(&daemon, "ours");
    let mut crossed = again.compute(0);
    crossed.inputs[0].slot.as_mut().unwrap().arena_id = arena;
    again.send(1, crossed);
    assert!(again.answer().is_err());
    assert!(ours.sleep(1, 0).is_ok());
}

#[test]
fn who_is_late_with_what_was_its_own_is_no_denial() {
    require_backends!();
    let daemon = two();
    let mut ours = Sleeper::of(&daemon, "ours");
    let late = ours.compute(0);
    nnctl(&daemon, &["unload", "sleep"]).success();
    ours.send(1, late);
    assert!(is_not_found(&ours.answer()));
    assert!(events(&daemon, "denied").is_empty());
}

#[test]
fn a_prober_fills_no_list_of_events() {
    require_backends!();
    let daemon = two();
    let theirs = Raw::of(&daemon, "theirs").unwrap();
    let before = events(&daemon, "state").len();
    for arena in 0..500 {
        assert!(theirs.grow(1_000_000 + arena, 1).is_err());
    }
    let told = events(&daemon, "denied").len();
    assert!((1..=10).contains(&told), "{told}");
    assert!(events(&daemon, "state").len() >= before);
    // What is not told one by one is at least not lost for operators that follow: others are told as before.
    nnctl(&daemon, &["unload", "echo"]).success();
    until("the unload is told", || {
        events(&daemon, "unloaded").len() == 1
    });
}
