//! What handlers take, return and may do, on the memory backend with a clock that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gristmill::backend::Call;
use gristmill::testing::TestQueue;
use gristmill::{
    Args, Attempt, Attempted, BoxError, CancellationToken, Ending, Error, ErrorKind, FromJob, FromRef,
    Handler, Job, JobContext, JobError, JobExt, JobState, ManualClock, Meta, Metadata, Outcome, ResultExt,
    RunError, State, Undecodable, assert_enqueued, refute_enqueued,
};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(kind = "greet", queue = "mail", max_attempts = 3, timeout = "30s", priority = -2, output = String)]
struct Greet {
    name: String,
}

fn greet(name: &str) -> Greet {
    Greet { name: name.to_owned() }
}

#[derive(Debug, Serialize, Deserialize, Job)]
#[job(kind = "unit")]
struct Unit {}

#[derive(Clone)]
struct Greeting(&'static str);

struct App {
    greeting: Greeting,
}

impl FromRef<App> for Greeting {
    fn from_ref(app: &App) -> Self {
        app.greeting.clone()
    }
}

/// A user's own extractor.
struct Tenant(String);

impl<S: Send + Sync> FromJob<S> for Tenant {
    async fn from_job(context: &JobContext, _: &S) -> Result<Self, BoxError> {
        let tenant = context.metadata().get("tenant").and_then(|value| value.as_str());
        Ok(Self(tenant.ok_or("the job names no tenant")?.to_owned()))
    }
}

#[derive(Deserialize)]
struct Trace {
    trace: u32,
}

fn completed(json: &str) -> Outcome {
    Outcome::Completed { output: Some(gristmill::Output::from_json(json.to_owned())) }
}

fn failed(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { error, .. } => &error.message,
        other => panic!("expected a failure, it is {other:?}"),
    }
}

#[tokio::test]
async fn the_options_of_the_derive_reach_the_store() -> anyhow::Result<()> {
    let queue = TestQueue::new();
    let receipt = queue.client().enqueue(greet("Ada").priority(3)).await?;
    let job = queue.client().job(receipt.id).await?.expect("it was stored");
    assert_eq!((job.spec.kind.as_str(), job.spec.queue.as_str()), ("greet", "mail"));
    assert_eq!((job.spec.max_attempts.get(), job.spec.timeout), (3, Some(30 * SECOND)));
    assert_eq!(job.spec.priority.get(), 3, "one enqueue overrides the derive");
    Ok(())
}

