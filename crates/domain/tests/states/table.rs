//! Tables of text that people can read.

use std::fmt::{Debug, Write};

/// `MembershipInReview` as people would write it.
pub(super) fn words(of: impl Debug) -> String {
    let mut words = String::new();
    for c in format!("{of:?}").chars() {
        match c {
            '(' => words.push_str(": "),
            ')' => {}
            c if c.is_uppercase() => {
                if words.chars().last().is_some_and(char::is_alphanumeric) {
                    words.push(' ');
                }
                words.extend(c.to_lowercase());
            }
            c => words.push(c),
        }
    }
    words
}

/// A table of text, aligned.
pub(super) struct Table {
    title: &'static str,
    note: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: &'static str, note: &'static str, head: &[&str]) -> Self {
        Self { title, note, rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        assert_eq!(row.len(), self.rows[0].len(), "{row:?}");
        self.rows.push(row);
    }

    pub(super) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.rows[0].len())
            .map(|column| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap())
            .collect();
        let mut text = format!("\n{}\n{}\n\n{}\n\n", self.title, "-".repeat(self.title.len()), self.note);
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(text, "{}", cells.collect::<Vec<_>>().join(" | ").trim_end()).unwrap();
            if number == 0 {
                let line: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(text, "{}", line.join("-|-")).unwrap();
            }
        }
        text
    }
}
