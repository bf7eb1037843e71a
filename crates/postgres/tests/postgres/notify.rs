//! What one process hears of another.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{Backend, Call, Hint, JobId, Listener, PauseRequest, Subscription, VerbRequest};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;
use tokio::runtime::Runtime;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::fixture::{Schema, name, runtime};

/// A hint that was sent before the other process listened is lost, so the test causes it again after this
/// long.
const AGAIN: Duration = Duration::from_millis(100);
/// Most times that it causes the hint.
const TIMES: u32 = 200;
/// The time between notifications of a process that go on and on.
const PAUSE: Duration = Duration::from_millis(10);

struct Ear {
    hints: Mutex<Sender<Hint>>,
    watches_ends: bool,
}

impl Listener for Ear {
    fn hint(&self, hint: &Hint) {
        // The test may have heard enough and be gone.
        let _ = self.hints.lock().unwrap_or_else(PoisonError::into_inner).send(hint.clone());
    }

    fn watches_ends(&self) -> bool {
        self.watches_ends
    }
}

fn listen(backend: &Postgres, watches_ends: bool) -> (Receiver<Hint>, Subscription) {
    let (hints, heard) = channel();
    let subscription = backend.subscribe(Arc::new(Ear { hints: Mutex::new(hints), watches_ends }));
    (heard, subscription)
}

/// Acts until a hint is heard that `is_meant`.
fn act_until_heard(heard: &Receiver<Hint>, mut act: impl FnMut(), mut is_meant: impl FnMut(&Hint) -> bool) {
    for _ in 0..TIMES {
        act();
        while let Ok(hint) = heard.recv_timeout(AGAIN) {
            if is_meant(&hint) {
                return;
            }
        }
    }
    panic!("the other process was not heard");
}

/// A queue that another process makes before this one listens is named by no notification.
#[test]
fn a_process_that_begins_to_listen_is_to_look_at_queues_that_it_has_not_met() {
    let schema = Schema::new();
    let (here, there) = (schema.open(), schema.open());
    schema.enqueue(&there, 1);
    let (heard, _subscription) = listen(&here, false);

    act_until_heard(&heard, || (), |hint| *hint == Hint::Missed);
}

/// The one that listens has met no queue, so nothing but a notification can name one.
#[test]
fn a_process_hears_of_another_ones_jobs() {
    let schema = Schema::new();
    let (here, there) = (schema.open(), schema.open());
    let (heard, _subscription) = listen(&here, false);

    act_until_heard(
        &heard,
        || drop(schema.enqueue(&there, 1)),
        |hint| *hint == Hint::Available(name("line")),
    );
}

#[test]
fn a_process_whose_connection_was_ended_hears_again() {
    let schema = Schema::new();
    let there = schema.open();
    let here = {
        let _runtime = runtime().enter();
        let url = Server::shared().url();
        let mark = if url.contains('?') { '&' } else { '?' };
        let builder = Postgres::builder(&format!("{url}{mark}application_name={}", schema.name));
        builder.expect("the URL parses").schema(&schema.name).open().expect("the settings hold")
    };
    let (heard, _subscription) = listen(&here, false);
    let available = |hint: &Hint| *hint == Hint::Available(name("line"));
    act_until_heard(&heard, || drop(schema.enqueue(&there, 1)), available);

    let ended = schema.psql(&format!(
        "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE application_name = '{}'",
        schema.name
    ));

    assert!(ended.contains('t'), "it listened: {ended}");
    // What is on its way may still be heard; after that nothing is, before it listens again.
    while heard.recv_timeout(AGAIN).is_ok() {}
    act_until_heard(&heard, || drop(schema.enqueue(&there, 1)), available);
}

/// Processes send a hint for each end only while a listener in some process watches ends.
#[test]
fn a_process_that_waits_for_ends_hears_of_another_ones() {
    let schema = Schema::new();
    let (here, there) = (schema.open(), schema.open());
    let (heard_there, _others) = listen(&there, false);
    let available = |hint: &Hint| *hint == Hint::Available(name("line"));
    act_until_heard(&heard_there, || drop(schema.enqueue(&here, 1)), available);
    let (heard, _subscription) = listen(&here, true);
    let ids = RefCell::new(Vec::new());

    let cancel = |id: JobId| {
        let request = VerbRequest::ids(vec![id]);
        let reply = block_on(there.cancel(Call::new(), request));
        reply.expect("it is cancelled");
    };
    act_until_heard(
        &heard,
        || {
            let id = schema.enqueue(&there, 1).remove(0);
            ids.borrow_mut().push(id);
            cancel(id);
        },
        |hint| matches!(hint, Hint::Ended(id) if ids.borrow().contains(id)),
    );
}

