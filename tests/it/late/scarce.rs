//! A pool in which only the operators under test have little memory.

use std::fmt;

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{
    MemoryPool, MemoryReservation, UnboundedMemoryPool,
};

/// Gives so many bytes to each reservation of our operators and any number to DataFusion's:
/// sorts of its own that run side by side leave each other nothing in a small pool.
#[derive(Debug)]
pub(super) struct Scarce {
    pool: UnboundedMemoryPool,
    bytes: usize,
}

impl Scarce {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            pool: UnboundedMemoryPool::default(),
            bytes,
        }
    }
}

impl fmt::Display for Scarce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scarce({})", self.bytes)
    }
}

impl MemoryPool for Scarce {
    fn name(&self) -> &str {
        "scarce"
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
        if name.starts_with("Late") && asked > self.bytes {
            return Err(resources_datafusion_err!("{name} asks for {asked} bytes"));
        }
        self.pool.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }
}
