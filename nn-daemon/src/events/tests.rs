//! Events told, kept, read again and lost.

use super::*;

fn told(text: &str) -> Told {
    Told::new(Kind::State).of("foo@1").because(text)
}

fn details(events: &[Arc<Event>]) -> Vec<&str> {
    events.iter().map(|event| event.detail.as_str()).collect()
}

#[tokio::test]
async fn what_was_told_is_there_after_a_restart_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (events, journal) = Events::open(dir.path());
    let writing = tokio::spawn(journal.run());
    let peer = Peer {
        pid: 7,
        ..Peer::of_uid(1000)
    };
    events.tell(Told::new(Kind::Promoted).of("foo@2").by(peer));
    events.tell(told("ready → draining"));
    events.flush().await;
    drop(events);
    writing.await.unwrap();

    let (again, _journal) = Events::open(dir.path());
    let (before, _) = again.after(0);

    let [promoted, drained] = before.as_slice() else {
        panic!("{before:?}");
    };
    assert_eq!((promoted.kind, promoted.uid), (Kind::Promoted, Some(1000)));
    assert_eq!(drained.detail, "ready → draining");
    again.tell(told("later"));
    let (later, _) = again.after(drained.number);
    assert_eq!(later[0].number, drained.number + 1);
}

#[tokio::test]
async fn who_follows_hears_what_comes_after_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let (events, _journal) = Events::open(dir.path());
    events.tell(told("one"));
    let (before, mut news) = events.after(0);
    events.tell(told("two"));
    assert_eq!(details(&before), ["one"]);
    assert_eq!(news.recv().await.unwrap().detail, "two");
}

#[tokio::test]
async fn the_disk_holds_no_more_than_two_files_of_a_size() {
    let dir = tempfile::tempdir().unwrap();
    let (events, journal) = Events::open(dir.path());
    let writing = tokio::spawn(journal.run());
    for round in 0..20 {
        for number in 0..500 {
            events.tell(told(&format!("{round} {number} {}", "x".repeat(480))));
        }
        events.flush().await;
    }
    drop(events);
    writing.await.unwrap();

    let sizes: Vec<u64> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .collect();
    assert!(
        sizes.len() == 2 && sizes.iter().all(|bytes| *bytes < 1_600_000),
        "{sizes:?}"
    );
    let (again, _journal) = Events::open(dir.path());
    let (known, _) = again.after(0);
    assert_eq!(known.last().unwrap().number, 10_000);
    let number_of_first = 10_001 - u64::try_from(known.len()).unwrap();
    assert!(known.len() > 100 && known[0].number == number_of_first);
}

#[tokio::test]
async fn a_disk_that_is_too_slow_loses_events_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let (events, journal) = Events::open(dir.path());
    for number in 0..UNWRITTEN_MAX + 5 {
        events.tell(told(&number.to_string()));
    }
    let writing = tokio::spawn(journal.run());
    events.flush().await;
    events.tell(told("after"));
    let (all, _) = events.after(0);
    let lost: Vec<&Arc<Event>> = all
        .iter()
        .filter(|event| event.kind == Kind::Lost)
        .collect();
    assert_eq!(lost.len(), 1);
    assert!(lost[0].detail.starts_with("5 events"), "{}", lost[0].detail);
    drop(events);
    writing.await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_costs_its_damaged_lines() {
    let dir = tempfile::tempdir().unwrap();
    let good = r#"{"number":5,"unix_us":1,"kind":"state","model":"foo@1"}"#;
    std::fs::write(
        dir.path().join("events.jsonl"),
        format!("garbage\n{good}\n{{\"numb"),
    )
    .unwrap();
    let (events, _journal) = Events::open(dir.path());
    let (known, _) = events.after(0);
    assert_eq!(known.len(), 1);
    events.tell(told("next"));
    assert_eq!(events.after(5).0[0].number, 6);
}

#[test]
fn a_detail_is_one_line_of_bounded_length() {
    let Told(event) = told(&format!("a\nb\u{1b}[31m{}", "x".repeat(10_000)));
    assert!(event.detail.starts_with("a b [31m") && event.detail.chars().count() == DETAIL_MAX);
}

#[test]
fn a_kind_has_one_name_on_disk_and_on_the_wire() {
    for kind in [Kind::RolledBack, Kind::State, Kind::Lost] {
        let on_disk = serde_json::to_string(&kind).unwrap();
        assert_eq!(on_disk, format!("{:?}", kind.name()));
    }
}

#[tokio::test]
async fn what_comes_after_a_line_that_was_cut_off_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    std::fs::write(&path, "{\"number\":7,\"unix_us\":1,\"kind\":\"sta").unwrap();
    let (events, journal) = Events::open(dir.path());
    let writing = tokio::spawn(journal.run());
    events.tell(told("one"));
    events.tell(told("two"));
    events.flush().await;
    drop(events);
    writing.await.unwrap();

    let (again, _journal) = Events::open(dir.path());
    assert_eq!(details(&again.after(0).0), ["one", "two"]);
}
