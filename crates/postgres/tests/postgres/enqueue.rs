//! What an enqueue refuses.

use gristmill_core::{
    Backend, BackendErrorKind, Call, Certainty, Clock as _, EnqueueRequest, Enqueued, ErrorKind, IdSource,
    NewJob, SystemClock, Timestamp,
};
use gristmill_testkit::block_on;

use crate::fixture::{Schema, runtime};
use crate::maintain::connect;

/// Where an id lies in time decides in which partition its job is kept.
#[test]
fn an_id_from_far_ahead_of_the_servers_clock_is_refused() {
    let schema = Schema::new();
    let backend = schema.open();
    let ahead = |minutes: i64| -> NewJob {
        let made = Timestamp::from_millis(SystemClock.now().as_millis() + minutes * 60_000);
        let mut job = schema.job();
        job.id = IdSource::new().next(made);
        job
    };
    let stored = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![ahead(59)])));
    assert_eq!(stored.expect("clocks may be set a little badly").jobs, [Enqueued::Created]);

    let refused = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![schema.job(), ahead(61)])));
    let error = refused.expect_err("it would be in no partition");
    assert_eq!((error.kind(), error.certainty()), (BackendErrorKind::Refused, Certainty::NotStored));
    assert!(error.hint().is_some_and(|hint| hint.contains("set the clock")), "{error:?}");

    let mut client = connect();
    let refused = runtime().block_on(async {
        let tx = client.transaction().await.expect("a transaction begins");
        let refused = backend.enqueue_prepared_in(&tx, vec![ahead(61)]).await;
        tx.query("SELECT", &[]).await.expect("the transaction goes on");
        refused
    });
    let error = refused.expect_err("as without a transaction");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Refused));
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.jobs"), "1");
}
