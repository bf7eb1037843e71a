//! A job's input: JSON that every backend can hold, checked before any I/O.

use bytes::Bytes;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;

use crate::Encoding;

/// The most bytes of args by default: 1 MiB.
pub const MAX_ARGS_BYTES: usize = 1024 * 1024;
/// The most bytes of args an option may allow: 16 MiB, the smallest packet limit among the databases.
pub const MAX_ARGS_BYTES_HARD: usize = 16 * 1024 * 1024;
/// The deepest nesting of args; MariaDB's JSON ends at 31.
pub const MAX_ARGS_DEPTH: usize = 30;

/// A job's args: JSON in UTF-8, kept as the bytes that were given, or the bytes of another [`Encoding`].
///
/// Of JSON, refused are: more than the size limit, nesting deeper than [`MAX_ARGS_DEPTH`], NUL in a string or
/// key (PostgreSQL's jsonb rejects it, SQLite's `json_extract` cuts at it), lone surrogates, integers outside
/// `i64`/`u64` and numbers outside `f64` (they would change silently).
///
/// ```
/// use gristmill_core::Args;
/// let args = Args::encode(&serde_json::json!({"user_id": 7}))?;
/// assert_eq!(args.as_bytes(), br#"{"user_id":7}"#);
/// assert!(Args::from_json(r#"{"name":"a\u0000b"}"#).is_err());
/// # Ok::<(), gristmill_core::InvalidArgs>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    bytes: Bytes,
    encoding: Encoding,
}

/// Why args are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgs {
    /// Not JSON, or not UTF-8.
    #[error("not valid JSON: {0}")]
    NotJson(String),
    /// Too many bytes.
    #[error(
        "{bytes} bytes are more than the {limit} allowed; store large inputs elsewhere and pass a reference"
    )]
    TooLarge {
        /// How many there are.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Nested too deeply.
    #[error("nested deeper than {MAX_ARGS_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Where.
        at: usize,
    },
    /// NUL in a string or key.
    #[error("a string holds NUL at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// Half of a surrogate pair.
    #[error("a string holds a lone surrogate at byte {at}")]
    LoneSurrogate {
        /// Where.
        at: usize,
    },
    /// A number that would change when it is read.
    #[error("the number at byte {at} does not fit 64 bits; pass it as a string")]
    NumberOutOfRange {
        /// Where.
        at: usize,
    },
}

impl Args {
    /// The empty object, for jobs without input.
    pub fn empty() -> Self {
        Self::from_stored(Bytes::from_static(b"{}"))
    }

