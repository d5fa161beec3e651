//! Which rows of a committed table's files are read, and where they lie.
//!
//! ```text
//!   file of 6 rows       0  1  2  3  4  5
//!   deletion vector         x        x
//!   is read              0     2  3     5      `__sessionize_row` tells these numbers
//!   `at_rows` of {1, 4}     1        4
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::common::extensions::Extensions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory, ParquetRowSelection,
};
use datafusion::parquet::arrow::RowNumber;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, RowSelection, RowSelector,
};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::file::metadata::PageIndexPolicy;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::CONCURRENT;
use super::files::Format;
use super::table::FileTable;
use crate::table::{DataFile, DeletionVector};

/// The place of a row's file among the files of its table.
pub(crate) const FILE_COLUMN: &str = "__sessionize_file";
/// The place of a row in its file, deleted rows counted.
pub(crate) const ROW_COLUMN: &str = "__sessionize_row";

/// Which rows of a committed file there are, and which of them are read.
#[derive(Debug, Clone)]
pub(super) struct FileRows {
    /// How many there are, deleted ones too.
    all: u64,
    deleted: Option<DeletionVector>,
    /// These alone are read, deleted or not.
    only: Option<DeletionVector>,
}

impl FileRows {
    pub(super) fn of(file: &DataFile) -> Self {
        Self {
            all: file.rows,
            deleted: file.deletion_vector.clone(),
            only: None,
        }
    }

    /// How many are read.
    pub(super) fn read(&self) -> u64 {
        match (&self.only, &self.deleted) {
            (Some(only), _) => only.len(),
            (None, Some(deleted)) => self.all.saturating_sub(deleted.len()),
            (None, None) => self.all,
        }
    }

    /// What tells a reader which rows to skip; `None` if it is to read all.
    fn selection(&self) -> Option<RowSelection> {
        let (named, skip) = match (&self.only, &self.deleted) {
            (Some(only), _) => (only, false),
            (None, Some(deleted)) => (deleted, true),
            (None, None) => return None,
        };
        let selector = |rows: u64, skip| RowSelector {
            row_count: usize::try_from(rows).unwrap_or(usize::MAX),
            skip,
        };
        let mut selectors = Vec::new();
        let mut next = 0;
        for range in named.ranges() {
            selectors.push(selector(range.start - next, !skip));
            selectors.push(selector(range.end - range.start, skip));
            next = range.end;
        }
        selectors.push(selector(self.all.saturating_sub(next), !skip));
        selectors.retain(|selector| selector.row_count > 0);
        Some(selectors.into())
    }
}

/// How many rows of the files are read; `None` if that is not known.
pub(super) fn read<'a>(
    mut files: impl Iterator<Item = &'a PartitionedFile>,
) -> Option<u64> {
    files.try_fold(0, |rows, file| {
        Some(rows + file.extensions.get::<FileRows>()?.read())
    })
}

/// Reads where the pages of files lie of which few rows are read, so that a scan reads no others:
/// it asks for them only if a filter can leave out pages. What cannot be read, the scan will say.
pub(super) async fn find_pages(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    files: &[PartitionedFile],
) {
    let known = state.runtime_env().cache_manager.get_file_metadata_cache();
    let readers = CachedParquetFileReaderFactory::new(Arc::clone(store), known);
    let metrics = ExecutionPlanMetricsSet::new();
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let few = files.iter().filter(|file| {
        let rows = file.extensions.get::<FileRows>();
        rows.is_some_and(|rows| rows.only.is_some())
    });
    let files = few.filter_map(|file| {
        let reader = readers.create_reader(0, file.clone(), None, &metrics);
        reader.ok()
    });
    let options = &options;
    let read = |mut reader: Box<dyn AsyncFileReader + Send>| async move {
        drop(reader.get_metadata(Some(options)).await);
    };
    let files = stream::iter(files.collect::<Vec<_>>());
    files.for_each_concurrent(CONCURRENT, read).await;
}

