//! Several handles on one file stand for several processes: nothing is shared between them but the file.

use std::collections::HashSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Certainty, Change, Committed, EnqueueRequest, Expect, Finished,
    Hint, JobFilter, JobState, Listener, Register,
};
use gristmill_testkit::block_on;

use crate::fixture::{File, complete, count, enqueue, fetch, name, register};

/// Jobs each of the handles that write at once enqueues.
const EACH: usize = 300;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn handles_that_make_the_file_at_once_make_it_once() {
    for _ in 0..10 {
        let file = File::new();
        let options = file.options().busy_timeout(PATIENCE);
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..6).map(|_| scope.spawn(|| options.clone().open().map(drop))).collect();
            for handle in opened {
                handle.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn jobs_of_one_handle_are_run_by_another() {
    let file = File::new();
    let (producer, consumer) = (file.open(), file.open());
    let worker = register(&consumer);
    enqueue(&producer, file.jobs(100)).unwrap();

    let done = complete(&consumer, fetch(&consumer, worker, 1, 100));

    assert_eq!(done, [Finished::Accepted { state: JobState::Completed }; 100]);
    assert_eq!(count(&producer, JobFilter::new().state(JobState::Completed)), 100);
}

#[test]
fn handles_that_write_at_once_run_each_job_once() {
    let file = Arc::new(File::new());
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let handles: Vec<_> = (0..3)
        .map(|_| {
            let (file, seen) = (Arc::clone(&file), Arc::clone(&seen));
            std::thread::spawn(move || {
                let backend = file.open();
                let worker = register(&backend);
                for _ in 0..EACH / 10 {
                    enqueue(&backend, file.jobs(10)).unwrap();
                }
                for claim in 1.. {
                    let jobs = fetch(&backend, worker, claim, 7);
                    if jobs.is_empty() {
                        return;
                    }
                    for job in &jobs {
                        assert!(seen.lock().unwrap().insert(job.lease.job), "a job was leased twice");
                    }
                    for finished in complete(&backend, jobs) {
                        assert_eq!(finished, Finished::Accepted { state: JobState::Completed });
                    }
                }
            })
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
    let backend = file.open();
    assert_eq!(count(&backend, JobFilter::new()), 3 * EACH as u64);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), 3 * EACH as u64);
}

/// RR1, RR14.
#[test]
fn handles_that_commit_the_same_registers_decide_each_once() {
    const ROUNDS: usize = 50;
    const KEYS: usize = 4;
    let file = Arc::new(File::new());
    drop(file.open());
    // How often each of the handles wrote. A writer that is stale goes on with what it was shown.
    let handles: Vec<_> = (0..3)
        .map(|_| {
            let file = Arc::clone(&file);
            std::thread::spawn(move || {
                let backend = file.options().busy_timeout(PATIENCE).open().unwrap();
                let mut read = [Expect::Absent; KEYS];
                let mut written = 0;
                while written < ROUNDS * KEYS {
                    let changes: Vec<Change> = (0..KEYS)
                        .map(|key| {
                            let put = Register::new(r#"{"v":1}"#);
                            Change::new(name("x.shared"), key.to_string(), read[key], put)
                                .with_jobs(file.jobs(1))
                        })
                        .collect();
                    let puts: Vec<_> = changes.iter().map(|change| change.put.stamp).collect();
                    let answers = block_on(backend.commit(Call::new(), changes)).unwrap();
                    for (key, answer) in answers.into_iter().enumerate() {
                        read[key] = Expect::Stamp(match answer {
                            Committed::Done(_) => {
                                written += 1;
                                puts[key]
                            }
                            Committed::Stale(Some(other)) => other.stamp,
                            other => panic!("{other:?}"),
                        });
                    }
                }
                written as u64
            })
        })
        .collect();
    let written: u64 = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
    assert_eq!(count(&file.open(), JobFilter::new()), written, "one job a change that was written");
}

#[test]
fn a_lease_of_one_handle_is_finished_by_another() {
    let file = File::new();
    let backend = file.open();
    let worker = register(&backend);
    enqueue(&backend, file.jobs(3)).unwrap();
    let jobs = fetch(&backend, worker, 1, 3);
    drop(backend);

    let done = complete(&file.open(), jobs);

    assert_eq!(done, [Finished::Accepted { state: JobState::Completed }; 3]);
}

struct Tell(Mutex<Sender<Hint>>);

impl Listener for Tell {
    fn hint(&self, hint: &Hint) {
        // The test may have ended.
        let _ = self.0.lock().expect("no listener panics").send(hint.clone());
    }
}

#[test]
fn another_handles_jobs_are_hinted_at() {
    let file = File::new();
    let (producer, consumer) = (file.open(), file.open());
    let (told, hints) = channel();
    let _subscription = consumer.subscribe(Arc::new(Tell(Mutex::new(told))));

    // The first look of the consumer may come after a first job: then the second one is news.
    for _ in 0..2 {
        enqueue(&producer, file.jobs(1)).unwrap();
        if let Ok(hint) = hints.recv_timeout(PATIENCE / 20) {
            assert_eq!(hint, Hint::Available(crate::fixture::name("line")));
            return;
        }
    }
    panic!("no hint came");
}

#[test]
fn a_file_that_others_hold_is_busy_and_nothing_is_stored() {
    let file = File::new();
    let backend = file.open();
    let other = file.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let error = enqueue(&backend, file.jobs(1)).unwrap_err();

    assert_eq!((error.kind(), error.certainty()), (BackendErrorKind::Busy, Certainty::NotStored));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(count(&backend, JobFilter::new()), 0);
    assert!(enqueue(&backend, file.jobs(1)).is_ok());
}

#[test]
fn a_call_whose_deadline_passed_before_it_began_does_nothing() {
    let file = File::new();
    let backend = file.open();
    let other = file.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let call = Call::new().within(Duration::from_millis(1));
    let error = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| block_on(backend.enqueue(call, EnqueueRequest::new(file.jobs(1)))).unwrap_err());
        // Longer than the deadline, shorter than the busy timeout.
        std::thread::park_timeout(Duration::from_millis(100));
        other.execute_batch("ROLLBACK").unwrap();
        waiting.join().unwrap()
    });
    // The scheduler may have let the busy timeout pass.
    assert!(matches!(error.kind(), BackendErrorKind::TimedOut | BackendErrorKind::Busy), "{error:?}");
    assert_eq!(count(&backend, JobFilter::new()), 0);
}

/// Calls that wait together are one transaction; one that breaks must not take its neighbours down.
#[test]
fn one_bad_call_of_a_group_leaves_its_neighbours_alone() {
    let file = File::new();
    let backend = file.options().max_bytes(1024 * 1024).busy_timeout(PATIENCE).open().unwrap();
    let other = file.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut large = file.job();
    large.spec.args = Args::encode(&"x".repeat(1_000_000)).unwrap();
    let calls = [file.jobs(1), vec![large], file.jobs(1), file.jobs(1)];

    let outcomes = std::thread::scope(|scope| {
        let waiting: Vec<_> = calls
            .into_iter()
            .map(|jobs| {
                let backend = &backend;
                scope.spawn(move || enqueue(backend, jobs).map_err(|error| error.kind()))
            })
            .collect();
        std::thread::park_timeout(Duration::from_millis(100));
        other.execute_batch("ROLLBACK").unwrap();
        waiting.into_iter().map(|call| call.join().unwrap().err()).collect::<Vec<_>>()
    });

    assert_eq!(outcomes, [None, Some(BackendErrorKind::Full), None, None]);
    assert_eq!(count(&backend, JobFilter::new()), 3);
}
