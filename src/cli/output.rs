//! Rows -> a table, CSV, JSON or Parquet, on stdout or in a file.
//!
//! All but the table are written batch by batch: a result may be larger than memory.

use std::io::{self, BufWriter, Write};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::{self, writer::JsonArray, writer::LineDelimited};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::errors::ParquetError;
use futures::StreamExt;

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::materialization::{
    NotWritten, QueryRows, query_failed,
};

use super::args::{OutputArguments, RowFormat};
use super::artifacts::{Replacement, cannot_write};
use super::context::Context;
use super::printer::Printer;

/// Runs a query and writes its rows where the arguments say.
pub(crate) async fn write(
    context: &Context,
    rows: QueryRows,
    arguments: &OutputArguments,
) -> Result<()> {
    let Some(path) = &arguments.output else {
        let mut out = BufWriter::new(Printer::stdout());
        let written = match copy(rows, format_of(arguments), &mut out).await {
            Ok(_) => out.flush().map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        return match written {
            Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(Failure::Write(e)) => Err(cannot_write("stdout".as_ref(), e)),
            Err(Failure::Query(e)) => Err(e),
            Ok(()) => Ok(()),
        };
    };
    let absolute = context.absolute(path);
    let mut file = Replacement::create(&absolute).map_err(|e| cannot_write(path, e))?;
    file.remove_abandoned();
    let rows = match copy(rows, format_of(arguments), file.writer()).await {
        Ok(rows) => rows,
        Err(Failure::Write(e)) => return Err(cannot_write(path, e)),
        Err(Failure::Query(e)) => return Err(e),
    };
    file.finish().map_err(|e| cannot_write(path, e))?;
    let rows = super::progress::count(rows, "row");
    context
        .printer
        .note(&format!("wrote {rows} to `{}`", path.display()));
    Ok(())
}

/// The form that was asked for, or that the file's ending tells of.
fn format_of(arguments: &OutputArguments) -> RowFormat {
    let ending = arguments.output.as_ref().and_then(|path| path.extension());
    let ending = ending.and_then(|ending| ending.to_str());
    let told = match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => RowFormat::Csv,
        Some("json") => RowFormat::Json,
        Some("ndjson" | "jsonl") => RowFormat::Ndjson,
        Some("parquet" | "pq") => RowFormat::Parquet,
        _ => RowFormat::Table,
    };
    arguments.format.unwrap_or(told)
}

/// Refuses what cannot be printed, before anything runs.
pub(crate) fn check(arguments: &OutputArguments) -> Result<()> {
    let binary = format_of(arguments) == RowFormat::Parquet;
    if binary && arguments.output.is_none() && Printer::to_terminal() {
        let message = "`--format parquet` cannot be printed on a terminal";
        return Err(RunnerError::new(ErrorKind::Usage, message)
            .with_hint("name a file: `--output rows.parquet`"));
    }
    Ok(())
}

/// Why rows did not arrive: the query, or the place they go to.
enum Failure {
    Query(RunnerError),
    Write(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::Query(query_failed(error))
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, e) => Self::Write(e),
            other => unwritable(other),
        }
    }
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(e) => match e.downcast::<io::Error>() {
                Ok(e) => Self::Write(*e),
                Err(e) => unwritable(e),
            },
            other => unwritable(other),
        }
    }
}

impl From<NotWritten> for Failure {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Query(e) => Self::Query(e),
            NotWritten::File(e) => e.into(),
        }
    }
}

impl From<RunnerError> for Failure {
    fn from(error: RunnerError) -> Self {
        Self::Query(error)
    }
}

fn unwritable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    let message = "the rows cannot be written in this format";
    let error = RunnerError::new(ErrorKind::Usage, message)
        .with_source(cause)
        .with_hint("choose another `--format`, or cast the column in the query");
    Failure::Query(error)
}

/// Writes all rows; a failure of `out` is told from one of the format.
async fn copy<W: Write + Send>(
    rows: QueryRows,
    format: RowFormat,
    out: W,
) -> Result<u64, Failure> {
    let mut out = Watched { out, failed: None };
    let copied = copy_rows(rows, format, &mut out).await;
    match (copied, out.failed) {
        // some writers wrap the error of the place they write to in one of their own
        (Err(_), Some(kind)) => Err(Failure::Write(kind.into())),
        (copied, _) => copied,
    }
}

/// Remembers what went wrong.
struct Watched<W> {
    out: W,
    failed: Option<io::ErrorKind>,
}

impl<W> Watched<W> {
    fn noting<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.kind());
        }
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.noting(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noting(flushed)
    }
}

async fn copy_rows<W: Write + Send>(
    rows: QueryRows,
    format: RowFormat,
    out: W,
) -> Result<u64, Failure> {
    if format == RowFormat::Parquet {
        return Ok(rows.write_parquet(out).await?);
    }
    let mut stream = rows.stream()?;
    let schema = stream.schema();
    if format == RowFormat::Table {
        return draw(stream, &schema, out).await;
    }
    let mut sink = Sink::try_new(format, &schema, out)?;
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        sink.write(&batch)?;
    }
    sink.finish()?;
    Ok(rows)
}

/// A table's columns are as wide as their widest value, so it needs all rows.
async fn draw(
    mut stream: SendableRecordBatchStream,
    schema: &SchemaRef,
    mut out: impl Write,
) -> Result<u64, Failure> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let options = FormatOptions::default().with_null("NULL");
    let drawn = if batches.is_empty() {
        pretty_format_batches_with_schema(SchemaRef::clone(schema), &batches)?.to_string()
    } else {
        pretty_format_batches_with_options(&batches, &options)?.to_string()
    };
    writeln!(out, "{drawn}")?;
    Ok(rows as u64)
}

/// Writes batches as text.
enum Sink<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Json(json::Writer<W, JsonArray>),
    Ndjson(json::Writer<W, LineDelimited>),
}

impl<W: Write> Sink<W> {
    fn try_new(format: RowFormat, schema: &SchemaRef, out: W) -> Result<Self, Failure> {
        let json = json::WriterBuilder::new().with_explicit_nulls(true);
        Ok(match format {
            RowFormat::Csv | RowFormat::Table | RowFormat::Parquet => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                // The header line is there even if no row is.
                writer.write(&RecordBatch::new_empty(SchemaRef::clone(schema)))?;
                Self::Csv(Box::new(writer))
            }
            RowFormat::Json => Self::Json(json.build(out)),
            RowFormat::Ndjson => Self::Ndjson(json.build(out)),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match self {
            Self::Csv(writer) => writer.write(batch)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Ndjson(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Csv(_) => {}
            Self::Json(mut writer) => {
                writer.finish()?;
                writeln!(writer.into_inner())?;
            }
            Self::Ndjson(mut writer) => writer.finish()?,
        }
        Ok(())
    }
}