/// The notifications on the channel of a schema, as they come.
fn overhear(schema: &Schema) -> (Client, Receiver<String>) {
    let definitions = Postgres::schema_sql(&schema.name);
    let (_, rest) = definitions.split_once("pg_notify('").expect("the functions tell on the channel");
    let (channel_name, _) = rest.split_once('\'').expect("it is quoted");
    let (texts, told) = channel();
    let client = runtime().block_on(async {
        let connected = tokio_postgres::connect(Server::shared().url(), NoTls).await;
        let (client, mut connection) = connected.expect("it connects");
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notice) = message {
                    // The test may have heard enough and be gone.
                    let _ = texts.send(notice.payload().to_owned());
                }
            }
        });
        client.batch_execute(&format!("LISTEN \"{channel_name}\"")).await.expect("it listens");
        client
    });
    (client, told)
}

/// A notification in every commit would divide their rate: commits that notify wait for one another.
#[test]
fn a_burst_of_enqueues_is_told_by_few_notifications() {
    let schema = Schema::new();
    let backend = schema.open();
    let (_client, told) = overhear(&schema);

    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| drop(schema.enqueue(&backend, 1))));
        }
    });
    // This hint comes with the last of them, or after it.
    let last = PauseRequest::new(name("line"));
    block_on(backend.pause(Call::new(), last)).expect("it pauses");
    let mut notices = 0;
    loop {
        let text = told.recv_timeout(TIMES * AGAIN).expect("all is told");
        notices += 1;
        if text.contains(" qline") {
            break;
        }
    }

    // The first pauses are shorter, and so are those after a gap.
    let most = 2 * begun.elapsed().as_millis() / PAUSE.as_millis() + 8;
    assert!(notices <= most, "{notices} notices in {:?}", begun.elapsed());
}

/// A runtime of a program that ends.
fn short_lived() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn open_in(runtime: &Runtime, schema: &Schema) -> Postgres {
    let _runtime = runtime.enter();
    let builder = Postgres::builder(Server::shared().url()).expect("the URL parses");
    builder.schema(&schema.name).open().expect("the settings hold")
}

/// Waits for a notice with this item.
fn assert_told(told: &Receiver<String>, item: &str) {
    let until = Instant::now() + TIMES * AGAIN;
    while Instant::now() < until {
        match told.recv_timeout(AGAIN) {
            Ok(text) if text.contains(item) => return,
            _ => {}
        }
    }
    panic!("{item:?} was not told");
}

/// A task that nothing waits for would send the notification when the program is gone.
#[test]
fn a_call_that_returns_has_told_other_processes() {
    let schema = Schema::new();
    let (_client, told) = overhear(&schema);
    let runtime = short_lived();
    let backend = open_in(&runtime, &schema);

    let id = schema.enqueue(&backend, 1).remove(0);
    // As a program does that exits at once: no task of it runs any more.
    runtime.shutdown_background();
    let _backend = ManuallyDrop::new(backend);

    assert_told(&told, &id.to_string().replace('-', ""));
}

/// Hints of a flood that a task was to send later are sent when the program's runtime ends.
#[test]
fn the_end_of_a_runtime_waits_for_the_last_notification() {
    let schema = Schema::new();
    let (_client, told) = overhear(&schema);
    let runtime = short_lived();
    let backend = open_in(&runtime, &schema);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| drop(schema.enqueue(&backend, 1))));
        }
    });

    block_on(backend.pause(Call::new(), PauseRequest::new(name("last")))).expect("it pauses");
    drop(backend);
    drop(runtime);

    assert_told(&told, " qlast");
}

/// The task that tells belongs to the runtime, not to the handle.
#[test]
fn a_handle_that_is_dropped_leaves_nothing_untold() {
    let schema = Schema::new();
    let (_client, told) = overhear(&schema);
    let runtime = short_lived();
    let backend = open_in(&runtime, &schema);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| drop(schema.enqueue(&backend, 1))));
        }
    });

    block_on(backend.pause(Call::new(), PauseRequest::new(name("last")))).expect("it pauses");
    drop(backend);

    assert_told(&told, " qlast");
    drop(runtime);
}
