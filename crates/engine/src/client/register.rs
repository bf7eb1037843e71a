//! Registers: small values that processes agree on.

use gristmill_core::{
    BackendError, BackendErrorKind, Change, Committed, Enqueued, Error, Name, NewJob, Register, RegisterPage,
    RegisterQuery, RegisterSelect, time_for_bytes,
};

use super::Client;

/// How the spaces of users begin. All others belong to Gristmill.
const OF_USERS: &str = "x.";

impl Client {
    /// Replaces registers whose stamp is the expected one, each together with the jobs of its effects.
    ///
    /// Returns one result per change, in the order of the changes. A change is written whole, with all its
    /// jobs, or not at all; several changes of one call do not depend on each other. At most
    /// [`Change::MAX_CHANGES`] changes and [`Change::MAX_EFFECTS`] jobs fit into a call, and each register
    /// only once.
    ///
    /// The space begins with `x.`, such as `x.rates`. A register is not a lock and not a place for something
    /// that every job has: all writers of one register together get a few hundred writes a second through.
    ///
    /// A count that several processes raise, by compare-and-set:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use gristmill_core::{Change, Committed, Expect, Name, Register};
    /// use gristmill_engine::Client;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Count { v: u32, count: u64 }
    ///
    /// let client = Client::new(gristmill_memory::Memory::new());
    /// let mut standing = client.register("x.visits", "today").await?;
    /// loop {
    ///     let count = match &standing {
    ///         None => 0,
    ///         Some(register) => serde_json::from_slice::<Count>(&register.value)?.count,
    ///     };
    ///     let put = Register::new(serde_json::to_vec(&Count { v: 1, count: count + 1 })?);
    ///     let change = Change::new(Name::new("x.visits")?, "today", Expect::read(standing.as_ref()), put);
    ///     match client.commit(vec![change]).await?.remove(0) {
    ///         Committed::Done(_) | Committed::Again => break,
    ///         Committed::Stale(newer) => standing = newer, // another process was first: count from there
    ///         Committed::Busy => {}                        // only a change with jobs can be busy
    ///         Committed::Refused { why } => return Err(why.into()),
    ///     }
    /// }
    /// # let register = client.register("x.visits", "today").await?.unwrap();
    /// # assert_eq!(&register.value[..], br#"{"v":1,"count":1}"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A report that is enqueued once a day, however many processes try:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use gristmill_core::{Change, Committed, Expect, Job, JobFilter, Name, Register};
    /// # use gristmill_engine::Client;
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Report { day: String }
    /// # impl Job for Report { const KIND: &'static str = "report"; type Output = (); }
    /// # let client = Client::new(gristmill_memory::Memory::new());
    /// let day = "2026-12-01".to_owned();
    /// let put = Register::new(r#"{"v":1}"#);
    /// let report = client.prepare(Report { day: day.clone() })?;
    /// let change = Change::new(Name::new("x.reports")?, day, Expect::Absent, put).with_jobs(vec![report]);
    /// match client.commit(vec![change]).await?.remove(0) {
    ///     Committed::Done(_) | Committed::Again => println!("this process has enqueued the report"),
    ///     Committed::Stale(_) => println!("another process was first"),
    ///     Committed::Busy => return Err("try again later".into()),
    ///     Committed::Refused { why } => return Err(why.into()),
    /// }
    /// # assert_eq!(client.count(JobFilter::new(), None).await?.value, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) if a space does not begin with `x.`; nothing was
    /// sent. [`Backend(Refused)`](gristmill_core::BackendErrorKind::Refused) for more than 100 changes or
    /// 1,000 jobs, or one register twice. [`Backend(Busy)`](gristmill_core::BackendErrorKind::Busy), of the
    /// call as a whole, if registers appear and vanish all the time; it may be repeated. Else the store's
    /// error.
    ///
    /// If its [`certainty`](Error::certainty) says that the call may have been stored, repeat it with the
    /// same changes. The stamp makes that harmless: a change that was written returns
    /// [`Again`](Committed::Again), or [`Stale`](Committed::Stale) if another process has written since. Do
    /// not repeat a change with [`Expect::Any`](gristmill_core::Expect::Any) that must not undo a later one.
    ///
    /// # Cancel safety
    /// Dropped, each change is written or not, like after a lost reply.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Committed>, Error> {
        for change in &changes {
            check_space(&change.space)?;
        }
        let count = changes.len();
        let jobs: Vec<_> = changes.iter().map(|change| self.events_of(&change.effects.jobs)).collect();
        let time = time_for_bytes(changes.iter().map(bytes_of).sum());
        let reply = self.call_for(time, "commit", |backend, call| backend.commit(call, changes)).await?;
        if reply.len() != count {
            let message = format!("`commit` returned {} results for {count} changes", reply.len());
            return Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored().into());
        }
        for (events, committed) in jobs.iter().zip(&reply) {
            let Committed::Done(enqueued) = committed else { continue };
            for (event, enqueued) in events.iter().zip(enqueued) {
                if matches!(enqueued, Some(Enqueued::Created | Enqueued::Replaced { .. })) {
                    self.0.hooks.emit(event);
                }
            }
        }
        Ok(reply)
    }

    /// One register; `None` if there is none, or if it is forgotten. Any space may be read.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) if the space is not a name; else the store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gristmill_core::Error> {
    /// # let client = gristmill_engine::Client::new(gristmill_memory::Memory::new());
    /// assert_eq!(client.register("x.rates", "eu").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register(&self, space: &str, key: impl AsRef<[u8]>) -> Result<Option<Register>, Error> {
        let key = bytes::Bytes::copy_from_slice(key.as_ref());
        let query = RegisterQuery::new(Name::new(space)?, RegisterSelect::Keys(vec![key])).limit(1);
        Ok(self.registers(query).await?.items.pop().map(|(_, register)| register))
    }

    /// A page of the registers of one space, by key or by due time. The next page begins at its `next`; a
    /// page may be short although more follow. Any space may be read.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gristmill_core::Error> {
    /// # use gristmill_core::{Name, RegisterQuery, RegisterSelect};
    /// # let client = gristmill_engine::Client::new(gristmill_memory::Memory::new());
    /// let mut query = RegisterQuery::new(Name::new("x.rates")?, RegisterSelect::Prefix("eu.".into()));
    /// loop {
    ///     let page = client.registers(query.clone()).await?;
    ///     for (key, register) in &page.items {
    ///         println!("{key:?} {}", register.stamp);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     query = query.after(Some(next));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn registers(&self, query: RegisterQuery) -> Result<RegisterPage, Error> {
        self.call("list_registers", |backend, call| backend.list_registers(call, query)).await
    }
}

fn check_space(space: &Name) -> Result<(), Error> {
    if space.as_str().starts_with(OF_USERS) {
        return Ok(());
    }
    let error = Error::invalid(format!("register of `{space}`: `space` does not begin with `{OF_USERS}`"));
    Err(error.with_hint(format!("name it `{OF_USERS}{space}`; other spaces belong to Gristmill")))
}

/// What a change takes to send.
fn bytes_of(change: &Change) -> usize {
    let jobs: usize = change.effects.jobs.iter().map(NewJob::bytes).sum();
    change.key.len() + change.put.value.len() + jobs
}
