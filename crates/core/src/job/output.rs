//! What a completed job returned.

use bytes::Bytes;
use serde::Serialize;

use super::args::check_json;

/// The most bytes of output that are kept.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// A completed job's output: JSON under the rules of [`Args`](crate::Args), except that an output that breaks
/// them is replaced by a note instead of failing the finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output(Bytes);

impl Output {
    /// Encodes a value. What cannot be kept becomes `{"gristmill_output_error": "…why…"}`.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::from_json(json),
            Err(error) => Self::note(&error.to_string()),
        }
    }

    /// Takes JSON as it is. What cannot be kept becomes `{"gristmill_output_error": "…why…"}`.
    pub fn from_json(json: impl Into<Bytes>) -> Self {
        let json = json.into();
        match check_json(&json, MAX_OUTPUT_BYTES) {
            Ok(()) => Self(json),
            Err(error) => Self::note(&error.to_string()),
        }
    }

    /// What a store kept.
    pub fn from_stored(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The JSON bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decodes straight into the caller's type.
    ///
    /// # Errors
    /// serde's own error.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    fn note(why: &str) -> Self {
        let note = serde_json::json!({ "gristmill_output_error": why });
        Self(Bytes::from(note.to_string()))
    }
}