/// The file as a scan is to read it.
pub(super) fn selected(file: PartitionedFile) -> PartitionedFile {
    let Some(rows) = file.extensions.get::<FileRows>() else {
        return file;
    };
    let mut extensions = Extensions::new();
    if let Some(selection) = rows.selection() {
        extensions.insert(ParquetRowSelection::new(selection));
    }
    PartitionedFile { extensions, ..file }
}

impl FileTable {
    /// The same files as those of a committed version, with what it says of their rows.
    pub(super) fn with_rows(mut self, files: &[DataFile]) -> Self {
        let all = self.groups.iter_mut().flat_map(|group| &mut group.files);
        for (file, rows) in all.zip(files) {
            file.extensions.insert(FileRows::of(rows));
        }
        self
    }

    /// Its files, and which rows of each are deleted.
    pub(crate) fn masked(
        &self,
    ) -> impl Iterator<Item = (&ObjectMeta, Option<&DeletionVector>)> {
        let files = self.groups.iter().flat_map(|group| &group.files);
        files.map(|file| {
            let rows = file.extensions.get::<FileRows>();
            let deleted = rows.and_then(|rows| rows.deleted.as_ref());
            (&file.object_meta, deleted)
        })
    }

    /// Whether rows have places that can be told.
    pub(crate) fn has_positions(&self) -> bool {
        self.format() == Format::Parquet
    }

    /// The same rows of a table of Parquet files, with two columns more at the end: `__sessionize_file`,
    /// the place of the row's file among [`files`](Self::files), and `__sessionize_row`, the row's place
    /// in that file, deleted and skipped rows counted.
    pub(crate) fn with_positions(&self) -> Self {
        let mut table = self.clone();
        let files = table.groups.iter_mut().flat_map(|group| &mut group.files);
        for (place, file) in (0..).zip(files) {
            file.partition_values.push(ScalarValue::UInt32(Some(place)));
        }
        let file = Field::new(FILE_COLUMN, DataType::UInt32, false);
        let row = Field::new(ROW_COLUMN, DataType::Int64, false);
        table.folders.push(Arc::new(file));
        table.virtual_columns = vec![Arc::new(row.with_extension_type(RowNumber))];
        let fields: Vec<FieldRef> = table
            .file_schema
            .fields()
            .iter()
            .chain(&table.folders)
            .chain(&table.virtual_columns)
            .cloned()
            .collect();
        table.schema = Arc::new(Schema::new(fields));
        table
    }

