//! The job of the checks.

use gristmill_core::Job;
use serde::{Deserialize, Serialize};

/// A job with a number to know it by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number.
    pub number: i64,
    /// What it says.
    pub text: String,
}

impl Letter {
    /// A letter without much to say.
    pub fn new(number: i64) -> Self {
        Self { number, text: "quotes ' \" \\ and more: é😀\n".to_owned() }
    }
}

impl Job for Letter {
    const KIND: &'static str = "letter";
    type Output = ();
}
