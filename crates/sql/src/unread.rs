//! What of a row cannot be read.

use std::fmt;

use gristmill_core::Name;

/// The longest part of a value that is shown, in characters.
const SHOWN: usize = 80;

/// Collects what of a row this version cannot read. A newer version, a manual edit or a damaged page may have
/// written it; the rest of the row is shown all the same.
///
/// ```
/// use gristmill_sql::Unread;
///
/// let mut unread = Unread::default();
/// assert_eq!(unread.name("queue", Some("mail")).as_str(), "mail");
/// assert_eq!(unread.name("kind", Some("two words")).as_str(), gristmill_core::Name::UNREADABLE);
/// assert_eq!(unread.into_text().as_deref(), Some("kind `two words`"));
/// ```
#[derive(Debug, Default)]
pub struct Unread(Option<String>);

impl Unread {
    /// Notes a value by its column.
    pub fn note(&mut self, column: &str, value: impl fmt::Display) {
        let value: String = value.to_string().escape_debug().take(SHOWN).collect();
        let text = format!("{column} `{value}`");
        self.0 = Some(match self.0.take() {
            Some(before) => format!("{before}, {text}"),
            None => text,
        });
    }

    /// The name with this text; the stand-in, noted, where it is none.
    pub fn name(&mut self, column: &str, text: Option<&str>) -> Name {
        let text = text.unwrap_or_default();
        Name::new(text).unwrap_or_else(|_| {
            self.note(column, text);
            Name::unreadable()
        })
    }

    /// The names of a JSON array that are names; what is none is noted.
    pub fn names(&mut self, column: &str, json: Option<&str>) -> Vec<Name> {
        let json = json.unwrap_or("[]");
        let Ok(texts) = serde_json::from_str::<Vec<String>>(json) else {
            self.note(column, json);
            return Vec::new();
        };
        texts.iter().map(|text| self.name(column, Some(text))).collect()
    }

    /// The value, or its stand-in, noted, where the number stands for none.
    pub fn or<T>(&mut self, column: &str, number: impl fmt::Display, value: Option<T>, stand_in: T) -> T {
        value.unwrap_or_else(|| {
            self.note(column, number);
            stand_in
        })
    }

    /// All that was noted.
    pub fn into_text(self) -> Option<String> {
        self.0
    }
}
