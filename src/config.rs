//! Settings of the extension, among DataFusion's own.

use datafusion::common::config::{ConfigExtension, ConfigOptions};
use datafusion::common::extensions_options;

extensions_options! {
    /// Settings under the prefix `sessionize`; `SET sessionize.enable_operator = false`
    /// in SQL, once a context has them (`with_sessionize` adds them).
    pub struct SessionizeOptions {
        /// Run this crate's window functions on `SessionizeExec` where a plan allows it,
        /// and not on DataFusion's window operator. Rows are the same either way.
        pub enable_operator: bool, default = true

        /// Where the rows can be read twice (files, filtered and projected), read keys and
        /// times alone first and add the functions to rows as they come, instead of sorting
        /// whole rows. Rows are the same, but leave in the order of the files.
        pub late_materialization: bool, default = true

        /// Also run windows on `SessionizeExec` that hold nothing but `row_number()`.
        pub row_number: bool, default = false

        /// Incremental runs keep an index of the unique keys of a table from this many rows
        /// on; a smaller one is read whole.
        pub index_from_rows: usize, default = 100_000
    }
}

impl SessionizeOptions {
    /// Those of a session, or the defaults if it has none.
    pub(crate) fn of(config: &ConfigOptions) -> Self {
        let ours = config.extensions.get::<Self>();
        ours.cloned().unwrap_or_default()
    }
}

impl ConfigExtension for SessionizeOptions {
    const PREFIX: &'static str = "sessionize";
}