    /// Encodes a value; at most [`MAX_ARGS_BYTES`].
    ///
    /// # Errors
    /// [`InvalidArgs`] says which rule is broken, and where.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidArgs> {
        let json = serde_json::to_vec(value).map_err(|error| InvalidArgs::NotJson(error.to_string()))?;
        scan(&json, MAX_ARGS_BYTES)?;
        Ok(Self::from_stored(json))
    }

    /// Takes JSON as it is; at most [`MAX_ARGS_BYTES`].
    ///
    /// # Errors
    /// [`InvalidArgs`] says which rule is broken, and where.
    pub fn from_json(json: impl Into<Bytes>) -> Result<Self, InvalidArgs> {
        Self::from_json_within(json, MAX_ARGS_BYTES)
    }

    /// Takes JSON as it is; at most `limit` bytes, itself at most [`MAX_ARGS_BYTES_HARD`].
    ///
    /// # Errors
    /// [`InvalidArgs`] says which rule is broken, and where.
    pub fn from_json_within(json: impl Into<Bytes>, limit: usize) -> Result<Self, InvalidArgs> {
        let json = json.into();
        check_json(&json, limit.min(MAX_ARGS_BYTES_HARD))?;
        Ok(Self::from_stored(json))
    }

    /// Takes bytes that a codec has written; at most [`MAX_ARGS_BYTES`]. JSON is checked as by
    /// [`Self::from_json`].
    ///
    /// # Errors
    /// [`InvalidArgs`] says which rule is broken, and where.
    pub fn encoded(bytes: impl Into<Bytes>, encoding: Encoding) -> Result<Self, InvalidArgs> {
        if encoding.is_json() {
            return Self::from_json(bytes);
        }
        let args = Self { bytes: bytes.into(), encoding };
        args.check(MAX_ARGS_BYTES)?;
        Ok(args)
    }

    /// The rules of args, for bytes from outside: those of JSON, or the size alone where a codec has written
    /// them.
    pub(crate) fn check(&self, limit: usize) -> Result<(), InvalidArgs> {
        match self.bytes.len() {
            _ if self.encoding.is_json() => check_json(&self.bytes, limit),
            bytes if bytes > limit => Err(InvalidArgs::TooLarge { bytes, limit }),
            _ => Ok(()),
        }
    }

    /// What a store kept as JSON; it was checked when it was enqueued.
    pub fn from_stored(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), encoding: Encoding::JSON }
    }

    /// These bytes in the encoding that a store kept beside them.
    #[must_use]
    pub fn stored_as(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How the bytes are written.
    pub const fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The bytes as they were given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The shared bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Decodes straight into the caller's type.
    ///
    /// # Errors
    /// serde's own error, with its line and column; for args of another encoding than JSON an error that
    /// names it.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.encoding.codec() {
            None => serde_json::from_slice(&self.bytes),
            Some(codec) => Err(serde_json::Error::custom(format!(
                "they are written by the codec `{codec}`, which this program does not have"
            ))),
        }
    }
}

/// Checks bytes from outside: that they are JSON, and the rules of args.
pub(crate) fn check_json(json: &[u8], limit: usize) -> Result<(), InvalidArgs> {
    if json.len() > limit {
        return Err(InvalidArgs::TooLarge { bytes: json.len(), limit });
    }
    serde_json::from_slice::<&RawValue>(json).map_err(|error| InvalidArgs::NotJson(error.to_string()))?;
    scan(json, limit)
}

/// One pass over valid JSON: size, depth, NUL, surrogates, numbers.
fn scan(json: &[u8], limit: usize) -> Result<(), InvalidArgs> {
    if json.len() > limit {
        return Err(InvalidArgs::TooLarge { bytes: json.len(), limit });
    }
    let (mut at, mut depth) = (0, 0);
    while at < json.len() {
        match json[at] {
            b'"' => at = scan_string(json, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_ARGS_DEPTH {
                    return Err(InvalidArgs::TooDeep { at });
                }
            }
            b'}' | b']' => depth -= 1,
            b'-' | b'0'..=b'9' => at = scan_number(json, at)?,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// From behind the opening quote to the closing one.
fn scan_string(json: &[u8], mut at: usize) -> Result<usize, InvalidArgs> {
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\\' => at = scan_escape(json, at)?,
            _ => at += 1,
        }
    }
    Ok(at)
}

/// From a backslash to behind the escape.
fn scan_escape(json: &[u8], at: usize) -> Result<usize, InvalidArgs> {
    if json.get(at + 1) != Some(&b'u') {
        return Ok(at + 2);
    }
    match code_unit(json, at) {
        Some(0) => Err(InvalidArgs::Nul { at }),
        Some(0xd800..=0xdbff) => match code_unit(json, at + 6) {
            Some(0xdc00..=0xdfff) => Ok(at + 12),
            _ => Err(InvalidArgs::LoneSurrogate { at }),
        },
        Some(0xdc00..=0xdfff) => Err(InvalidArgs::LoneSurrogate { at }),
        Some(_) => Ok(at + 6),
        None => Err(InvalidArgs::NotJson(format!("broken escape at byte {at}"))),
    }
}

/// The four hexadecimal digits of a `\uXXXX` at `at`.
fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let escape = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
}

