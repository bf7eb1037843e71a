//! What can be seen of the store must be what the model says.

use std::collections::BTreeMap;
use std::time::Duration;

use gristmill_core::{JobEvent, JobId, JobRecord, JobState, Name, RunFailure, RunRecord};

use super::shape::QUEUES;
use super::state::{Due, Job, Model, Why};
use crate::Fixture;

/// Compares every job that was ever named, and the numbers of the store. Adopts what the backend chose by
/// chance.
pub(super) fn compare(t: &Fixture, model: &mut Model, ids: &[JobId], stale_finishes: u64) {
    for (id, record) in ids.iter().zip(t.find_all(ids)) {
        match (model.jobs.get_mut(id), record) {
            (None, None) => {}
            (Some(job), Some(record)) => compare_job(job, &record),
            (None, Some(record)) => panic!("job {id} is there as {} and must not be", record.state),
            (Some(job), None) => panic!("job {id} is gone and must be {}", job.state),
        }
    }
    compare_stats(t, model, stale_finishes);
}

/// Compares the histories of all jobs that were ever named: runs, events, checkpoints.
pub(super) fn compare_histories(t: &Fixture, model: &Model, ids: &[JobId]) {
    for id in ids {
        let (runs, events) = (t.runs(*id), t.events(*id));
        let events: Vec<_> = events.iter().map(|it| (it.at, it.what.as_str(), it.actor.as_deref())).collect();
        let checkpoint = t.must(|backend, call| backend.checkpoint(call, *id));
        let Some(job) = model.jobs.get(id) else {
            assert!(runs.is_empty() && events.is_empty(), "job {id} is gone and has a history");
            assert_eq!(checkpoint, None, "job {id} is gone and has a checkpoint");
            continue;
        };
        let is_there = |run: u32| RunRecord::is_kept(run, job.run) || runs.iter().any(|it| it.run == run);
        let expected: Vec<_> =
            job.runs.iter().map(|run| run.record.clone()).filter(|it| is_there(it.run)).collect();
        assert_eq!(runs, expected, "the runs of job {id}");
        let newest = job.events.len().saturating_sub(JobEvent::KEPT);
        assert_eq!(events, job.events[newest..], "the events of job {id}");
        assert_eq!(checkpoint, job.checkpoint, "the checkpoint of job {id}");
    }
}

fn compare_job(job: &mut Job, record: &JobRecord) {
    let id = job.id;
    assert_eq!(record.state, job.state, "the state of job {id}");
    let counters = (record.attempt, record.run, record.crashes);
    assert_eq!(counters, (job.attempt, job.run, job.crashes), "attempt, run and crashes of job {id}");
    match job.due {
        Due::At(at) => assert_eq!(record.run_at, at, "the due time of {} job {id}", job.state),
        Due::Between(first, last) => {
            assert!((first..=last).contains(&record.run_at), "job {id} is due at {}", record.run_at);
            job.due = Due::At(record.run_at);
        }
    }
    assert_eq!(record.created_at, job.created_at, "when job {id} was stored");
    assert_eq!(record.finished_at, job.finished_at, "when job {id} ended");
    assert_eq!(record.spec, job.spec, "the spec of job {id}");
    let latest = job.runs.last().map(|run| (run.record.worker, run.record.fetched_at));
    let latest = job.held.as_ref().map(|held| (held.worker, held.fetched_at)).or(latest);
    assert_eq!(record.worker.zip(record.attempted_at), latest, "worker and start of job {id}");
    let mut errors: Vec<_> = job.runs.iter().filter_map(|run| RunFailure::of(&run.record)).collect();
    errors.drain(..errors.len().saturating_sub(JobRecord::MAX_ERRORS));
    assert_eq!(record.errors, errors, "the errors of job {id}");
    if let Why::Said(reason) = &job.reason {
        assert_eq!(&record.reason, reason, "why {} job {id} is where it is", job.state);
    }
    if job.state == JobState::Running {
        assert_eq!(record.cancel_requested, job.cancel_requested, "whether job {id} is to be cancelled");
        assert_eq!(record.progress, job.progress, "the progress of job {id}");
    }
    if job.state == JobState::Completed {
        assert_eq!(record.output, job.output, "the output of job {id}");
    }
}

fn compare_stats(t: &Fixture, model: &Model, stale_finishes: u64) {
    let stats = t.stats();
    assert_eq!(stats.stale_finishes, stale_finishes, "the count of stale finishes");
    for queue in QUEUES {
        let jobs = || model.jobs.values().filter(|job| job.spec.queue.as_str() == queue);
        let paused = model.paused.iter().any(|paused| paused.as_str() == queue);
        let Some(found) = stats.queues.iter().find(|stats| stats.queue.name.as_str() == queue) else {
            assert!(jobs().next().is_none() && !paused, "queue {queue} is not in the stats");
            continue;
        };
        assert_eq!(found.queue.is_paused(), paused, "whether queue {queue} is paused");
        for state in JobState::ALL.iter().copied() {
            let expected = jobs().filter(|job| job.state == state).count() as u64;
            let count = found.count(state);
            assert_eq!((count.value, count.capped), (expected, false), "{state} jobs of queue {queue}");
        }
        let available = jobs().filter(|job| job.state == JobState::Available);
        let oldest = available.map(Job::run_at).min().map(|run_at| t.now().since(run_at));
        assert_eq!(found.oldest_available, oldest, "the oldest available job of queue {queue}");
        let mut parked: BTreeMap<&Name, (u64, Duration)> = BTreeMap::new();
        for job in jobs().filter(|job| job.is_parked) {
            let (count, oldest) = parked.entry(&job.spec.kind).or_default();
            *count += 1;
            *oldest = t.now().since(job.run_at()).max(*oldest);
        }
        let found: Vec<_> = found.parked.iter().map(|it| (&it.kind, (it.count.value, it.oldest))).collect();
        assert_eq!(found, parked.into_iter().collect::<Vec<_>>(), "the parked jobs of queue {queue}");
    }
}
