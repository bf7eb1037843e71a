//! Everything that can be wrong with a worker, found at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gristmill_core::{Backend, DEFAULT_QUEUE, Name, Priority, did_you_mean, format_duration};

use super::{Make, QueueWish, Registration};
use crate::handler::route::{RetryDelay, Route, Routes, Start, obstacle};
use crate::worker::options::{QueueOptions, WorkerOptions};

const MAX_SLOTS: usize = 10_000;
const MAX_FETCH_BATCH: usize = 1_000;
const DEFAULT_SLOTS: usize = 10;
const MAX_LABEL_BYTES: usize = 200;

const LEASE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
const POLL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));
const MIN_CALL_DEADLINE: Duration = Duration::from_millis(10);
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

pub(super) fn queues(
    wishes: Vec<QueueWish>,
    slots: Option<usize>,
    faults: &mut Vec<String>,
) -> Vec<QueueOptions> {
    if wishes.is_empty() {
        let queue = Name::new(DEFAULT_QUEUE).expect("the default queue's name is a name");
        return vec![QueueOptions { queue, slots: slots.unwrap_or(DEFAULT_SLOTS), priorities: None }];
    }
    let mut seen = HashSet::new();
    let mut queues = Vec::with_capacity(wishes.len());
    for QueueWish { name, slots, priorities } in wishes {
        check_slots(slots, &format!("queue `{name}`"), faults);
        if !seen.insert((name.clone(), priorities)) {
            faults.push(match priorities {
                None => format!("queue `{name}` is given twice"),
                Some((first, last)) => {
                    format!("queue `{name}` has two lanes for priorities {first} to {last}")
                }
            });
        }
        let priorities = priorities.and_then(|(first, last)| range(&name, first, last, faults));
        match Name::new(&name) {
            Ok(queue) => queues.push(QueueOptions { queue, slots, priorities }),
            Err(error) => faults.push(format!("queue: {error}")),
        }
    }
    queues
}

fn range(queue: &str, first: i64, last: i64, faults: &mut Vec<String>) -> Option<(Priority, Priority)> {
    if first > last {
        faults.push(format!("the lane of queue `{queue}` is empty: {first} lies behind {last}"));
        return None;
    }
    match (Priority::new(first), Priority::new(last)) {
        (Ok(first), Ok(last)) => Some((first, last)),
        (Err(error), _) | (_, Err(error)) => {
            faults.push(format!("a lane of queue `{queue}`: {error}"));
            None
        }
    }
}

fn check_slots(slots: usize, of: &str, faults: &mut Vec<String>) {
    if !(1..=MAX_SLOTS).contains(&slots) {
        faults.push(format!("{of} has {slots} slots; the smallest number is 1, the largest {MAX_SLOTS}"));
    }
}

pub(super) fn options(options: &WorkerOptions, shortest_lease: Duration, faults: &mut Vec<String>) {
    if let Some(slots) = options.slots {
        check_slots(slots, "the worker", faults);
    }
    between("lease", options.lease, LEASE, faults);
    if options.lease < shortest_lease {
        let [lease, shortest] = [options.lease, shortest_lease].map(format_duration);
        faults.push(format!(
            "lease is {lease}, and a renewal may wait longer for this store; take {shortest} or more, or shorten its busy timeout"
        ));
    }
    if let Some(interval) = options.poll_interval {
        between("poll_interval", interval, POLL, faults);
    }
    if !(1..=MAX_FETCH_BATCH).contains(&options.fetch_batch) {
        let batch = options.fetch_batch;
        faults.push(format!("fetch_batch is {batch}; the smallest is 1, the largest {MAX_FETCH_BATCH}"));
    }
    if options.timeout.is_some_and(|timeout| timeout < MIN_TIMEOUT) {
        faults.push("timeout is shorter than 1ms".to_owned());
    }
    let (deadline, lease) = (options.call_deadline, options.lease);
    if deadline < MIN_CALL_DEADLINE {
        faults.push("call_deadline is shorter than 10ms".to_owned());
    }
    // A renewal that is answered after the lease's end renews nothing.
    if deadline >= lease {
        let (deadline, lease) = (format_duration(deadline), format_duration(lease));
        faults.push(format!("call_deadline ({deadline}) must be shorter than the lease ({lease})"));
    }
    if options.label.len() > MAX_LABEL_BYTES {
        faults.push(format!("the label is longer than {MAX_LABEL_BYTES} bytes"));
    }
}

