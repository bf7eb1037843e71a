//! How the bytes of a job's args are written.

use std::fmt;

use crate::Name;

/// How the bytes of a job's args are written: as JSON, which is the default and the only encoding this
/// version reads, or as the named codec of a program writes them. Stores keep it beside the bytes and do not
/// look at either.
///
/// ```
/// use gristmill_core::{Args, Encoding, Name};
///
/// assert!(Args::empty().encoding().is_json());
/// let args = Args::encoded(&b"\x28\xb5"[..], Encoding::named(Name::new("zstd")?))?;
/// assert_eq!(args.encoding().as_str(), "zstd");
/// assert!(args.decode::<serde_json::Value>().is_err(), "there is no codec for it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Encoding(Option<Name>);

impl Encoding {
    /// JSON in UTF-8.
    pub const JSON: Self = Self(None);

    /// The encoding of the codec with this name; `json` is [`Self::JSON`].
    pub fn named(name: Name) -> Self {
        Self(Some(name).filter(|name| name.as_str() != "json"))
    }

    /// Whether the bytes are JSON.
    pub const fn is_json(&self) -> bool {
        self.0.is_none()
    }

    /// The codec's name; none for JSON.
    pub const fn codec(&self) -> Option<&Name> {
        self.0.as_ref()
    }

    /// The name, as stores and people see it.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("json", Name::as_str)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