#[tokio::test]
async fn every_extractor_is_handed_in() -> anyhow::Result<()> {
    #[expect(clippy::too_many_arguments, reason = "nine is what a handler may take")]
    async fn all(
        job: Greet,
        State(Greeting(word)): State<Greeting>,
        Attempt(attempt): Attempt,
        context: JobContext,
        token: CancellationToken,
        Meta(Trace { trace }): Meta<Trace>,
        metadata: Metadata,
        args: Args,
        Tenant(tenant): Tenant,
    ) -> anyhow::Result<String> {
        assert_eq!((attempt, context.max_attempts(), token.is_cancelled()), (1, 3, false));
        assert_eq!((args.as_bytes(), metadata.is_empty()), (&br#"{"name":"Ada"}"#[..], false));
        assert_eq!((context.kind().as_str(), context.queue().as_str(), context.run()), ("greet", "mail", 1));
        Ok(format!("{word} {} of {tenant}, trace {trace}", job.name))
    }
    let queue = TestQueue::new()
        .with_handlers(|worker| worker.state(App { greeting: Greeting("hello") }).handle(all));
    let outcome = queue.perform(greet("Ada").metadata("tenant", "acme").metadata("trace", 7)).await?;
    assert_eq!(outcome, completed(r#""hello Ada of acme, trace 7""#));
    Ok(())
}

#[tokio::test]
async fn an_extractor_that_fails_fails_the_attempt() -> anyhow::Result<()> {
    async fn never(_: Greet, _: Tenant) -> Result<String, JobError> {
        panic!("the handler is not called")
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(never));
    assert_eq!(failed(&queue.perform(greet("Ada")).await?), "the job names no tenant");
    Ok(())
}

#[tokio::test]
async fn metadata_that_does_not_decode_discards() -> anyhow::Result<()> {
    async fn never(_: Greet, _: Meta<Trace>) -> Result<String, JobError> {
        panic!("the handler is not called")
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(never));
    let outcome = queue.perform(greet("Ada")).await?;
    assert!(matches!(&outcome, Outcome::Discarded { reason } if reason.contains("trace")), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn control_flow_survives_every_wrapper() -> anyhow::Result<()> {
    async fn handler(job: Greet) -> anyhow::Result<String> {
        match job.name.as_str() {
            "cancel" => Err(JobError::cancel("no such user"))?,
            "discard" => Err(std::io::Error::other("unreadable")).or_discard()?,
            "snooze" => Err(JobError::snooze(5 * SECOND))?,
            "later" => Err(anyhow::Error::from(JobError::retry_after(SECOND, "429")).context("upstream"))?,
            "plain" => anyhow::bail!("down"),
            name => return Ok(name.to_owned()),
        }
        unreachable!("every other arm is an error")
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(handler));
    let cases = [
        ("cancel", Outcome::Cancelled { reason: "no such user".to_owned() }),
        ("discard", Outcome::Discarded { reason: "unreadable".to_owned() }),
        ("snooze", Outcome::Snoozed { after: 5 * SECOND }),
        ("later", Outcome::Failed { error: RunError::new("upstream: 429"), after: Some(SECOND) }),
        ("plain", Outcome::Failed { error: RunError::new("down"), after: None }),
        ("Ada", completed("\"Ada\"")),
    ];
    for (name, expected) in cases {
        assert_eq!(queue.perform(greet(name)).await?, expected, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn undecodable_args_never_reach_the_handler() -> anyhow::Result<()> {
    async fn never(_: Greet) -> Result<String, JobError> {
        panic!("the handler is not called")
    }
    for (policy, state) in
        [(Undecodable::Discard, JobState::Discarded), (Undecodable::Retry, JobState::Retryable)]
    {
        let queue = TestQueue::new().with_handlers(|worker| worker.undecodable(policy).handle(never));
        let options = Greet::options();
        let id = queue.client().enqueue_raw(Greet::KIND, r#"{"name":7}"#, options).await?.id;
        let performed = queue.drain().await?;
        assert_eq!((performed[0].ending, performed[0].state), (Ending::Undecodable, Some(state)));
        let runs = queue.client().runs(id).await?;
        let error = runs[0].error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
        assert!(error.contains("invalid type: integer `7`, expected a string"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_panic_is_an_outcome_and_its_log_is_kept() -> anyhow::Result<()> {
    async fn panics(_: Greet, context: JobContext) -> Result<String, JobError> {
        context.log("before the end");
        panic!("broken {}", 7)
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(panics));
    let id = queue.client().enqueue(greet("Ada")).await?.id;
    let performed = queue.drain().await?;
    assert_eq!((performed[0].ending, performed[0].state), (Ending::Panic, Some(JobState::Retryable)));
    let run = &queue.client().runs(id).await?[0];
    assert_eq!(run.log.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["before the end"]);
    assert!(run.error.as_ref().is_some_and(|error| error.message.contains("broken 7")), "{run:?}");
    Ok(())
}

#[tokio::test]
async fn a_blocking_handler_has_state_and_its_panic_is_an_outcome() -> anyhow::Result<()> {
    #[expect(clippy::needless_pass_by_value, reason = "a handler owns its job")]
    fn blocks(job: Greet, State(word): State<&'static str>) -> Result<String, JobError> {
        match job.name.as_str() {
            "panic" => panic!("as asked"),
            "nobody" => Err(JobError::cancel("no such user")),
            name => Ok(format!("{word} {name}")),
        }
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.state("hello").handle_blocking(blocks));
    assert_eq!(queue.perform(greet("Ada")).await?, completed(r#""hello Ada""#));
    assert!(failed(&queue.perform(greet("panic")).await?).contains("as asked"));
    let cancelled = Outcome::Cancelled { reason: "no such user".to_owned() };
    assert_eq!(queue.perform(greet("nobody")).await?, cancelled);
    Ok(())
}

#[tokio::test]
async fn a_handler_can_be_a_type() -> anyhow::Result<()> {
    struct Greeter(AtomicUsize);
    impl Handler for Greeter {
        type Job = Greet;
        type Error = anyhow::Error;
        async fn handle(&self, job: Greet, _: JobContext) -> anyhow::Result<String> {
            Ok(format!("{} {}", job.name, self.0.fetch_add(1, Ordering::SeqCst)))
        }
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle_with(Greeter(AtomicUsize::new(5))));
    assert_eq!(queue.perform(greet("Ada")).await?, completed(r#""Ada 5""#));
    Ok(())
}

#[tokio::test]
async fn a_raw_handler_turns_json_into_json_or_says_the_ending() -> anyhow::Result<()> {
    async fn sum(args: Args, Attempt(_): Attempt) -> Result<i64, serde_json::Error> {
        Ok(args.decode::<Vec<i64>>()?.iter().sum())
    }
    let queue = TestQueue::new().with_handlers(|worker| {
        worker
            .handle_raw("sum", sum)
            .handle_raw("ending", async |_: JobContext| Attempted {
                outcome: Outcome::Discarded { reason: "no data".to_owned() },
                ending: Ending::Undecodable,
            })
            .handle_raw("nothing", async |_: JobContext| {})
    });
    for (kind, args) in [("sum", "[1,2,3]"), ("ending", "{}"), ("nothing", "{}")] {
        queue.client().enqueue_raw(kind, args, gristmill::JobOptions::new()).await?;
    }
    let performed = queue.drain().await?;
    assert_eq!(performed[0].outcome, completed("6"));
    assert_eq!(performed[1].ending, Ending::Undecodable);
    assert_eq!(performed[2].outcome, Outcome::Completed { output: None });
    Ok(())
}

#[tokio::test]
async fn follow_up_jobs_exist_only_if_the_attempt_did_not_fail() -> anyhow::Result<()> {
    async fn follow(job: Greet, context: JobContext) -> anyhow::Result<String> {
        context.enqueue(Unit {}.unique_key(job.name.clone()))?;
        anyhow::ensure!(job.name != "fails", "down");
        Ok(job.name)
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(follow));
    queue.perform(greet("fails")).await?;
    refute_enqueued!(queue, Unit {});
    queue.perform(greet("works")).await?;
    assert_enqueued!(queue, Unit {});
    assert_eq!(queue.jobs_of::<Unit>().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_next_attempt_goes_on_from_the_checkpoint() -> anyhow::Result<()> {
    async fn resumes(_: Unit, context: JobContext, Attempt(attempt): Attempt) -> anyhow::Result<()> {
        context.progress(200).await?;
        if attempt == 1 {
            assert_eq!(context.last_checkpoint::<u32>().await?, None);
            context.checkpoint(&41_u32).await?;
            anyhow::bail!("again");
        }
        assert_eq!(context.last_checkpoint::<u32>().await?, Some(41));
        assert!(
            context.last_checkpoint::<String>().await.is_err_and(|error| error.kind() == ErrorKind::Invalid)
        );
        Ok(())
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(resumes));
    let id = queue.client().enqueue(Unit {}).await?.id;
    assert_eq!(queue.drain().await?[0].state, Some(JobState::Retryable));
    assert!(queue.drain().await?.is_empty(), "its time has not come");
    queue.advance(10 * SECOND);
    assert_eq!(queue.drain().await?[0].state, Some(JobState::Completed));
    let job = queue.client().job(id).await?.expect("it is kept for a day");
    assert_eq!((job.attempt, job.errors.len()), (2, 1));
    Ok(())
}

#[tokio::test]
async fn a_record_on_a_lost_lease_is_refused_and_stops_the_attempt() -> anyhow::Result<()> {
    async fn overtaken(
        _: Unit,
        context: JobContext,
        State(clock): State<Arc<ManualClock>>,
    ) -> Result<(), Error> {
        // The store ends the run while its handler does not know: the lease has passed on.
        clock.advance(Duration::from_secs(400 * 24 * 3600));
        context.client().backend().rescue(Call::new(), 10).await?;
        let error = context.progress(50).await.expect_err("the lease is lost");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(context.is_cancelled() && context.cancellation().is_cancelled());
        Err(error)
    }
    let queue = TestQueue::new();
    let clock = queue.clock().clone();
    let queue = queue.with_handlers(|worker| worker.state(clock).handle(overtaken));
    let id = queue.client().enqueue(Unit {}).await?.id;
    // The worker of the drain is gone with its lease.
    assert!(queue.drain().await.is_err());
    let job = queue.client().job(id).await?.expect("it is available again");
    assert_eq!((job.state, job.crashes), (JobState::Available, 1));
    Ok(())
}
