//! String-keyed JSON that travels with a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most metadata a job carries, as JSON.
pub const MAX_METADATA_BYTES: usize = 64 * 1024;

/// Trace context and the caller's own keys: visible to every handler, never interpreted by the store.
///
/// ```
/// use gristmill_core::Metadata;
/// let metadata = Metadata::new().with("tenant", "acme");
/// assert_eq!(metadata.get("tenant").and_then(|value| value.as_str()), Some("acme"));
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, Value>);

/// Why metadata cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata is not valid: {0}")]
pub struct InvalidMetadata(String);

impl Metadata {
    /// No metadata.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds or replaces a key.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Adds or replaces a key.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The JSON object a store keeps.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a map with string keys is always JSON")
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// [`InvalidMetadata`] when the text is no JSON object.
    pub fn from_json(json: &str) -> Result<Self, InvalidMetadata> {
        serde_json::from_str(json).map(Self).map_err(|error| InvalidMetadata(error.to_string()))
    }

    /// Checks the rules of [`Args`](crate::Args) and the size.
    ///
    /// # Errors
    /// [`InvalidMetadata`] says which rule is broken.
    pub fn check(&self) -> Result<(), InvalidMetadata> {
        if self.is_empty() {
            return Ok(());
        }
        super::args::check_json(self.to_json().as_bytes(), MAX_METADATA_BYTES)
            .map_err(|error| InvalidMetadata(error.to_string()))
    }
}
