//! Rows on disk, for operators that have no room for them in memory.

mod disk;
mod sorted;

pub(super) use disk::{Disk, DiskWriter, OnDisk};
pub(super) use sorted::{ordering, sorted, sorted_stream};
