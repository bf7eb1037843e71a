//! One field of a rule: lists, ranges, steps and names, as a set of numbers.

/// A field: its name and its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    low: u8,
    high: u8,
    /// Names of the numbers from `low` on.
    names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "second", low: 0, high: 59, names: &[] };
pub(super) const MINUTE: Field = Field { name: "minute", low: 0, high: 59, names: &[] };
pub(super) const HOUR: Field = Field { name: "hour", low: 0, high: 23, names: &[] };
pub(super) const DAY: Field = Field { name: "day", low: 1, high: 31, names: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// 0 and 7 are Sunday.
pub(super) const WEEKDAY: Field =
    Field { name: "weekday", low: 0, high: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

impl Field {
    /// The numbers that a list names, as bits.
    pub(super) fn numbers(self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    /// The numbers of one part of a list.
    pub(super) fn part(self, part: &str) -> Result<u64, String> {
        let (body, step) = match part.split_once('/') {
            None => (part, None),
            Some((body, step)) => (body, Some(self.step(part, step)?)),
        };
        let (first, last) = match body.split_once('-') {
            _ if body == "*" => (self.low, self.high),
            Some((first, last)) => self.range(body, first, last)?,
            None => {
                let first = self.number(body)?;
                (first, if step.is_some() { self.high } else { first })
            }
        };
        Ok((first..=last).step_by(step.unwrap_or(1).into()).fold(0, |bits, number| bits | 1 << number))
    }

    fn range(self, body: &str, first: &str, last: &str) -> Result<(u8, u8), String> {
        let (from, mut to) = (self.number(first)?, self.number(last)?);
        // The week of `FRI-SUN` ends with Sunday.
        if to == 0 && from > 0 && self.high == 7 {
            to = 7;
        }
        if from > to {
            let (low, high, name) = (self.low, self.high, self.name);
            return Err(format!("{name} {body} goes backwards; write {from}-{high},{low}-{to}"));
        }
        Ok((from, to))
    }

    fn step(self, part: &str, step: &str) -> Result<u8, String> {
        let most = self.high - self.low;
        match step.parse() {
            Ok(step) if (1..=most).contains(&step) => Ok(step),
            _ => Err(format!("the step of {} {part} is not 1 to {most}", self.name)),
        }
    }

    /// A number, or the name of one.
    pub(super) fn number(self, text: &str) -> Result<u8, String> {
        let Self { name, low, high, names } = self;
        if let Some(place) = names.iter().position(|known| known.eq_ignore_ascii_case(text)) {
            return Ok(low + u8::try_from(place).unwrap_or(0));
        }
        // `+5` is a number to Rust.
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_digits && (low..=high).contains(&number) => Ok(number),
            _ if is_digits => Err(format!("{name} {text} is not {low} to {high}")),
            _ => Err(format!("{name} `{text}` is no number and no name of one")),
        }
    }
}
