//! Names of queues, kinds, tags.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// A name that is safe on every backend: 1 to 64 of `A-Z a-z 0-9 . _ : / -`, compared as bytes.
///
/// The narrow set is what PostgreSQL identifiers, MariaDB collations and Redis keys have in common:
/// nothing is truncated, folded or joined into another name. Cloning is cheap.
///
/// ```
/// use gristmill_core::Name;
/// let queue = Name::new("mail")?;
/// assert_eq!(queue.as_str(), "mail");
/// assert!(Name::new("two words").is_err());
/// # Ok::<(), gristmill_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a name: {why}; use 1 to {MAX_NAME_BYTES} of the characters A-Z a-z 0-9 . _ : / -", .name.escape_debug())]
pub struct InvalidName {
    name: String,
    why: &'static str,
}

impl Name {
    /// Stands for a stored name that this version cannot read, in records of undecodable rows.
    pub const UNREADABLE: &'static str = "_undecodable_";

    /// The stand-in for a name that cannot be read: [`Self::UNREADABLE`].
    pub fn unreadable() -> Self {
        Self(Arc::from(Self::UNREADABLE))
    }

    /// Checks and keeps a name.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule is broken.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
        let name = name.as_ref();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
        let why = if name.is_empty() {
            "it is empty"
        } else if name.len() > MAX_NAME_BYTES {
            "it is too long"
        } else if !name.bytes().all(allowed) {
            "it holds another character"
        } else {
            return Ok(Self(Arc::from(name)));
        };
        Err(InvalidName { name: name.chars().take(MAX_NAME_BYTES).collect(), why })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Name {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_set_are_refused() {
        for name in ["", "a b", "ä", "a\0", "a;b", "'", "a\"b", "%", "*", &"x".repeat(65)] {
            assert!(Name::new(name).is_err(), "{name:?} must be refused");
        }
        for name in ["a", "A.b_c:d/e-9", &"x".repeat(64)] {
            assert!(Name::new(name).is_ok(), "{name:?} must be taken");
        }
    }

    #[test]
    fn names_are_compared_as_bytes() {
        assert_ne!(Name::new("Key"), Name::new("key"));
    }
}
