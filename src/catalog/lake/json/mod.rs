//! JSON files: one object a line or one array of objects, nested objects flattened if asked.
//!
//! ```text
//!   chunks (decompressed) ──► records ──► flattened ──► rows of the file's types
//! ```
//!
//! A file's types are found from all of its records, so that each of them can be read.

mod flat;
mod kind;
mod open;
mod records;
mod scan;
mod source;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use super::bytes::chunks;
use super::files::shown_file;
use kind::Columns;
pub(super) use kind::is_long;
use records::{Record, Records};
use source::JsonLakeSource;

/// How the JSON files of a lake are read.
#[derive(Debug, Clone)]
pub(super) struct JsonLake {
    /// Where the lake is, for errors.
    pub(super) location: Url,
    pub(super) compression: FileCompressionType,
    /// Nested objects become columns of dotted names, and lists texts.
    pub(super) flatten: bool,
}

impl JsonLake {
    /// What errors call a file.
    fn shown(&self, file: &ObjectMeta) -> String {
        shown_file(&self.location, &file.location)
    }

    /// The columns of one file.
    async fn columns(
        &self,
        store: &Arc<dyn ObjectStore>,
        file: &ObjectMeta,
        columns: &mut Columns,
    ) -> Result<()> {
        let mut records = Records::new(self.shown(file));
        let mut chunks = chunks(store, file, self.compression).await?;
        let mut flat = Vec::new();
        let mut see = |record: Record<'_>| {
            if !self.flatten {
                return columns.see(record.text);
            }
            flat.clear();
            flat::flatten(record.text, &mut flat);
            columns.see(&flat)
        };
        while let Some(chunk) = chunks.next().await {
            records.push(&chunk?, &mut see)?;
        }
        records.finish(&mut see)
    }

    /// DataFusion's own format, for what is alike.
    fn plain(&self) -> JsonFormat {
        JsonFormat::default().with_file_compression_type(self.compression)
    }
}

#[async_trait]
impl FileFormat for JsonLake {
    fn get_ext(&self) -> String {
        self.plain().get_ext()
    }

    fn get_ext_with_compression(
        &self,
        compression: &FileCompressionType,
    ) -> Result<String> {
        self.plain().get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        Some(self.compression)
    }

    async fn infer_schema(
        &self,
        _: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        files: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        let mut columns = Columns::default();
        for file in files {
            self.columns(store, file, &mut columns).await?;
        }
        Ok(Arc::new(Schema::new(columns.fields()?)))
    }

    async fn infer_stats(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        _: &ObjectMeta,
    ) -> Result<Statistics> {
        Ok(Statistics::new_unknown(&schema))
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        config: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.plain().create_physical_plan(state, config).await
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(JsonLakeSource::new(self.clone(), schema))
    }
}

impl fmt::Display for JsonLake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flatten={}", self.flatten)
    }
}
