//! Tables for people; scripts take `--json`.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::escape;

/// Rows under headings. Every cell is escaped.
pub(crate) struct Table {
    table: comfy_table::Table,
    rows: usize,
}

impl Table {
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(headings);
        Self { table, rows: 0 }
    }

    /// Numbers of these columns stand at the right.
    pub(crate) fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for column in columns {
            if let Some(column) = self.table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows += 1;
        self.table.add_row(cells.into_iter().map(|cell| escape(cell.as_ref()).into_owned()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.table.to_string();
        for (index, line) in text.lines().enumerate() {
            let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}
