//! A Parquet file whose columns are encoded side by side.
//!
//! Rows of a query come in one stream, and encoding them takes longer than making them.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves,
};
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;

/// Rows of a row group.
const GROUP: usize = 1 << 20;

/// Writes batches to one file.
pub(super) struct ParquetSink<W: Write + Send> {
    file: SerializedFileWriter<W>,
    groups: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// The columns of the group that is being written, and its rows so far.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
    threads: usize,
}

impl<W: Write + Send> ParquetSink<W> {
    pub(super) fn try_new(
        out: W,
        schema: &SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self> {
        let writer =
            ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties))?;
        let (file, groups) = writer.into_serialized_writer()?;
        Ok(Self {
            file,
            groups,
            schema: SchemaRef::clone(schema),
            columns: Vec::new(),
            rows: 0,
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get),
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let taken = (GROUP - self.rows).min(batch.num_rows() - from);
            self.append(&batch.slice(from, taken))?;
            from += taken;
            if self.rows == GROUP {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn close(mut self) -> Result<()> {
        self.end_group()?;
        self.file.close().map(drop)
    }

    fn append(&mut self, rows: &RecordBatch) -> Result<()> {
        if self.columns.is_empty() {
            let group = self.file.flushed_row_groups().len();
            self.columns = self.groups.create_column_writers(group)?;
        }
        let fields = self.schema.fields().iter().zip(rows.columns());
        let leaves = fields.map(|(field, column)| compute_leaves(field, column));
        let leaves: Vec<_> = leaves.collect::<Result<Vec<_>>>()?;
        let leaves: Vec<ArrowLeafColumn> = leaves.into_iter().flatten().collect();
        encode(&mut self.columns, &leaves, self.threads)?;
        self.rows += rows.num_rows();
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in self.columns.drain(..) {
            column.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

/// Each thread takes the next column until none is left.
fn encode(
    columns: &mut [ArrowColumnWriter],
    leaves: &[ArrowLeafColumn],
    threads: usize,
) -> Result<()> {
    let work = Mutex::new(columns.iter_mut().zip(leaves));
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some((column, leaf)) = next() {
            column.write(leaf)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        others.into_iter().fold(own, |all, other| {
            let ended = other.join().unwrap_or_else(|_| {
                Err(ParquetError::General(
                    "a column's thread panicked".to_owned(),
                ))
            });
            all.and(ended)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::Int32Type;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn rows_come_back_in_their_order_over_row_groups() {
        let rows = GROUP as i64 + 10;
        let texts = (0..rows).map(|row| (row % 3 != 0).then(|| row.to_string()));
        let lists = (0..rows).map(|row| Some(vec![Some(1); (row % 3) as usize]));
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("t", Arc::new(texts.collect::<StringArray>())),
            (
                "l",
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut file = Vec::new();
        let properties = WriterProperties::builder().build();
        let mut sink =
            ParquetSink::try_new(&mut file, &batch.schema(), properties).unwrap();
        for (from, until) in [(0, 7), (7, 7), (7, rows as usize)] {
            sink.write(&batch.slice(from, until - from)).unwrap();
        }
        sink.close().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file));
        let reader = reader.unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let read: Vec<_> = reader
            .build()
            .unwrap()
            .collect::<std::result::Result<_, _>>()
            .unwrap();
        assert_eq!(concat_batches(&batch.schema(), &read).unwrap(), batch);
    }
}
