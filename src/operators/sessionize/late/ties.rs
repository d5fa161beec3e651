//! Rows of a key that share their place in the first order column, told apart by the others.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, UInt64Array};
use datafusion::arrow::compute::{SortOptions, take_arrays};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::common::runtime::JoinSet;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::joined;

/// The order columns after the first: some at a time, since most rows are told apart by the
/// first of them.
#[derive(Debug, Clone)]
pub(super) struct TieBreakers {
    pub(super) columns: Arc<dyn ExecutionPlan>,
    pub(super) options: Vec<SortOptions>,
}

/// Ranks by address, for addresses that are tied.
pub(super) type Ranks = HashMap<u32, u32>;

/// A tied row: its rank so far, which those share that are still tied, and its address.
type Tied = (u32, u32);

/// The ranks of `tied` rows, of which those that tie have the rank of the first of them,
/// counted through all; `partitions` has the addresses of each partition's rows.
pub(super) async fn ranks(
    mut tied: Vec<Tied>,
    breakers: &[TieBreakers],
    partitions: &[Range<u32>],
    context: &Arc<TaskContext>,
    reservation: &MemoryReservation,
) -> Result<Ranks> {
    reservation.try_grow(tied.len() * 4 * size_of::<Tied>())?;
    let mut ranks: Ranks = tied.iter().map(|(rank, row)| (*row, *rank)).collect();
    for breaker in breakers {
        if tied.is_empty() {
            break;
        }
        let read = read(breaker, &mut tied, partitions, context, reservation).await?;
        tied = refine(&mut ranks, read);
    }
    Ok(ranks)
}

/// Ranks rows anew by their old rank and their values; gives those that still share one.
fn refine(ranks: &mut Ranks, values: Vec<(u32, OwnedRow)>) -> Vec<Tied> {
    let rank = |address: u32| ranks.get(&address).copied().unwrap_or_default();
    let mut rows: Vec<_> = values
        .into_iter()
        .map(|(address, value)| (rank(address), value, address))
        .collect();
    rows.sort_unstable();
    let mut tied = Vec::new();
    for shared in rows.chunk_by(|a, b| a.0 == b.0) {
        let mut before = 0;
        for equal in shared.chunk_by(|a, b| a.1 == b.1) {
            for (rank, _, address) in equal {
                // a rank counts the rows before: none meets that of a row told apart earlier
                ranks.insert(*address, rank + before);
                if equal.len() > 1 {
                    tied.push((rank + before, *address));
                }
            }
            before += equal.len() as u32;
        }
    }
    tied
}

/// The values of `tied` rows.
async fn read(
    breaker: &TieBreakers,
    tied: &mut [Tied],
    partitions: &[Range<u32>],
    context: &Arc<TaskContext>,
    reservation: &MemoryReservation,
) -> Result<Vec<(u32, OwnedRow)>> {
    tied.sort_unstable_by_key(|(_, address)| *address);
    let addresses: Arc<[u32]> = tied.iter().map(|(_, address)| *address).collect();
    let mut tasks = JoinSet::new();
    for (partition, own) in partitions.iter().enumerate() {
        let reader = Reader {
            breaker: breaker.clone(),
            addresses: Arc::clone(&addresses),
            reservation: reservation.new_empty(),
        };
        let (base, context) = (own.start, Arc::clone(context));
        tasks.spawn(
            async move { (partition, reader.read(partition, base, context).await) },
        );
    }
    let mut all = Vec::with_capacity(tied.len());
    for (values, held) in joined(tasks).await? {
        all.extend(values);
        reservation.grow(held.free());
    }
    Ok(all)
}

struct Reader {
    breaker: TieBreakers,
    /// Ascending.
    addresses: Arc<[u32]>,
    reservation: MemoryReservation,
}

impl Reader {
    async fn read(
        self,
        partition: usize,
        base: u32,
        context: Arc<TaskContext>,
    ) -> Result<(Vec<(u32, OwnedRow)>, MemoryReservation)> {
        let columns = &self.breaker.columns;
        let schema = columns.schema();
        let fields = schema.fields().iter().zip(&self.breaker.options);
        let fields = fields.map(|(field, options)| {
            SortField::new_with_options(field.data_type().clone(), *options)
        });
        let converter = RowConverter::new(fields.collect())?;
        let mut rows = columns.execute(partition, context)?;
        let mut values = Vec::new();
        let mut next = base;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let first = next;
            next += batch.num_rows() as u32;
            let from = self.addresses.partition_point(|address| *address < first);
            let until = self.addresses.partition_point(|address| *address < next);
            let tied = &self.addresses[from..until];
            if tied.is_empty() {
                continue;
            }
            let at = tied.iter().map(|address| u64::from(address - first));
            let taken =
                take_arrays(batch.columns(), &UInt64Array::from_iter_values(at), None)?;
            let taken: Vec<ArrayRef> = taken;
            let converted = converter.convert_columns(&taken)?;
            self.reservation
                .try_grow(converted.size() + tied.len() * size_of::<(u32, OwnedRow)>())?;
            let pairs = tied.iter().zip(converted.iter());
            values.extend(pairs.map(|(address, row)| (*address, row.owned())));
        }
        Ok((values, self.reservation))
    }
}
