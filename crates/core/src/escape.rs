//! Text from handlers made fit to be stored and shown.

/// `text`, cut with `…` once it is `max_bytes` long, its control characters but those in `kept` escaped.
pub(crate) fn escape(text: &str, max_bytes: usize, kept: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len().min(max_bytes));
    for char in text.chars() {
        if escaped.len() + char.len_utf8() > max_bytes {
            escaped.push('…');
            break;
        }
        if char.is_control() && !kept.contains(&char) {
            escaped.extend(char.escape_default());
        } else {
            escaped.push(char);
        }
    }
    escaped
}
