//! How many jobs travel in one call.

use gristmill_core::NewJob;

/// The most jobs of one call.
const JOBS: usize = 1_000;
/// The most bytes of args of one call, unless a single job has more: the text is in memory twice, here and
/// there.
const BYTES: usize = 4 * 1024 * 1024;

/// The jobs, in their order, a call's worth at a time.
pub(crate) fn chunks(jobs: &[NewJob]) -> impl Iterator<Item = &[NewJob]> {
    let mut rest = jobs;
    std::iter::from_fn(move || {
        let (chunk, behind) = rest.split_at(fitting(rest));
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// How many of the first jobs go together.
fn fitting(jobs: &[NewJob]) -> usize {
    let mut bytes = 0_usize;
    let fits = |job: &&NewJob| {
        bytes = bytes.saturating_add(job.spec.args.as_bytes().len());
        bytes <= BYTES
    };
    let fitting = jobs.iter().take(JOBS).take_while(fits).count();
    fitting.max(1).min(jobs.len())
}

#[cfg(test)]
mod tests {
    use gristmill_core::{Args, IdSource, JobSpec, Name, Timestamp};

    use super::*;

    fn jobs(count: usize, bytes: usize) -> Vec<NewJob> {
        let name = |text| Name::new(text).expect("a name");
        let args = Args::from_stored(vec![b' '; bytes]);
        let spec = JobSpec::new(name("kind"), name("queue"), args);
        let ids = IdSource::new();
        (0..count).map(|_| NewJob::new(ids.next(Timestamp::EPOCH), spec.clone())).collect()
    }

    fn sizes(jobs: &[NewJob]) -> Vec<usize> {
        chunks(jobs).map(<[NewJob]>::len).collect()
    }

    #[test]
    fn a_call_takes_a_thousand_jobs_at_most() {
        assert_eq!(sizes(&jobs(2_500, 2)), [1_000, 1_000, 500]);
        assert!(sizes(&[]).is_empty());
    }

    #[test]
    fn a_call_takes_four_mebibytes_at_most_and_one_job_at_least() {
        assert_eq!(sizes(&jobs(5, BYTES / 2)), [2, 2, 1]);
        assert_eq!(sizes(&jobs(3, BYTES + 1)), [1, 1, 1]);
    }
}
