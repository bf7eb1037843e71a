//! A register, and how its key is written.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use gristmill::{Name, Register, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::output::{escape, escape_json, steers};

/// A key as text that can be typed: `\xNN` for a byte that is not UTF-8 or would steer a terminal, `\\` for a
/// backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(Bytes);

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<Bytes> for Key {
    fn from(key: Bytes) -> Self {
        Self(key)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((plain, escaped)) = rest.split_once('\\') {
            bytes.extend_from_slice(plain.as_bytes());
            if let Some(after) = escaped.strip_prefix('\\') {
                bytes.push(b'\\');
                rest = after;
            } else if let Some((digits, after)) = escaped
                .strip_prefix('x')
                .and_then(|escaped| escaped.split_at_checked(2))
                .filter(|(digits, _)| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            {
                bytes.extend(u8::from_str_radix(digits, 16));
                rest = after;
            } else {
                return Err("write `\\\\` for a backslash, or `\\xNN` for a byte".to_owned());
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        if bytes.len() > Register::MAX_KEY_BYTES {
            let most = Register::MAX_KEY_BYTES;
            return Err(format!("a key has at most {most} bytes, this one {}", bytes.len()));
        }
        Ok(Self(bytes.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let byte = |f: &mut fmt::Formatter<'_>, byte: &u8| write!(f, "\\x{byte:02x}");
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '\\' => f.write_str("\\\\")?,
                    char if steers(char) => {
                        char.encode_utf8(&mut [0; 4]).as_bytes().iter().try_for_each(|one| byte(f, one))?;
                    }
                    char => fmt::Write::write_char(f, char)?,
                }
            }
            chunk.invalid().iter().try_for_each(|one| byte(f, one))?;
        }
        Ok(())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A line of `registers list --json`, and with its value `registers show --json`:
///
/// ```json
/// {"space":"x.rates","key":"eu.vat","format":1,"stamp":"89abcdef01234567","due":null,"forget_at":null,
///  "bytes":16,"value":{"v":1,"rate":19}}
/// ```
///
/// The format is null, and the value a string, where it does not parse.
#[derive(Debug, Serialize)]
pub(crate) struct RegisterShape<'a> {
    space: &'a Name,
    key: Key,
    format: Option<u32>,
    stamp: String,
    due: Option<Timestamp>,
    forget_at: Option<Timestamp>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

impl<'a> RegisterShape<'a> {
    pub(crate) const HEADINGS: [&'static str; 6] = ["KEY", "FORMAT", "STAMP", "DUE", "FORGET AT", "BYTES"];

    pub(crate) fn new(space: &'a Name, key: Key, register: &Register) -> Self {
        Self {
            space,
            key,
            format: register.format(),
            stamp: register.stamp.to_string(),
            due: register.due,
            forget_at: register.forget_at,
            bytes: register.value.len(),
            value: None,
        }
    }

    /// With the value: as it is, or as text where it is no JSON.
    pub(crate) fn with_value(mut self, register: &Register) -> Self {
        let text = String::from_utf8_lossy(&register.value);
        let raw = RawValue::from_string(text.clone().into_owned())
            .or_else(|_| serde_json::value::to_raw_value(&text))
            .expect("a text is JSON");
        self.value = Some(raw);
        self
    }

    /// The cells below [`Self::HEADINGS`].
    pub(crate) fn cells(&self) -> [String; 6] {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        [
            self.key.to_string(),
            self.format.map_or_else(|| "?".to_owned(), |format| format.to_string()),
            self.stamp.clone(),
            at(self.due),
            at(self.forget_at),
            self.bytes.to_string(),
        ]
    }

    /// Everything but the value, by name.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let [key, format, stamp, due, forget_at, bytes] = self.cells();
        let space = self.space.to_string();
        let names = ["space", "key", "format", "stamp", "due", "forget at", "bytes"];
        let values = [space, key, format, stamp, due, forget_at, bytes];
        names.into_iter().zip(values).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The value in lines for people: JSON with one member a line, anything else as it is.
    pub(crate) fn lines_of_value(register: &Register) -> Vec<String> {
        let text = String::from_utf8_lossy(&register.value);
        match serde_json::from_str::<&RawValue>(&text) {
            Ok(_) => indented(&text).lines().map(|line| escape_json(line).into_owned()).collect(),
            Err(_) => vec![escape(&text).into_owned()],
        }
    }
}

/// Valid JSON, one member a line. Numbers and the order of members stay as they are written, which they would
/// not in a `serde_json::Value`.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        if in_string {
            text.push(char);
            in_string = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        match char {
            '"' => {
                in_string = true;
                text.push(char);
            }
            '{' | '[' => {
                text.push(char);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(char);
            }
            ',' => {
                text.push(char);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            char if char.is_ascii_whitespace() => {}
            char => text.push(char),
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_it_is_typed() {
        for (bytes, shown) in [
            (&b"eu.vat"[..], "eu.vat"),
            ("é •".as_bytes(), "é •"),
            (b"a\\b", "a\\\\b"),
            (b"\xff\x00k\x1b", "\\xff\\x00k\\x1b"),
            ("\u{202e}".as_bytes(), "\\xe2\\x80\\xae"),
            (b"\xe2\x80", "\\xe2\\x80"),
            (b"\\xff", "\\\\xff"),
        ] {
            let key = Key::from(Bytes::copy_from_slice(bytes));
            assert_eq!(key.to_string(), shown);
            assert_eq!(shown.parse::<Key>(), Ok(key));
        }
        for wrong in ["\\", "\\x1", "\\xzz", "\\n", "\\x+1", "\\xé"] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong}");
        }
        assert!("k".repeat(255).parse::<Key>().is_ok() && "k".repeat(256).parse::<Key>().is_err());
    }

    #[test]
    fn a_value_keeps_its_numbers_and_its_order() {
        let lines = |value: &str| RegisterShape::lines_of_value(&Register::new(value.to_owned()));
        let value = r#"{"v":1, "b":[1.50,{}, [ ]],"a":{"x\"{,":12345678901234567890123}}"#;
        let mut expected = vec!["{", "  \"v\": 1,", "  \"b\": [", "    1.50,", "    {},", "    []", "  ],"];
        expected.extend(["  \"a\": {", "    \"x\\\"{,\": 12345678901234567890123", "  }", "}"]);
        assert_eq!(lines(value), expected);
    }

    #[test]
    fn a_value_that_does_not_parse_is_shown_as_it_is() {
        let space = Name::new("x.test").expect("a name");
        for (value, shown) in [("{\"v\":1,\"cut", "{\"v\":1,\"cut"), ("", ""), ("a\x1b", "a\\u{1b}")] {
            let register = Register::new(value);
            assert_eq!(RegisterShape::lines_of_value(&register), [shown]);
            let shape = RegisterShape::new(&space, "k".parse().expect("a key"), &register);
            let json = serde_json::to_value(shape.with_value(&register)).expect("it is JSON");
            assert_eq!(json["value"], value);
        }
    }
}