    /// The same table with these rows of these files alone, whether or not they are deleted.
    pub(crate) fn at_rows(&self, rows: &BTreeMap<Path, DeletionVector>) -> Self {
        let named = |file: &ObjectMeta| rows.get(&file.location);
        let named = |file: &ObjectMeta| named(file).filter(|rows| !rows.is_empty());
        let mut table = self.only(|file| named(file).is_some());
        for file in table.groups.iter_mut().flat_map(|group| &mut group.files) {
            let only = named(&file.object_meta).cloned();
            if let Some(found) = file.extensions.get::<FileRows>().cloned() {
                file.extensions.insert(FileRows { only, ..found });
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::{Int64Type, UInt32Type};
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::WriterProperties;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use object_store::ObjectStoreExt;
    use url::Url;

    use super::super::committed_files;
    use super::*;
    use crate::store::Stores;
    use crate::table::TableVersion;

    /// Rows of one file, and of one row group.
    const ROWS: (i64, usize) = (1_000, 100);

    /// Two files of which the first has deleted rows: `n` counts on, from file to file.
    async fn table(deleted: &[DeletionVector]) -> (Stores, TableVersion) {
        let (stores, url) = (Stores::default(), Url::parse("memory:///t").unwrap());
        let store = stores.get(&url).unwrap();
        let field = Field::new("n", DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![field]));
        let mut files = Vec::new();
        for (place, deleted) in deleted.iter().enumerate() {
            let first = place as i64 * ROWS.0;
            let column = Int64Array::from_iter_values(first..first + ROWS.0);
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]);
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(ROWS.1))
                .set_data_page_row_count_limit(10)
                .set_write_batch_size(10)
                .build();
            let mut bytes = Vec::new();
            let schema = Arc::clone(&schema);
            let writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties));
            let mut writer = writer.unwrap();
            writer.write(&batch.unwrap()).unwrap();
            writer.close().unwrap();
            let path = Path::from(format!("t/{place}.parquet"));
            let size = bytes.len() as u64;
            store.put(&path, bytes.into()).await.unwrap();
            files.push(DataFile {
                path,
                size,
                rows: ROWS.0 as u64,
                modified: 0,
                statistics: None,
                deletion_vector: (!deleted.is_empty()).then(|| deleted.clone()),
            });
        }
        let version = TableVersion {
            url,
            version: 0,
            changed_at: 0,
            schema,
            files: files.into(),
            metadata: BTreeMap::new(),
        };
        (stores, version)
    }

    /// What a query gives, with filters in the reader and without, whole and split.
    async fn rows(table: &FileTable, query: &str) -> RecordBatch {
        let mut found: Option<RecordBatch> = None;
        for (partitions, in_reader) in [(1, false), (1, true), (7, false), (7, true)] {
            let mut config = SessionConfig::new().with_target_partitions(partitions);
            let options = config.options_mut();
            options.execution.parquet.pushdown_filters = in_reader;
            options.optimizer.repartition_file_min_size = 1;
            let context = SessionContext::new_with_config(config);
            context
                .register_table("t", Arc::new(table.clone()))
                .unwrap();
            let frame = context.sql(query).await.unwrap();
            let schema = Arc::new(frame.schema().as_arrow().clone());
            let batches = frame.collect().await.unwrap();
            let rows = concat_batches(&schema, &batches).unwrap();
            if let Some(found) = &found {
                assert_eq!(found, &rows, "{partitions} {in_reader}");
            }
            found = Some(rows);
        }
        found.unwrap()
    }

    async fn numbers(table: &FileTable, query: &str) -> Vec<i64> {
        let rows = rows(table, query).await;
        rows.column(0).as_primitive::<Int64Type>().values().to_vec()
    }

    /// Single rows, ends of row groups, one whole group, and the ends of the file.
    fn deleted() -> DeletionVector {
        let single = [0, 5, 99, 100, 455, 999].into_iter();
        single.chain(300..400).chain(640..650).collect()
    }

    #[tokio::test]
    async fn deleted_rows_are_not_read() {
        let gone = deleted();
        let (stores, version) = table(&[gone.clone(), DeletionVector::default()]).await;
        let table = committed_files(&stores, &version, &[]).unwrap();
        let live = |keep: &dyn Fn(i64) -> bool| -> Vec<i64> {
            let live = (0..2 * ROWS.0).filter(|n| !gone.contains(*n as u64));
            live.filter(|n| keep(*n)).collect()
        };
        let all = numbers(&table, "select n from t order by n").await;
        assert_eq!(all, live(&|_| true));
        // counted without a look at the files
        let count = numbers(&table, "select count(*) from t").await;
        assert_eq!(count, [2 * ROWS.0 - gone.len() as i64]);
        for (filter, keep) in [
            ("n = 455", &(|n: i64| n == 455) as &dyn Fn(i64) -> bool),
            ("n = 456", &|n| n == 456),
            ("n between 90 and 110", &|n| (90..=110).contains(&n)),
            ("n between 295 and 405", &|n| (295..=405).contains(&n)),
            ("n > 990 and n < 1010", &|n| n > 990 && n < 1010),
            ("n % 5 = 0 and n < 700", &|n| n % 5 == 0 && n < 700),
        ] {
            let query = format!("select n from t where {filter} order by n");
            assert_eq!(numbers(&table, &query).await, live(keep), "{filter}");
            let query = format!("select count(*) from t where {filter}");
            let count = live(keep).len() as i64;
            assert_eq!(numbers(&table, &query).await, [count], "{filter}");
        }
        let first = numbers(&table, "select n from t order by n limit 3").await;
        assert_eq!(first, [1, 2, 3]);
        let some = "select count(*) from (select n from t where n > 640 limit 1200)";
        assert_eq!(numbers(&table, some).await, [1200]);
        let one = table.only(|file| file.location.as_ref() == "t/0.parquet");
        let count = numbers(&one, "select count(*) from t").await;
        assert_eq!(count, [ROWS.0 - gone.len() as i64]);
        let masked: Vec<_> = table.masked().map(|(_, rows)| rows.cloned()).collect();
        assert_eq!(masked, [Some(gone), None]);
    }

    #[tokio::test]
    async fn positions_are_those_in_the_file() {
        let gone = deleted();
        let (stores, version) = table(&[gone.clone(), gone.clone()]).await;
        let table = committed_files(&stores, &version, &[]).unwrap();
        let table = table.with_positions();
        for (filter, count) in [
            ("true", 2 * (ROWS.0 - gone.len() as i64)),
            ("n between 295 and 405", 11),
            ("n % 100 = 57", 18),
            ("n > 1990", 8),
            (
                "__sessionize_row between 101 and 110 and __sessionize_file = 1",
                10,
            ),
            ("__sessionize_file = 0", ROWS.0 - gone.len() as i64),
            ("__sessionize_row = 456 or n = 1001", 3),
        ] {
            let query = format!(
                "select n, __sessionize_file, __sessionize_row from t where {filter} order by __sessionize_file, __sessionize_row"
            );
            let rows = rows(&table, &query).await;
            assert_eq!(rows.num_rows() as i64, count, "{filter}");
            let (n, row) = (rows.column(0), rows.column(2));
            let (n, row) = (
                n.as_primitive::<Int64Type>(),
                row.as_primitive::<Int64Type>(),
            );
            let file = rows.column(1).as_primitive::<UInt32Type>();
            for at in 0..rows.num_rows() {
                let first = i64::from(file.value(at)) * ROWS.0;
                assert_eq!(n.value(at), first + row.value(at), "{filter}");
                assert!(!gone.contains(row.value(at) as u64), "{filter}");
            }
        }
        let alone = "select __sessionize_row from t where __sessionize_file = 1 order by 1 limit 2";
        assert_eq!(numbers(&table, alone).await, [1, 2]);
        let count = "select count(*) from t where __sessionize_file = 1";
        assert_eq!(numbers(&table, count).await, [ROWS.0 - gone.len() as i64]);
    }

    #[tokio::test]
    async fn rows_are_read_by_their_places() {
        let gone = deleted();
        let (stores, version) = table(&[gone.clone(), gone.clone()]).await;
        let table = committed_files(&stores, &version, &[]).unwrap();
        // rows that are deleted, and some that are not
        let at: DeletionVector = [0, 7, 350, 999].into_iter().collect();
        let path = Path::from("t/1.parquet");
        let none = (Path::from("t/0.parquet"), DeletionVector::default());
        let table = table.at_rows(&BTreeMap::from([(path, at), none]));
        let all = "select n from t order by n";
        assert_eq!(numbers(&table, all).await, [1000, 1007, 1350, 1999]);
        assert_eq!(numbers(&table, "select count(*) from t").await, [4]);
        let some = "select __sessionize_row from t where n > 1100 order by n";
        assert_eq!(numbers(&table.with_positions(), some).await, [350, 999]);
        let empty = table.at_rows(&BTreeMap::new());
        assert!(numbers(&empty, all).await.is_empty());
    }
}
