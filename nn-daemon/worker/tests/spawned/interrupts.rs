//! Jobs that are not to begin, or to end before they are done; and whether a worker is there.

use super::*;

#[test]
fn late_and_interrupted_jobs_do_not_begin() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, SLEEP);
    worker.attach(Role::Output, OUT, 0, PAGE);
    scalar(&worker, 1, "ms", 100, LONG_US);
    let sleep = || vec![tensor("ms", I64, &[], 0, 8)];
    worker.run(2, sleep(), 1);
    // Before it has come.
    worker.interrupt(3);
    worker.run(3, sleep(), LONG_US);
    // In which order they are answered depends on what came before the first job began.
    let mut answers: Vec<_> = (0..3).map(|_| worker.any_done()).collect();
    answers.sort_by_key(|(job, _)| *job);
    let codes = answers
        .into_iter()
        .map(|(_, result)| result.err().map(code));
    let late = Some(Code::Timeout);
    assert_eq!(codes.collect::<Vec<_>>(), [None, late, late]);
}

#[test]
fn a_job_is_stopped_and_the_next_one_runs() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, SLEEP);
    worker.attach(Role::Output, OUT, 0, PAGE);
    scalar(&worker, 1, "ms", i64::MAX, LONG_US);
    worker.interrupt(1);
    let failure = worker.done(1).unwrap_err();
    assert_eq!(code(failure.clone()), Code::Timeout);
    let input = worker.attach(Role::Input, IN, 1, PAGE);
    write(&input, 0, &0_i64.to_le_bytes());
    let mut short = tensor("ms", I64, &[], 0, 8);
    short.slot.segment = 1;
    worker.run(2, vec![short.clone()], LONG_US);
    assert!(worker.done(2).is_ok());
    // Nothing is left of it: the next one of that number would be another's.
    worker.interrupt(1);
    worker.interrupt(2);
    worker.run(3, vec![short], LONG_US);
    assert!(worker.done(3).is_ok());
}

#[test]
fn a_probe_is_answered() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    worker.tell(&ToWorker::Probe, &[]);
    assert_eq!(worker.hear(), FromWorker::Alive);
}
