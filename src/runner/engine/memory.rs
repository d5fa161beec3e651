//! A memory limit, shared so that queries spill and none starves.
//!
//! A sort takes all memory it gets, and so does the merge of what it spilled: the more files
//! are merged at once, the fewer passes. Where one sort reads the rows of another, the first
//! one's merge would leave nothing to the second. Here both have a bounded share; with less,
//! a sort spills earlier and a merge makes more passes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
    TrackConsumersPool,
};

const MIB: usize = 1 << 20;
/// How many of the largest consumers an error names.
const NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);
/// What DataFusion calls the memory of a sort and of its merge.
const SORT: &str = "ExternalSorter[";
const MERGE: &str = "ExternalSorterMerge[";

/// How the names begin of operators that hold rows by their keys: without memory they read
/// rows again.
const LATE: &str = "Late";

/// How a memory limit is dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Queries that run at once.
    pub(super) queries: usize,
    /// Partitions of a query.
    pub(super) partitions: usize,
    /// Rows of a batch.
    pub(super) batch_size: usize,
    /// Bytes a sort keeps back for its merge.
    pub(super) sort_reserve: usize,
    /// Bytes a sort may hold before it spills.
    sort: usize,
    /// Bytes a merge may take; more than a sort, whose rows it takes over.
    merge: usize,
}

impl Shares {
    /// The shares of `limit` bytes, on a machine with that many cores.
    pub(super) fn of(limit: usize, cores: usize) -> Self {
        let queries = (limit / (512 * MIB)).max(1);
        let partitions = (limit / (128 * MIB)).clamp(1, cores.max(1));
        Self {
            queries,
            partitions,
            batch_size: match limit / MIB {
                0..512 => 1024,
                512..2048 => 4096,
                _ => 8192,
            },
            sort_reserve: (limit / (32 * partitions)).clamp(MIB / 4, 10 * MIB),
            sort: limit / (3 * queries * partitions),
            merge: limit / (2 * queries * partitions),
        }
    }
}

/// A pool of `limit` bytes.
pub(super) fn pool(limit: usize, shares: Shares) -> Arc<dyn MemoryPool> {
    let fair = TrackConsumersPool::new(FairSpillPool::new(limit), NAMED);
    Arc::new(BoundedSorts { pool: fair, shares })
}

/// A pool whose sorts and merges get a bounded share.
#[derive(Debug)]
struct BoundedSorts {
    pool: TrackConsumersPool<FairSpillPool>,
    shares: Shares,
}

impl BoundedSorts {
    /// What a consumer of that name may hold; `None` if nothing but the limit bounds it.
    fn share(&self, name: &str) -> Option<usize> {
        if name.starts_with(MERGE) {
            Some(self.shares.merge)
        } else if name.starts_with(SORT) {
            Some(self.shares.sort)
        } else {
            None
        }
    }
}

impl std::fmt::Display for BoundedSorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.pool)
    }
}

impl MemoryPool for BoundedSorts {
    fn name(&self) -> &str {
        "bounded_sorts"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let name = reservation.consumer().name();
        let asked = reservation.size() + additional;
        if let Some(share) = self.share(name)
            && asked > share
        {
            return Err(resources_datafusion_err!(
                "`{name}` asks for {asked} bytes; its share of the memory limit is {share}"
            ));
        }
        // not to a fair share: they read rows again, or in rounds, only where they must
        if name.starts_with(LATE)
            && let MemoryLimit::Finite(limit) = self.pool.memory_limit()
        {
            let (held, room) = (self.pool.reserved(), limit - limit / 4);
            if held + additional > room {
                return Err(resources_datafusion_err!(
                    "`{name}` asks for {additional} bytes; {held} of {room} are taken"
                ));
            }
            self.pool.grow(reservation, additional);
            return Ok(());
        }
        self.pool.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_dealt_to_few() {
        let small = Shares::of(256_000_000, 2);
        assert_eq!((small.queries, small.partitions), (1, 1));
        let large = Shares::of(8 << 30, 2);
        assert_eq!((large.queries, large.partitions), (16, 2));
        assert_eq!(Shares::of(1, 0).partitions, 1);
    }

    #[test]
    fn sorts_and_merges_leave_memory_to_others() {
        let limit = 60 * MIB;
        let pool = pool(limit, Shares::of(limit, 2));
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        assert!(merge.try_grow(30 * MIB).is_ok());
        let error = merge.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("its share"), "{error}");
        let sort = MemoryConsumer::new("ExternalSorter[0]").with_can_spill(true);
        let sort = sort.register(&pool);
        assert!(sort.try_grow(20 * MIB).is_ok());
        assert!(sort.try_grow(1).is_err());
        let other = MemoryConsumer::new("GroupedHashAggregateStream[0]").register(&pool);
        assert!(other.try_grow(10 * MIB).is_ok());
        assert!(other.try_grow(1).is_err());
    }

    #[test]
    fn operators_that_can_read_again_leave_a_quarter() {
        let limit = 60 * MIB;
        let pool = pool(limit, Shares::of(limit, 2));
        let late = |name: &str| {
            let consumer = MemoryConsumer::new(name).with_can_spill(true);
            consumer.register(&pool)
        };
        let (first, second) = (late("LateSessionizeExec"), late("LateAggregateExec"));
        assert!(first.try_grow(40 * MIB).is_ok());
        assert!(second.try_grow(5 * MIB).is_ok());
        let error = second.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("are taken"), "{error}");
        first.free();
        assert!(second.try_grow(40 * MIB).is_ok());
    }
}