/// From a number's first byte to its last.
fn scan_number(json: &[u8], start: usize) -> Result<usize, InvalidArgs> {
    let length = json[start..]
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .count();
    // Up to 18 digits fit without a look.
    if length > 18 || json[start..start + length].iter().any(|byte| matches!(byte, b'e' | b'E')) {
        let text = std::str::from_utf8(&json[start..start + length]).unwrap_or_default();
        let fits = if text.contains(['.', 'e', 'E']) {
            text.parse::<f64>().is_ok_and(f64::is_finite)
        } else {
            text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
        };
        if !fits {
            return Err(InvalidArgs::NumberOutOfRange { at: start });
        }
    }
    Ok(start + length - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn what_every_backend_can_hold_is_taken() {
        let taken = [
            "{}",
            "null",
            "\"a\"",
            "-1",
            "1.5e3",
            "18446744073709551615",
            "-9223372036854775808",
            r#"{"k":"\ud83d\ude00 \\u0000"}"#,
            "\"é😀\"",
            &nested(30),
            r#"{"a":1,"a":2}"#,
        ];
        for json in taken {
            assert!(Args::from_json(json.to_owned()).is_ok(), "{json} must be taken");
        }
    }

    #[test]
    fn what_some_backend_would_change_is_refused() {
        use InvalidArgs as E;
        type Check = fn(&InvalidArgs) -> bool;
        let refused: [(&str, Check); 12] = [
            ("", |e| matches!(e, E::NotJson(_))),
            ("{", |e| matches!(e, E::NotJson(_))),
            ("{} {}", |e| matches!(e, E::NotJson(_))),
            ("{'a':1}", |e| matches!(e, E::NotJson(_))),
            (r#"["a\u0000"]"#, |e| matches!(e, E::Nul { at: 3 })),
            (r#"{"\u0000":1}"#, |e| matches!(e, E::Nul { .. })),
            (r#""\ud800""#, |e| matches!(e, E::LoneSurrogate { at: 1 })),
            (r#""\udc00\ud800""#, |e| matches!(e, E::LoneSurrogate { .. })),
            ("18446744073709551616", |e| matches!(e, E::NumberOutOfRange { at: 0 })),
            ("-9223372036854775809", |e| matches!(e, E::NumberOutOfRange { .. })),
            ("[1e400]", |e| matches!(e, E::NumberOutOfRange { at: 1 })),
            (&nested(31), |e| matches!(e, E::TooDeep { at: 30 })),
        ];
        for (json, check) in refused {
            let error = Args::from_json(json.to_owned()).expect_err(json);
            assert!(check(&error), "{json}: {error}");
        }
        assert!(matches!(Args::from_json(vec![b'"', 0xff, b'"']), Err(E::NotJson(_))));
        assert!(matches!(Args::from_json_within("[1,2,3]", 3), Err(E::TooLarge { bytes: 7, limit: 3 })));
    }

    #[test]
    fn bytes_of_a_codec_are_kept_and_not_read_as_json() {
        let zstd = Encoding::named(crate::Name::new("zstd").expect("a name"));
        let args = Args::encoded(b"{}".to_vec(), zstd.clone()).expect("they are small");
        assert_eq!((args.as_bytes(), args.encoding()), (&b"{}"[..], &zstd));
        assert_ne!(args, Args::empty());
        let error = args.decode::<serde_json::Value>().expect_err("there is no codec");
        assert!(error.to_string().contains("`zstd`"), "{error}");
        let large = Args::encoded(vec![0; MAX_ARGS_BYTES + 1], zstd);
        assert!(matches!(large, Err(InvalidArgs::TooLarge { .. })));
        let json = Encoding::named(crate::Name::new("json").expect("a name"));
        assert!(json.is_json());
        assert!(matches!(Args::encoded(b"{".to_vec(), json), Err(InvalidArgs::NotJson(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(bytes: Vec<u8>) {
            let _ = Args::from_json(bytes);
        }

        #[test]
        fn any_text_without_nul_passes(text in "[^\u{0}]*") {
            proptest::prop_assert!(Args::encode(&text).is_ok());
        }
    }
}
