//! The value that forbids a second job.

use std::fmt;
use std::sync::Arc;

/// The longest unique key, in bytes.
pub const MAX_UNIQUE_KEY_BYTES: usize = 255;

/// A key that at most one job of a queue holds while it is not terminal. Compared byte by byte.
///
/// Enqueueing a second job with it stores nothing and answers with the id of the first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey(Arc<str>);

/// Why a text cannot be a unique key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the unique key {0}; use 1 to {MAX_UNIQUE_KEY_BYTES} bytes of text without NUL")]
pub struct InvalidUniqueKey(&'static str);

impl UniqueKey {
    /// Checks and keeps a key.
    ///
    /// # Errors
    /// [`InvalidUniqueKey`] when it is empty, too long or holds NUL.
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidUniqueKey> {
        let key = key.as_ref();
        if key.is_empty() {
            Err(InvalidUniqueKey("is empty"))
        } else if key.len() > MAX_UNIQUE_KEY_BYTES {
            Err(InvalidUniqueKey("is too long"))
        } else if key.contains('\0') {
            Err(InvalidUniqueKey("holds NUL"))
        } else {
            Ok(Self(Arc::from(key)))
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
