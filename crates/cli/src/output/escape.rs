//! Escapes control characters: job data comes from other programs and must not control the user's terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Text with control characters and direction marks escaped.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if steers(char) { escaped.extend(char.escape_default()) } else { escaped.push(char) }
    }
    Cow::Owned(escaped)
}

/// JSON text that means the same, with such characters written as `\uXXXX`. They can stand only within
/// strings.
pub(crate) fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(steers) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    let mut units = [0; 2];
    for char in json.chars() {
        if steers(char) {
            for unit in char.encode_utf16(&mut units) {
                // Writing to a `String` cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

/// C0, DEL and C1, and what turns the direction of writing or ends a line.
pub(crate) fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_json};

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        assert_eq!(escape("a\x1b[31m\n\u{9b}é"), "a\\u{1b}[31m\\n\\u{9b}é");
        assert_eq!(escape("nothing to do"), "nothing to do");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let json = serde_json::to_string("a\u{9b}\u{202e}é\u{7f}").expect("it is a string");
        let escaped = escape_json(&json);
        assert_eq!(escaped, "\"a\\u009b\\u202eé\\u007f\"");
        assert_eq!(
            serde_json::from_str::<String>(&escaped).expect("it is JSON"),
            serde_json::from_str::<String>(&json).expect("it is JSON")
        );
    }
}
