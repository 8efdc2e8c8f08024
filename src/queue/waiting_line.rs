//! Tickets in order: the more urgent first, then the one who came first.
//!
//! A search tree balanced by chance (a treap) whose nodes know the size of their subtree, so that
//! "how many are before me" takes logarithmic time however long the line. The chance is a mix of
//! the ticket's own number: same tickets, same tree.
//!
//! Calls nothing. Called by `dispatcher`.

use crate::event::Ticket;
use domain::id::TicketId;
use std::cmp::Reverse;

/// A place in a line. The smallest is served first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Place {
    priority: Reverse<u8>,
    arrived_wall_ms: u64,
    ticket: TicketId,
}

impl Place {
    /// The place of `ticket`.
    pub fn of(ticket: &Ticket) -> Self {
        Self {
            priority: Reverse(ticket.priority),
            arrived_wall_ms: ticket.arrived_wall_ms,
            ticket: ticket.id,
        }
    }

    /// Whose place it is.
    pub fn ticket(self) -> TicketId {
        self.ticket
    }
}

/// All places of one queue.
#[derive(Clone, Debug, Default)]
pub struct WaitingLine {
    root: Link,
}

type Link = Option<Box<Node>>;

#[derive(Clone, Debug)]
struct Node {
    place: Place,
    weight: u64,
    size: u32,
    left: Link,
    right: Link,
}

impl WaitingLine {
    /// Puts a place in; a second time changes nothing.
    pub fn insert(&mut self, place: Place) {
        if self.contains(place) {
            return;
        }
        let (before, after) = split(self.root.take(), place);
        let node = Box::new(Node {
            place,
            weight: mixed(place.ticket.0),
            size: 1,
            left: None,
            right: None,
        });
        self.root = merge(merge(before, Some(node)), after);
    }

    /// Takes a place out, if it is there.
    pub fn remove(&mut self, place: Place) {
        remove(&mut self.root, place);
    }

    /// How many places come before `place`, whether it is in the line itself or not.
    pub fn before(&self, place: Place) -> u32 {
        let mut count = 0;
        let mut link = &self.root;
        while let Some(node) = link {
            if node.place < place {
                count += size(&node.left) + 1;
                link = &node.right;
            } else {
                link = &node.left;
            }
        }
        count
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        size(&self.root)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// All of them, the first to be served first.
    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        let mut path = Vec::new();
        descend(&self.root, &mut path);
        std::iter::from_fn(move || {
            let node = path.pop()?;
            descend(&node.right, &mut path);
            Some(node.place)
        })
    }

    fn contains(&self, place: Place) -> bool {
        let mut link = &self.root;
        while let Some(node) = link {
            match place.cmp(&node.place) {
                std::cmp::Ordering::Less => link = &node.left,
                std::cmp::Ordering::Greater => link = &node.right,
                std::cmp::Ordering::Equal => return true,
            }
        }
        false
    }
}

fn size(link: &Link) -> u32 {
    link.as_ref().map_or(0, |node| node.size)
}

fn with_size(mut node: Box<Node>) -> Link {
    node.size = size(&node.left) + size(&node.right) + 1;
    Some(node)
}

/// The places before `place`, and the rest. Recursion goes as deep as the tree: logarithmic.
fn split(link: Link, place: Place) -> (Link, Link) {
    let Some(mut node) = link else { return (None, None) };
    if node.place < place {
        let (before, after) = split(node.right.take(), place);
        node.right = before;
        (with_size(node), after)
    } else {
        let (before, after) = split(node.left.take(), place);
        node.left = after;
        (before, with_size(node))
    }
}

/// One tree of two, all of `before` being before all of `after`.
fn merge(before: Link, after: Link) -> Link {
    match (before, after) {
        (None, link) | (link, None) => link,
        (Some(mut left), Some(right)) if left.weight >= right.weight => {
            left.right = merge(left.right.take(), Some(right));
            with_size(left)
        }
        (Some(left), Some(mut right)) => {
            right.left = merge(Some(left), right.left.take());
            with_size(right)
        }
    }
}

fn remove(link: &mut Link, place: Place) -> bool {
    let Some(node) = link else { return false };
    if node.place == place {
        *link = merge(node.left.take(), node.right.take());
        return true;
    }
    let side = if place < node.place { &mut node.left } else { &mut node.right };
    let removed = remove(side, place);
    node.size -= u32::from(removed);
    removed
}

fn descend<'a>(mut link: &'a Link, path: &mut Vec<&'a Node>) {
    while let Some(node) = link {
        path.push(node);
        link = &node.left;
    }
}

/// Spreads consecutive numbers over all 64 bits (the finishing steps of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn place(priority: u8, arrived_wall_ms: u64, ticket: u64) -> Place {
        Place { priority: Reverse(priority), arrived_wall_ms, ticket: TicketId(ticket) }
    }

    #[test]
    fn priority_comes_before_arrival_and_arrival_before_number() {
        let mut line = WaitingLine::default();
        let served = [place(9, 500, 7), place(1, 100, 3), place(1, 200, 1), place(1, 200, 2)];
        for index in [2, 0, 3, 1] {
            line.insert(served[index]);
        }
        assert_eq!(line.iter().collect::<Vec<_>>(), served);
        assert_eq!(served.map(|place| line.before(place)), [0, 1, 2, 3]);
    }

    /// Against a sorted set, over a thousand random changes.
    #[test]
    fn positions_agree_with_a_sorted_set() {
        let mut line = WaitingLine::default();
        let mut model = BTreeSet::new();
        for step in 0_u64..2_000 {
            let random = mixed(step);
            let chosen = place((random % 3) as u8, random % 7, random / 64 % 200);
            if random % 5 < 3 {
                line.insert(chosen);
                model.insert(chosen);
            } else {
                line.remove(chosen);
                model.remove(&chosen);
            }
            assert_eq!(line.before(chosen) as usize, model.range(..chosen).count());
            assert_eq!(line.len() as usize, model.len());
        }
        assert!(line.iter().eq(model.iter().copied()));
    }

    /// A hundred thousand tickets in order of arrival, the worst order for a plain tree.
    #[test]
    fn the_tree_stays_shallow() {
        fn depth(link: &Link) -> u32 {
            link.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
        }
        let mut line = WaitingLine::default();
        for number in 0..100_000 {
            line.insert(place(0, number, number));
        }
        assert!(depth(&line.root) < 60, "depth {}", depth(&line.root));
        assert_eq!(line.before(place(0, 77_777, 77_777)), 77_777);
    }
}
