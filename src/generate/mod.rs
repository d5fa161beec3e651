//! Synthetic Segment page views: seeded, of any size, with every awkward case.
