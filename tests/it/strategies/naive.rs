//! What the strategies mean, row by row and without cleverness.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

use super::project::Cells;

/// A row of the model: key, group, value.
pub(crate) type Row = (Option<i64>, Option<String>, i64);

/// A strategy, with what it is configured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naive {
    Append,
    /// By `k`.
    Merge,
    /// By `k`, taking `v` alone.
    MergeValue,
    /// By `k` and `g`.
    MergeBoth,
    /// Without a key.
    MergeNothing,
    /// By `k`.
    DeleteInsert,
    /// By `k` and `g`.
    DeleteInsertBoth,
    /// By `g`.
    OverwritePartitions,
    Overwrite,
}

impl Naive {
    pub(crate) const ALL: [Self; 9] = [
        Self::Append,
        Self::Merge,
        Self::MergeValue,
        Self::MergeBoth,
        Self::MergeNothing,
        Self::DeleteInsert,
        Self::DeleteInsertBoth,
        Self::OverwritePartitions,
        Self::Overwrite,
    ];

    pub(crate) fn config(self) -> &'static str {
        match self {
            Self::Append => "incremental_strategy='append', unique_key='k'",
            Self::Merge => "incremental_strategy='merge', unique_key='k'",
            Self::MergeValue => {
                "incremental_strategy='merge', unique_key=['k'], merge_update_columns='v'"
            }
            Self::MergeBoth => "incremental_strategy='merge', unique_key=['k', 'g']",
            Self::MergeNothing => "incremental_strategy='merge'",
            Self::DeleteInsert => "incremental_strategy='delete+insert', unique_key='k'",
            Self::DeleteInsertBoth => {
                "incremental_strategy='delete+insert', unique_key=['k', 'g']"
            }
            Self::OverwritePartitions => {
                "incremental_strategy='insert_overwrite', partition_by='g'"
            }
            Self::Overwrite => "incremental_strategy='insert_overwrite'",
        }
    }

    /// Whether new rows may not share a key.
    pub(crate) fn needs_unique(self) -> bool {
        matches!(self, Self::Merge | Self::MergeValue | Self::MergeBoth)
    }

    /// Whether a new row and one that is there match: a null equals nothing.
    pub(crate) fn matches(self, old: &Row, new: &Row) -> bool {
        let key = old.0.is_some() && old.0 == new.0;
        let group = old.1.is_some() && old.1 == new.1;
        match self {
            Self::Merge | Self::MergeValue | Self::DeleteInsert => key,
            Self::MergeBoth | Self::DeleteInsertBoth => key && group,
            // a partition may be null
            Self::OverwritePartitions => old.1 == new.1,
            Self::Append | Self::MergeNothing => false,
            Self::Overwrite => true,
        }
    }

    /// One increment.
    pub(crate) fn apply(self, table: &mut Vec<Row>, new: &[Row]) {
        if !self.needs_unique() {
            table.retain(|old| !new.iter().any(|new| self.matches(old, new)));
            table.extend_from_slice(new);
            return;
        }
        let before = table.clone();
        for old in table.iter_mut() {
            if let Some(new) = new.iter().find(|new| self.matches(old, new)) {
                match self {
                    Self::MergeValue => old.2 = new.2,
                    _ => *old = new.clone(),
                }
            }
        }
        let unmatched = new
            .iter()
            .filter(|new| !before.iter().any(|old| self.matches(old, new)));
        table.extend(unmatched.cloned());
    }
}

/// Rows as the columns of the source.
pub(crate) fn columns(rows: &[Row]) -> Vec<(&'static str, ArrayRef)> {
    let keys: Int64Array = rows.iter().map(|r| r.0).collect();
    let groups: StringArray = rows.iter().map(|r| r.1.clone()).collect();
    let values: Int64Array = rows.iter().map(|r| Some(r.2)).collect();
    vec![
        ("k", Arc::new(keys)),
        ("g", Arc::new(groups)),
        ("v", Arc::new(values)),
    ]
}

/// Rows as they are read.
pub(crate) fn cells(rows: &[Row]) -> Cells {
    let text = |n: i64| n.to_string();
    let mut cells: Cells = rows
        .iter()
        .map(|(k, g, v)| vec![k.map(text), g.clone(), Some(text(*v))])
        .collect();
    cells.sort();
    cells
}

/// `1 a 10`: key, group, value; `-` is null.
pub(crate) fn rows(texts: &[&str]) -> Vec<Row> {
    let row = |text: &&str| {
        let words: Vec<_> = text.split(' ').map(|w| (w != "-").then_some(w)).collect();
        let number = |word: &str| word.parse().unwrap();
        (
            words[0].map(number),
            words[1].map(str::to_owned),
            words[2].map(number).unwrap(),
        )
    };
    texts.iter().map(row).collect()
}
