//! Tells by a plan whether it reads all of a table.

use std::collections::HashMap;

use super::super::site::Raw;
use super::LARGE;

/// What has taken all rows below it before it gives the first.
const TAKES_ALL: [&str; 5] = ["Sort", "Aggregate", "Materialize", "Hash", "WindowAgg"];
/// The condition of `waiting_due`, which a plan repeats where it locks rows.
const REPEATED: &str = "Filter: ((kind IS NULL) AND (state = ANY ('{1,4}'::integer[])))";
/// Plans that stand beside the one they are shown in: no end of that one ends them.
const BESIDE: [&str; 3] = ["CTE ", "InitPlan ", "SubPlan "];

/// The first column of each index, which alone tells where in it a row is.
pub(super) fn first_columns(raw: &Raw) -> HashMap<String, String> {
    let columns = raw.value(
        "SELECT string_agg(format('%s %s', indexrelid::regclass::text, pg_get_indexdef(indexrelid, 1, true)), E'\\n')
         FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = '{schema}'::regnamespace",
    );
    let known = columns.lines().filter_map(|line| line.rsplit_once(' '));
    known
        .map(|(index, column)| {
            let name = index.rsplit_once('.').map_or(index, |(_, name)| name);
            (name.trim_matches('"').to_owned(), column.to_owned())
        })
        .collect()
}

/// The large tables of which a plan reads everything: by a scan, or by an index without a condition on its
/// first column and without an end that comes as soon as there are enough rows.
pub(super) fn read_as_a_whole<'p>(plan: &'p str, first_columns: &HashMap<String, String>) -> Vec<&'p str> {
    let lines: Vec<&str> = plan.lines().collect();
    let mut whole = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some((before, rest)) = line.split_once(" on ") else { continue };
        let Some(table) = rest.split([' ', '.']).next().filter(|table| is_large(table)) else { continue };
        let details: Vec<&str> = lines[place + 1..]
            .iter()
            .take_while(|below| depth(below) > depth(line) && !below.contains("->"))
            .map(|below| below.trim_start())
            .collect();
        let index = before.rsplit_once(" using ").map_or("", |(_, index)| index.trim_matches('"'));
        // A range is no look-up where rows of it are thrown away: what lies in it may be all of the table.
        let is_filtered = details.iter().any(|detail| detail.starts_with("Filter: ") && *detail != REPEATED);
        let is_look_up = |condition: &str| {
            let Some(column) = first_columns.get(index) else { return false };
            let is_equal = [format!("({column} = "), format!("ROW({column}, ")]
                .iter()
                .any(|said| condition.contains(said));
            condition.contains(column) && (is_equal || !is_filtered)
        };
        let has_condition =
            details.iter().any(|detail| detail.strip_prefix("Index Cond: ").is_some_and(is_look_up));
        // In the order of an index, each row wanted, with an end: what is read does not grow with the table.
        let has_end = !is_filtered && has_end(&lines[..place], depth(line));
        let by_index =
            !has_condition && (before.contains("Bitmap Heap") || (before.contains("Index") && !has_end));
        if !before.contains("Bitmap Index") && (before.contains("Seq Scan") || by_index) {
            whole.push(table);
        }
    }
    whole
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether what is above a scan stops it after some rows.
fn has_end(above: &[&str], mut depth_below: usize) -> bool {
    for line in above.iter().rev() {
        if depth(line) >= depth_below {
            continue;
        }
        depth_below = depth(line);
        let node = line.trim_start().trim_start_matches("->").trim_start();
        let node = node.split("  (").next().unwrap_or(node);
        if node == "Limit" {
            return true;
        }
        let takes_all = TAKES_ALL.iter().any(|kind| node.ends_with(kind));
        if takes_all || BESIDE.iter().any(|kind| node.starts_with(kind)) {
            return false;
        }
    }
    false
}

/// Whether it is a large table, or a partition of one.
fn is_large(table: &str) -> bool {
    LARGE
        .iter()
        .any(|large| table.strip_prefix(large).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
}
