//! What is wrong with a change, or with a call of changes.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::Register;
use super::change::{Change, Expect};
use crate::{BackendError, BackendErrorKind, Timestamp};

impl Change {
    /// Checks a change by itself. What is wrong names the space and the member.
    ///
    /// # Errors
    /// The first fault, for [`Committed::Refused`](crate::Committed::Refused).
    pub fn check(&self, now: Timestamp) -> Result<(), String> {
        let fault = |what: String| Err(format!("register of `{}`: {what}", self.space));
        let (key, value) = (self.key.len(), self.put.value.len());
        if key == 0 || key > Register::MAX_KEY_BYTES {
            return fault(format!("`key` has {key} bytes; 1 to {} are allowed", Register::MAX_KEY_BYTES));
        }
        if value > Register::MAX_VALUE_BYTES {
            return fault(format!("`value` has {value} bytes, more than {}", Register::MAX_VALUE_BYTES));
        }
        // A reader of bytes passes over texts without a look at them.
        let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
        if self.put.format().is_none() || !std::str::from_utf8(&self.put.value).is_ok_and(is_json) {
            return fault(
                "`value` is no JSON object that starts with `{\"v\":` and the number of its format"
                    .to_owned(),
            );
        }
        if self.put.forget_at.is_some_and(|at| at > now + Register::LONGEST) {
            return fault("`forget_at` is more than 400 days ahead".to_owned());
        }
        if !self.effects.is_empty() && (self.expect == Expect::Any || self.put.is_forgotten(now)) {
            return fault("`effects` need an expectation other than `Any`, and no deletion".to_owned());
        }
        for job in &self.effects.jobs {
            if let Err(error) = job.spec.check() {
                return fault(format!("`effects`: {error}"));
            }
        }
        Ok(())
    }

    /// Checks the bounds of a call.
    ///
    /// # Errors
    /// [`Refused`](BackendErrorKind::Refused): too many changes or effects, or one register twice.
    pub fn check_call(changes: &[Self]) -> Result<(), BackendError> {
        let refused = |message: String, hint: &'static str| {
            Err(BackendError::new(BackendErrorKind::Refused, message).with_hint(hint))
        };
        let effects: usize = changes.iter().map(|change| change.effects.len()).sum();
        if changes.len() > Self::MAX_CHANGES {
            let message = format!("{} changes of registers in a call", changes.len());
            return refused(message, "give at most 100 a call");
        }
        if effects > Self::MAX_EFFECTS {
            return refused(format!("{effects} effects in a call"), "give at most 1,000 a call");
        }
        let mut seen = HashSet::new();
        match changes.iter().find(|change| !seen.insert((&change.space, &change.key))) {
            None => Ok(()),
            Some(change) => refused(
                format!("a register of `{}` is changed twice in a call", change.space),
                "give each register once a call",
            ),
        }
    }
}
