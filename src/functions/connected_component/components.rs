//! Connected components in memory: a union-find over 128-bit nodes.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashTable;

use crate::boundary::StableId;
use crate::functions::text::{TextColumn, to_text};

/// An id as a number: its surrogate key, so that numbers are in the order of the keys' texts.
pub(crate) type Node = u128;

/// Bytes a node takes: its own 16, 4 of its parent, and 5 in a hash table that is at least
/// seven sixteenths full.
const BYTES_A_NODE: usize = 32;

/// The nodes of a column of ids; a null is none.
pub(crate) fn nodes(ids: &ArrayRef) -> Result<Vec<Option<Node>>> {
    let texts = to_text(ids)?;
    let texts = TextColumn::try_new(&texts)?;
    let mut key = StableId::default();
    let mut node = |row| {
        key.part(Some(texts.get(row)?));
        Some(key.finish_bits())
    };
    Ok((0..ids.len()).map(&mut node).collect())
}

/// Which nodes hang together.
///
/// ```text
///   nodes    [ n0  n1  n2  n3 ]     parents [ 0  0  2  1 ]     n3 -> n1 -> n0,  n2 alone
///   places   node -> its index      a parent is smaller than its child: a root is the
///                                   smallest node of its component
/// ```
#[derive(Debug, Default)]
pub(crate) struct Components {
    nodes: Vec<Node>,
    parents: Vec<u32>,
    places: HashTable<u32>,
    reservation: Option<MemoryReservation>,
}

impl Components {
    /// No nodes yet; what they take is charged to `reservation`.
    pub(crate) fn charged(reservation: MemoryReservation) -> Self {
        Self {
            reservation: Some(reservation),
            ..Self::default()
        }
    }

    /// Puts two nodes into one component. On an error (no memory is left) all is as before,
    /// but that one of them may be there, alone.
    pub(crate) fn join(&mut self, one: Node, other: Node) -> Result<()> {
        let one = self.place(one)?;
        let other = self.place(other)?;
        let (one, other) = (self.root(one), self.root(other));
        if self.nodes[one as usize] < self.nodes[other as usize] {
            self.parents[other as usize] = one;
        } else {
            self.parents[one as usize] = other;
        }
        Ok(())
    }

    /// The smallest node of a node's component; itself if nothing is known of it.
    pub(crate) fn label(&mut self, node: Node) -> Node {
        match self.find(node) {
            Some(place) => {
                let root = self.root(place);
                self.nodes[root as usize]
            }
            None => node,
        }
    }

    /// Every node that is not the smallest of its component, with the one that is.
    pub(crate) fn links(&mut self) -> impl Iterator<Item = (Node, Node)> + '_ {
        (0..self.nodes.len()).filter_map(|place| {
            let node = self.nodes[place];
            let label = self.label(node);
            (label != node).then_some((node, label))
        })
    }

    fn root(&mut self, mut place: u32) -> u32 {
        loop {
            let parent = self.parents[place as usize];
            if parent == place {
                return place;
            }
            // halves the path for those who come after
            let next = self.parents[parent as usize];
            self.parents[place as usize] = next;
            place = next;
        }
    }

    fn find(&self, node: Node) -> Option<u32> {
        let is_it = |place: &u32| self.nodes[*place as usize] == node;
        self.places.find(hash(node), is_it).copied()
    }

    fn place(&mut self, node: Node) -> Result<u32> {
        if let Some(place) = self.find(node) {
            return Ok(place);
        }
        let place = u32::try_from(self.nodes.len())
            .map_err(|_| exec_datafusion_err!("there are more than {} ids", u32::MAX))?;
        self.make_room()?;
        self.nodes.push(node);
        self.parents.push(place);
        let nodes = &self.nodes;
        self.places
            .insert_unique(hash(node), place, |p| hash(nodes[*p as usize]));
        Ok(place)
    }

    /// Room for one more node, charged before it is taken.
    fn make_room(&mut self) -> Result<()> {
        let length = self.nodes.len();
        if length < self.nodes.capacity() {
            return Ok(());
        }
        let capacity = (length * 2).max(1_024);
        if let Some(reservation) = &mut self.reservation {
            reservation.try_resize(capacity * BYTES_A_NODE)?;
        }
        let more = capacity - length;
        self.nodes.reserve_exact(more);
        self.parents.reserve_exact(more);
        let nodes = &self.nodes;
        self.places.reserve(more, |p| hash(nodes[*p as usize]));
        Ok(())
    }
}

/// A node is a hash already: half of it will do.
fn hash(node: Node) -> u64 {
    node as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{
        GreedyMemoryPool, MemoryConsumer, MemoryPool,
    };

    use super::*;

    #[test]
    fn the_label_is_the_smallest_node() {
        let mut components = Components::default();
        for (one, other) in [(5, 4), (9, 8), (4, 3), (8, 9), (7, 7), (3, 9)] {
            components.join(one, other).unwrap();
        }
        for node in [3, 4, 5, 8, 9] {
            assert_eq!(components.label(node), 3);
        }
        assert_eq!(components.label(7), 7);
        assert_eq!(components.label(1), 1);
        let mut links: Vec<_> = components.links().collect();
        links.sort_unstable();
        assert_eq!(links, [(4, 3), (5, 3), (8, 3), (9, 3)]);
    }

    #[test]
    fn memory_is_charged_before_it_is_taken() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(2_000 * 32));
        let reservation = MemoryConsumer::new("test").register(&pool);
        let mut components = Components::charged(reservation);
        let full = (0..).find(|n| components.join(*n, n + 1).is_err()).unwrap();
        assert_eq!(full, 1_023);
        assert_eq!(components.label(full - 1), 0);
        drop(components);
        assert_eq!(pool.reserved(), 0);
    }
}
