//! The bounded queue between callers on any executor and a thread of this backend.
//!
//! One lock, held for a push or a take. A caller that finds it full leaves its waker and is woken when the
//! thread has taken what waits; nothing blocks an executor's thread.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Items that wait at most; more callers wait outside.
const CAPACITY: usize = 4_096;

/// Which items go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Heartbeats: a late one costs every lease of its worker.
    First,
    /// Everything else, in its order.
    InTurn,
}

/// The inbox was closed: its thread takes nothing more.
#[derive(Debug)]
pub(crate) struct Closed;

/// What waiting for items brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Some,
    Nothing,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    first: VecDeque<T>,
    in_turn: VecDeque<T>,
    outside: Vec<Waker>,
    sleepers: usize,
    nudged: bool,
    closed: bool,
}

impl<T> State<T> {
    fn empty_into(&mut self, items: &mut VecDeque<T>) {
        while let Some(urgent) = self.first.pop_back() {
            items.push_front(urgent);
        }
        items.append(&mut self.in_turn);
    }
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            first: VecDeque::new(),
            in_turn: VecDeque::new(),
            outside: Vec::new(),
            sleepers: 0,
            nudged: false,
            closed: false,
        };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Adds an item, waiting while the inbox is full.
    pub(crate) async fn push(&self, item: T, urgency: Urgency) -> Result<(), Closed> {
        let mut item = Some(item);
        poll_fn(|context| {
            let mut state = self.lock();
            if state.closed {
                return Poll::Ready(Err(Closed));
            }
            match urgency {
                Urgency::InTurn if state.in_turn.len() >= CAPACITY => {
                    state.outside.push(context.waker().clone());
                    return Poll::Pending;
                }
                Urgency::InTurn => state.in_turn.extend(item.take()),
                Urgency::First => state.first.extend(item.take()),
            }
            // A wake costs a system call even when no thread sleeps.
            let wake = state.sleepers > 0;
            drop(state);
            if wake {
                self.filled.notify_one();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Moves everything that waits to `items`, the urgent to their head. While there are no items at all it
    /// waits for one, at most `patience`, for ever without one.
    pub(crate) fn take_all(&self, items: &mut VecDeque<T>, patience: Option<Duration>) -> Taken {
        let mut state = self.lock();
        while state.is_empty() {
            if !items.is_empty() {
                return Taken::Some;
            }
            if state.closed {
                return Taken::Closed;
            }
            let slept;
            (state, slept) = self.sleep(state, patience);
            let nudged = std::mem::take(&mut state.nudged);
            if (nudged || slept == Slept::Enough) && state.is_empty() {
                return Taken::Nothing;
            }
        }
        state.empty_into(items);
        let outside = std::mem::take(&mut state.outside);
        drop(state);
        outside.into_iter().for_each(Waker::wake);
        Taken::Some
    }

    /// Moves what has come meanwhile to `items`, the urgent to their head, without waiting.
    pub(crate) fn take_more(&self, items: &mut VecDeque<T>) {
        let mut state = self.lock();
        state.empty_into(items);
        let outside = std::mem::take(&mut state.outside);
        drop(state);
        outside.into_iter().for_each(Waker::wake);
    }

    /// Takes one item; `None` when the inbox is closed and empty.
    pub(crate) fn take_one(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            let item = state.first.pop_front().or_else(|| state.in_turn.pop_front());
            if item.is_some() {
                let outside = state.outside.pop();
                drop(state);
                outside.into_iter().for_each(Waker::wake);
                return item;
            }
            if state.closed {
                return None;
            }
            (state, _) = self.sleep(state, None);
        }
    }

    /// Ends the wait of [`take_all`](Self::take_all) for once: the thread shall look around.
    pub(crate) fn nudge(&self) {
        self.lock().nudged = true;
        self.filled.notify_one();
    }

    /// Takes no more; what waits is still worked off.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let outside = std::mem::take(&mut state.outside);
        drop(state);
        outside.into_iter().for_each(Waker::wake);
        self.filled.notify_all();
    }

    fn sleep<'s>(
        &'s self,
        mut state: MutexGuard<'s, State<T>>,
        patience: Option<Duration>,
    ) -> (MutexGuard<'s, State<T>>, Slept) {
        state.sleepers += 1;
        let (mut state, slept) = match patience {
            None => (self.filled.wait(state).unwrap_or_else(PoisonError::into_inner), Slept::Woken),
            Some(patience) => {
                let (state, waited) =
                    self.filled.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
                (state, if waited.timed_out() { Slept::Enough } else { Slept::Woken })
            }
        };
        state.sleepers -= 1;
        (state, slept)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.in_turn.is_empty()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Slept {
    Woken,
    Enough,
}
