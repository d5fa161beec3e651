//! The files: one a day of arrival, written as the day goes by.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{Days, NaiveDate};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use crate::runner::error::{ErrorKind, Result, RunnerError};

use super::GenerateReport;
use super::page_view::{DAY, PageView, day_start, schema, to_batch};

/// Page views of one batch; also what is held of an open file beside Parquet's own buffers.
const BATCH: usize = 16_384;

/// A lake under construction.
pub(crate) struct Lake {
    folder: PathBuf,
    start: NaiveDate,
    days: u32,
    schema: SchemaRef,
    /// What arrives after the open day.
    pending: BTreeMap<i64, Vec<PageView>>,
    open: Option<OpenFile>,
    report: GenerateReport,
}

struct OpenFile {
    day: i64,
    path: PathBuf,
    writer: ArrowWriter<File>,
    batch: Vec<PageView>,
}

impl Lake {
    /// A lake in `folder`, which must be empty or not there.
    pub(crate) fn create(folder: &Path, start: NaiveDate, days: u32) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| store_error(folder, e))?;
        let mut entries = fs::read_dir(folder).map_err(|e| store_error(folder, e))?;
        if entries.next().is_some() {
            let message = format!("folder `{}` is not empty", folder.display());
            return Err(RunnerError::new(ErrorKind::Usage, message)
                .with_hint("name a folder that is empty or not there yet"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            start,
            days,
            schema: schema(),
            pending: BTreeMap::new(),
            open: None,
            report: GenerateReport::default(),
        })
    }

    /// Opens the file of `day` and writes what has been waiting for it.
    pub(crate) fn open(&mut self, day: u32) -> Result<()> {
        let date = self.start + Days::new(u64::from(day));
        let folder = self.folder.join(format!("dt={date}"));
        fs::create_dir_all(&folder).map_err(|e| store_error(&folder, e))?;
        let path = folder.join("part-0.parquet");
        let file = File::create(&path).map_err(|e| store_error(&path, e))?;
        let level = ZstdLevel::try_new(6).map_err(|e| store_error(&path, e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .build();
        let writer =
            ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties))
                .map_err(|e| store_error(&path, e))?;
        let day = i64::from(day);
        let batch = Vec::with_capacity(BATCH);
        self.open = Some(OpenFile {
            day,
            path,
            writer,
            batch,
        });
        for page_view in self.pending.remove(&day).unwrap_or_default() {
            self.write(page_view)?;
        }
        Ok(())
    }

    /// Adds a page view: to the open file, or to those that wait for their day.
    pub(crate) fn write(&mut self, page_view: PageView) -> Result<()> {
        let arrival = self.arrival(&page_view);
        match &mut self.open {
            Some(open) if open.day == arrival => {
                open.batch.push(page_view);
                self.report.page_views += 1;
                if open.batch.len() == BATCH {
                    open.flush(&self.schema)?;
                }
            }
            _ => self.hold(page_view),
        }
        Ok(())
    }

    /// Keeps a page view until the day of its arrival; after the last day it never arrives.
    pub(crate) fn hold(&mut self, page_view: PageView) {
        let arrival = self.arrival(&page_view);
        if (0..i64::from(self.days)).contains(&arrival) {
            self.pending.entry(arrival).or_default().push(page_view);
        }
    }

    /// Finishes the open file.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        open.flush(&self.schema)?;
        open.writer
            .finish()
            .map_err(|e| store_error(&open.path, e))?;
        self.report.files += 1;
        self.report.bytes += open.writer.bytes_written() as u64;
        Ok(())
    }

    pub(crate) fn report(&self) -> GenerateReport {
        self.report
    }

    fn arrival(&self, page_view: &PageView) -> i64 {
        (page_view.received_at - day_start(self.start)).div_euclid(DAY)
    }
}

impl OpenFile {
    fn flush(&mut self, schema: &SchemaRef) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = to_batch(Arc::clone(schema), &self.batch)
            .map_err(|e| store_error(&self.path, e))?;
        self.batch.clear();
        self.writer
            .write(&batch)
            .map_err(|e| store_error(&self.path, e))
    }
}

fn store_error(
    path: &Path,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> RunnerError {
    let message = format!("cannot write `{}`", path.display());
    RunnerError::new(ErrorKind::Store, message).with_source(cause)
}
