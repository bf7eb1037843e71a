//! Registers through the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gristmill_core::{
    BackendErrorKind, Call, Change, Committed, Enqueued, Error, ErrorKind, EventKind, Expect, JobExt,
    JobFilter, Name, Register, RegisterQuery, RegisterSelect,
};
use gristmill_engine::Client;
use gristmill_memory::Memory;

#[derive(Clone, serde::Serialize, serde::Deserialize, gristmill_macros::Job)]
#[job(kind = "k", crate = "gristmill_core")]
struct Number(u32);

fn client() -> Client {
    Client::new(Memory::new())
}

fn value(number: u64) -> Register {
    Register::new(format!(r#"{{"v":1,"number":{number}}}"#))
}

fn change(key: &'static str, expect: Expect, put: Register) -> Change {
    Change::new(Name::new("x.test").expect("a name"), key, expect, put)
}

async fn commit(client: &Client, change: Change) -> Result<Committed, Error> {
    Ok(client.commit(vec![change]).await?.pop().expect("one result per change"))
}

#[tokio::test]
async fn a_register_is_written_read_and_replaced() -> anyhow::Result<()> {
    let client = client();
    let (first, second) = (value(1), value(2));
    let done = commit(&client, change("k", Expect::Absent, first.clone())).await?;
    assert_eq!(done, Committed::Done(Vec::new()));
    assert_eq!(client.register("x.test", "k").await?, Some(first.clone()));
    commit(&client, change("k", Expect::read(Some(&first)), second.clone())).await?;
    let stale = commit(&client, change("k", Expect::read(Some(&first)), value(3))).await?;
    assert_eq!(stale, Committed::Stale(Some(second)));
    for (space, key) in [("x.test", "other"), ("x.tes", "k"), ("x.test", "")] {
        assert_eq!(client.register(space, key).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_register_is_deleted_by_the_clock_of_the_store() -> anyhow::Result<()> {
    let client = client();
    let put = value(1);
    commit(&client, change("k", Expect::Absent, put.clone())).await?;
    let now = client.ping().await?.now;
    let deletion = change("k", Expect::Stamp(put.stamp), value(0).forget_at(now));
    assert_eq!(commit(&client, deletion.clone()).await?, Committed::Done(Vec::new()));
    assert_eq!(client.register("x.test", "k").await?, None);
    assert_eq!(commit(&client, deletion).await?, Committed::Again);
    Ok(())
}

#[tokio::test]
async fn counts_that_are_raised_at_once_are_all_kept() -> anyhow::Result<()> {
    async fn raise(client: &Client) -> anyhow::Result<()> {
        let mut standing = client.register("x.test", "count").await?;
        loop {
            tokio::task::yield_now().await;
            let number = match &standing {
                None => 0,
                Some(register) => {
                    let value: serde_json::Value = serde_json::from_slice(&register.value)?;
                    value["number"].as_u64().expect("a number")
                }
            };
            let next = change("count", Expect::read(standing.as_ref()), value(number + 1));
            match commit(client, next).await? {
                Committed::Done(_) => return Ok(()),
                Committed::Stale(newer) => standing = newer,
                other => anyhow::bail!("{other:?}"),
            }
        }
    }
    let client = client();
    futures_util::future::try_join_all((0..20).map(|_| raise(&client))).await?;
    let register = client.register("x.test", "count").await?.expect("it was written");
    assert_eq!(register.value, value(20).value);
    Ok(())
}

#[tokio::test]
async fn jobs_are_stored_with_the_register_and_reported_to_hooks() -> anyhow::Result<()> {
    let events = Arc::new(AtomicUsize::new(0));
    let seen = events.clone();
    let client = Client::builder(Memory::new())
        .on_event(move |event| {
            assert_eq!(event.kind, EventKind::Enqueued);
            seen.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    let held = client.enqueue(Number(0).unique_key("held")).await?;
    let jobs = vec![client.prepare(Number(1))?, client.prepare(Number(2).unique_key("held"))?];
    let first = change("k", Expect::Absent, value(1)).with_jobs(jobs);
    let Committed::Done(enqueued) = commit(&client, first.clone()).await? else { panic!("it is new") };
    assert_eq!(enqueued[0], Some(Enqueued::Created));
    assert!(
        matches!(&enqueued[1], Some(Enqueued::Existing { id, .. }) if *id == held.id),
        "{:?}",
        enqueued[1]
    );
    let loser = change("k", Expect::Absent, value(2)).with_jobs(vec![client.prepare(Number(3))?]);
    assert!(matches!(commit(&client, loser).await?, Committed::Stale(Some(_))));
    assert_eq!(commit(&client, first).await?, Committed::Again);
    assert_eq!(client.count(JobFilter::new(), None).await?.value, 2);
    assert_eq!(events.load(Ordering::Relaxed), 2);
    Ok(())
}

#[tokio::test]
async fn other_spaces_are_read_and_not_written() -> anyhow::Result<()> {
    let client = client();
    let put = value(1);
    for space in ["schedule", "x", "X.test", "ax.test"] {
        let space = Name::new(space)?;
        let own = change("k", Expect::Absent, value(2));
        let foreign = Change::new(space.clone(), "k", Expect::Absent, put.clone());
        let error = client.commit(vec![own, foreign.clone()]).await.expect_err("it is not the caller's");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), format!("register of `{space}`: `space` does not begin with `x.`"));
        assert_eq!(
            error.hint(),
            Some(format!("name it `x.{space}`; other spaces belong to Gristmill").as_str())
        );
        assert_eq!(client.register(space.as_str(), "k").await?, None);
        client.backend().commit(Call::new(), vec![foreign]).await?;
        assert_eq!(client.register(space.as_str(), "k").await?, Some(put.clone()));
    }
    assert_eq!(client.register("x.test", "k").await?, None, "nothing of such a call is sent");
    let error = client.register("two words", "k").await.expect_err("no name");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    Ok(())
}

#[tokio::test]
async fn a_change_that_breaks_a_bound_spoils_no_other() -> anyhow::Result<()> {
    let client = client();
    let changes =
        vec![change("a", Expect::Absent, Register::new("{}")), change("b", Expect::Absent, value(1))];
    let committed = client.commit(changes.clone()).await?;
    assert!(matches!(&committed[0], Committed::Refused { why } if why.contains("`value`")), "{committed:?}");
    assert_eq!(committed[1], Committed::Done(Vec::new()));
    let twice = vec![changes[1].clone(), changes[1].clone()];
    let error = client.commit(twice).await.expect_err("one register twice");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Refused));
    assert_eq!(client.commit(Vec::new()).await?, []);
    Ok(())
}

#[tokio::test]
async fn pages_lead_through_all_registers_of_a_space() -> anyhow::Result<()> {
    let client = client();
    for key in ["a", "b.1", "b.2", "b.3", "c"] {
        commit(&client, change(key, Expect::Absent, value(1))).await?;
    }
    let select = RegisterSelect::Prefix(Bytes::from_static(b"b."));
    let mut query = RegisterQuery::new(Name::new("x.test")?, select).limit(2);
    let mut keys = Vec::new();
    loop {
        let page = client.registers(query.clone()).await?;
        keys.extend(page.items.into_iter().map(|(key, _)| key));
        let Some(next) = page.next else { break };
        query = query.after(Some(next));
    }
    assert_eq!(keys, [&b"b.1"[..], b"b.2", b"b.3"]);
    Ok(())
}