fn between(what: &str, value: Duration, (smallest, largest): (Duration, Duration), faults: &mut Vec<String>) {
    if value < smallest || value > largest {
        let [value, smallest, largest] = [value, smallest, largest].map(format_duration);
        faults.push(format!("{what} is {value}; the smallest is {smallest}, the largest {largest}"));
    }
}

/// The users' own delays by kind. Each belongs to a handler.
pub(super) fn delays(
    given: Vec<(String, RetryDelay)>,
    handlers: &[Registration],
    faults: &mut Vec<String>,
) -> HashMap<String, RetryDelay> {
    let kinds = || handlers.iter().map(|handler| handler.kind.as_str());
    let mut delays = HashMap::new();
    for (kind, delay) in given {
        if !kinds().any(|known| known == kind) {
            let meant = did_you_mean(&kind, kinds()).map(|near| format!(": did you mean `{near}`?"));
            faults.push(format!("retry_with: no handler of kind `{kind}`{}", meant.unwrap_or_default()));
        } else if delays.contains_key(&kind) {
            faults.push(format!("retry_with: kind `{kind}` has two functions"));
        }
        delays.insert(kind, delay);
    }
    delays
}

/// What handlers need and the backend does not promise.
pub(super) fn needs(backend: &dyn Backend, handlers: &[Registration], faults: &mut Vec<String>) {
    faults.extend(handlers.iter().filter_map(|known| obstacle(&known.kind, &known.needs, backend)));
}

/// Makes every handler, `wrap` putting the middleware around it.
pub(super) fn routes(
    registrations: Vec<Registration>,
    mut delays: HashMap<String, RetryDelay>,
    faults: &mut Vec<String>,
    wrap: impl Fn(Make) -> Box<dyn Start>,
) -> Routes {
    if registrations.is_empty() {
        faults.push("it has no handler; add one with `.handle(..)`".to_owned());
    }
    let mut routes = Routes::default();
    for registration in registrations {
        let Registration { kind, job_type, mode, faults: of_job, make, .. } = registration;
        if !of_job.is_empty() {
            faults.push(format!("job `{kind}` ({job_type}): {}", of_job.join(", ")));
        }
        let kind = match Name::new(&kind) {
            Ok(kind) => kind,
            Err(error) => {
                // A typed job's own check has said so.
                if !faults.iter().any(|fault| fault.contains(&error.to_string())) {
                    faults.push(format!("kind: {error}"));
                }
                continue;
            }
        };
        let delay = delays.remove(kind.as_str());
        let route = Route {
            start: wrap(make),
            mode,
            delay,
            job_type,
            #[cfg(feature = "testing")]
            needs: registration.needs,
        };
        if let Err(existing) = routes.insert(kind.clone(), route) {
            let other = existing.job_type;
            faults.push(format!("kind `{kind}` has two handlers: one for {other}, one for {job_type}"));
        }
    }
    routes
}

/// A queue that jobs go to by default and that this worker does not run, but one of nearly the same name: a
/// slip, more often than not.
pub(super) fn slips<'a>(
    queues: &'a [QueueOptions],
    wanted: impl IntoIterator<Item = &'a Name>,
) -> Vec<String> {
    let names: Vec<&str> = queues.iter().map(|queue| queue.queue.as_str()).collect();
    wanted
        .into_iter()
        .filter(|wanted| !names.contains(&wanted.as_str()))
        .filter_map(|wanted| {
            let near = did_you_mean(wanted.as_str(), names.iter().copied())?;
            Some(format!(
                "jobs go to queue `{wanted}`, the worker runs queue `{near}`: did you mean `{wanted}`?"
            ))
        })
        .collect()
}
