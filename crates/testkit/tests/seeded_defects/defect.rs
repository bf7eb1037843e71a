//! What can be wrong with a backend.

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A finish finds its run by the job's id alone, so a stale one ends the run of another worker.
    FinishesById,
    /// A rescue acts on what the worker once fetched, finished or not.
    RescuesFinishedJobs,
    /// The unique key is looked for before the call, not within it.
    SkipsUniqueWithinACall,
    /// The unique key is looked for first and stored then, without a lock in between.
    ChecksUniqueThenInserts,
    /// A repeated give-back refunds once more.
    RefundsTwice,
    /// Pause is a note for people.
    IgnoresPause,
    /// A cancel of a running job is answered and forgotten, so a late completion overwrites it.
    ForgetsCancelOfRunningJobs,
    /// Follow-up jobs are stored before the token is looked at.
    StoresEffectsOfStaleFinishes,
    /// Due times are rounded down to the second.
    PromotesEarly,
    /// A lease holds for ever.
    NeverExpiresLeases,
    /// The claim number is not kept: a repeated fetch is a new one.
    ForgetsClaims,
    /// A stale finish leaves no trace.
    HidesStaleFinishes,
    /// A heartbeat renews what it does not list.
    KeepsForgottenClaims,
    /// A batch is stored in the reverse order.
    ReversesBatches,
    /// Operators act without a trace.
    HidesEvents,
    /// A checkpoint is thrown away with its run.
    LosesCheckpoints,
    /// A list looks at states and queues, and forgets the rest of its filter.
    ListsByPlaceAlone,
    /// The end of a job forgets its unique key, which stays taken as long as the job is there.
    ForgetsKeysAtTheEnd,
    /// The end of a job forgets its retention, so no prune ever finds it.
    ForgetsRetentionAtTheEnd,
    /// A register is compared first and written then, without a lock in between.
    ComparesRegistersThenWrites,
    /// The jobs of a change are stored although it was stale.
    StoresEffectsOfStaleChanges,
    /// A repeated change does not know the register it has left, and is stale.
    ForgetsOwnStamps,
}

impl Defect {
    pub(crate) const ALL: &'static [Self] = &[
        Self::FinishesById,
        Self::RescuesFinishedJobs,
        Self::SkipsUniqueWithinACall,
        Self::ChecksUniqueThenInserts,
        Self::RefundsTwice,
        Self::IgnoresPause,
        Self::ForgetsCancelOfRunningJobs,
        Self::StoresEffectsOfStaleFinishes,
        Self::PromotesEarly,
        Self::NeverExpiresLeases,
        Self::ForgetsClaims,
        Self::HidesStaleFinishes,
        Self::KeepsForgottenClaims,
        Self::ReversesBatches,
        Self::HidesEvents,
        Self::LosesCheckpoints,
        Self::ListsByPlaceAlone,
        Self::ForgetsKeysAtTheEnd,
        Self::ForgetsRetentionAtTheEnd,
        Self::ComparesRegistersThenWrites,
        Self::StoresEffectsOfStaleChanges,
        Self::ForgetsOwnStamps,
    ];

    /// Whether it shows only where two threads meet.
    pub(crate) fn needs_threads(self) -> bool {
        matches!(self, Self::ChecksUniqueThenInserts | Self::ComparesRegistersThenWrites)
    }
}
