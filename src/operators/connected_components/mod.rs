//! `ConnectedComponentsExec`: `connected_component(id, other_id) OVER ()` in bounded memory.
//!
//! ```text
//!            ┌─► HeldRows: in memory, then on disk ───────────────────────┐
//!   rows ────┤                                                            ├─► rows + label
//!            └─► Components: a union-find in memory ──────────────────────┘
//!                    │ no memory left
//!                    ▼
//!                Links on disk ─► sorted, large star, sorted, small star ─► … ─► (id, label)
//!                                                                           sorted, merged with
//!                                                                           rows sorted by id
//! ```
//!
//! Both ways give the same labels: the smallest id of a component. The way over the disk is
//! the algorithm of Kiveris et al., "Connected Components in MapReduce and Beyond" (2014):
//! each round reads and writes all links once or twice, a handful of rounds do.

mod exec;
mod held_rows;
mod links;
mod merge;
mod stars;

pub(crate) use exec::ConnectedComponentsExec;
