//! One step of a round: links, sorted by both ends, in; links to smaller ids out.

use crate::functions::Node;

/// Which step of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Star {
    /// Every link is given from both ends. An id's larger neighbours go to the smallest of
    /// its neighbourhood.
    Large,
    /// Every link is given from its larger end. An id and its smaller neighbours go to the
    /// smallest of them.
    Small,
}

/// The state between two links; it is all that is kept of an id's neighbourhood, however large.
#[derive(Debug)]
pub(super) struct Step {
    star: Star,
    centre: Option<Node>,
    smallest: Node,
    last: Node,
    changed: bool,
}

impl Step {
    pub(super) fn new(star: Star) -> Self {
        Self {
            star,
            centre: None,
            smallest: 0,
            last: 0,
            changed: false,
        }
    }

    /// Takes the next link; the link that it becomes, if it becomes one.
    pub(super) fn next(&mut self, from: Node, to: Node) -> Option<(Node, Node)> {
        if self.centre == Some(from) {
            if self.last == to {
                return None;
            }
            self.last = to;
            return match self.star {
                Star::Large => self.larger(from, to),
                Star::Small => {
                    self.changed = true;
                    Some((to, self.smallest))
                }
            };
        }
        self.centre = Some(from);
        self.last = to;
        match self.star {
            Star::Large => {
                self.smallest = from.min(to);
                self.larger(from, to)
            }
            Star::Small => {
                self.smallest = to;
                Some((from, to))
            }
        }
    }

    fn larger(&mut self, from: Node, to: Node) -> Option<(Node, Node)> {
        if to <= from {
            return None;
        }
        self.changed |= self.smallest != from;
        Some((to, self.smallest))
    }

    /// Whether any link became another one.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn step(
        star: Star,
        links: &BTreeSet<(Node, Node)>,
    ) -> (BTreeSet<(Node, Node)>, bool) {
        let mut sorted: Vec<_> = match star {
            Star::Large => links
                .iter()
                .flat_map(|(a, b)| [(*a, *b), (*b, *a)])
                .collect(),
            Star::Small => links.iter().map(|(a, b)| (*a.max(b), *a.min(b))).collect(),
        };
        sorted.sort_unstable();
        let mut step = Step::new(star);
        let next = sorted.iter().filter_map(|(a, b)| step.next(*a, *b));
        let next = next.collect();
        (next, step.changed())
    }

    /// The labels of a naive flood.
    fn flood(links: &BTreeSet<(Node, Node)>) -> BTreeMap<Node, Node> {
        let nodes = links.iter().flat_map(|(a, b)| [*a, *b]);
        let mut labels: BTreeMap<_, _> = nodes.map(|n| (n, n)).collect();
        loop {
            let before = labels.clone();
            for (a, b) in links {
                let least = labels[a].min(labels[b]);
                labels.insert(*a, least);
                labels.insert(*b, least);
            }
            if labels == before {
                return labels;
            }
        }
    }

    #[test]
    fn rounds_end_in_stars_around_the_smallest() {
        for seed in 0..200 {
            let mut draws = ChaCha8Rng::seed_from_u64(seed);
            let nodes = draws.random_range(2..60);
            let wanted = draws.random_range(1..80);
            let links: BTreeSet<(Node, Node)> = (0..wanted)
                .map(|_| (draws.random_range(0..nodes), draws.random_range(0..nodes)))
                .filter(|(a, b)| a != b)
                .collect();
            let expected: BTreeSet<_> =
                flood(&links).into_iter().filter(|(n, l)| n != l).collect();
            let mut found = links;
            let mut rounds = 0;
            loop {
                let (large, moved) = step(Star::Large, &found);
                let (small, merged) = step(Star::Small, &large);
                found = small;
                rounds += 1;
                if !moved && !merged {
                    break;
                }
            }
            assert_eq!(found, expected, "seed {seed}");
            assert!(rounds < 12, "seed {seed}: {rounds} rounds");
        }
    }
}
