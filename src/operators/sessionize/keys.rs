//! Where, in rows ordered by key, a new key starts.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{concat, partition, take};
use datafusion::common::Result;
use datafusion::physical_plan::PhysicalExpr;

/// The key of the row before, and the expressions that give it.
#[derive(Debug)]
pub(super) struct Keys {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    last: Option<Vec<ArrayRef>>,
}

impl Keys {
    pub(super) fn new(expressions: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self {
            expressions,
            last: None,
        }
    }

    /// The rows of `batch`, not empty, at which a key starts, ascending. Nulls are equal.
    pub(super) fn starts(&mut self, batch: &RecordBatch) -> Result<Vec<usize>> {
        let keys = self.expressions.iter().map(|key| {
            let key = key.evaluate(batch)?;
            key.into_array(batch.num_rows())
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let continued = match &self.last {
            Some(last) => same_key(last, &keys)?,
            None => false,
        };
        let mut starts = match keys.is_empty() {
            true => vec![0],
            false => partition(&keys)?.ranges().iter().map(|r| r.start).collect(),
        };
        if continued {
            starts.remove(0);
        }
        // a copy of one row, so that no batch is kept for it
        let end = UInt64Array::from_iter_values([batch.num_rows() as u64 - 1]);
        let last = keys.iter().map(|key| Ok(take(key, &end, None)?));
        self.last = Some(last.collect::<Result<_>>()?);
        Ok(starts)
    }
}

/// Whether the one row of `last` has the key of the first row of `keys`.
fn same_key(last: &[ArrayRef], keys: &[ArrayRef]) -> Result<bool> {
    if keys.is_empty() {
        return Ok(true);
    }
    let pairs = last.iter().zip(keys).map(|(last, key)| {
        let pair = concat(&[last.as_ref(), key.slice(0, 1).as_ref()])?;
        Ok(pair)
    });
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    Ok(partition(&pairs)?.len() == 1)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::physical_plan::expressions::Column;

    use super::*;

    fn batch(texts: &[Option<&str>], numbers: &[i64]) -> RecordBatch {
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        RecordBatch::try_from_iter([("a", texts), ("b", numbers)]).unwrap()
    }

    #[test]
    fn keys_go_on_over_batches() {
        let mut keys = Keys::new(vec![
            Arc::new(Column::new("a", 0)),
            Arc::new(Column::new("b", 1)),
        ]);
        let (a, b) = (Some("a"), Some("b"));
        let first = batch(&[None, None, a, a, a], &[1, 1, 1, 1, 2]);
        assert_eq!(keys.starts(&first).unwrap(), [0, 2, 4]);
        let goes_on = batch(&[a, a], &[2, 2]);
        assert!(keys.starts(&goes_on).unwrap().is_empty());
        let other = batch(&[a, b], &[3, 3]);
        assert_eq!(keys.starts(&other).unwrap(), [0, 1]);
    }

    #[test]
    fn without_a_key_all_rows_are_one() {
        let mut keys = Keys::new(vec![]);
        assert_eq!(keys.starts(&batch(&[None, None], &[1, 2])).unwrap(), [0]);
        assert!(keys.starts(&batch(&[None], &[3])).unwrap().is_empty());
    }
}
