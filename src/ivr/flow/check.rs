//! Checks a flow as a whole: every node can be reached, and a caller who says nothing is never led
//! in a circle.

use super::Flow;
use super::node::{Node, NodeIndex};
use domain::fault::Faults;
use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Adds a fault for each node out of reach and for each circle without the caller's input.
/// `offsets` are the places of the nodes in the file.
pub(super) fn check(flow: &Flow, offsets: &[usize], faults: &RefCell<Faults>) {
    let all = |node: &Node| exits(node).into_iter().map(|(next, _)| next).collect();
    let reached = reachable(flow, [flow.start].into(), all);
    for (index, (name, _)) in flow.nodes.iter().enumerate() {
        let path = format!("nodes.{name}");
        if !reached.contains(&NodeIndex(index)) {
            let problem = "is never reached from the start".to_owned();
            let remedy = "lead to it from another node, or remove it".to_owned();
            faults.borrow_mut().add(offsets[index], &path, problem, remedy);
        }
    }
    for circle in circles(flow) {
        let names: Vec<&str> = circle.iter().map(|index| &**flow.node_name(*index)).collect();
        let problem = format!("leads in a circle without the caller: {}", names.join(" → "));
        let remedy = "let one of these lead elsewhere, such as to a queue or an end".to_owned();
        let path = format!("nodes.{}", names[0]);
        faults.borrow_mut().add(offsets[circle[0].0], &path, problem, remedy);
    }
}

/// Where a node leads, and whether it takes something from the caller to go there.
fn exits(node: &Node) -> Vec<(NodeIndex, bool)> {
    const ALONE: bool = false;
    const BY_CALLER: bool = true;
    match node {
        Node::Say(say) => vec![(say.next, ALONE)],
        Node::Ask(ask) => {
            let replies = ask.replies.iter().map(|reply| (reply.next, BY_CALLER));
            let keys = ask.keys.values().map(|node| (*node, BY_CALLER));
            replies.chain(keys).chain([(ask.phrases_after.give_up, ALONE)]).collect()
        }
        Node::Menu(menu) => {
            let keys = menu.keys.values().map(|node| (*node, BY_CALLER));
            keys.chain([(menu.phrases_after.give_up, ALONE)]).collect()
        }
        // A value from the caller's sentence is taken once, so it is his input too.
        Node::Collect(collect) => {
            vec![(collect.next, BY_CALLER), (collect.phrases_after.give_up, ALONE)]
        }
        Node::Fetch(fetch) => vec![(fetch.next, ALONE), (fetch.on_failure, ALONE)],
        Node::Branch(branch) => {
            let cases = branch.cases.values().map(|node| (*node, ALONE));
            cases.chain([(branch.otherwise, ALONE)]).collect()
        }
        Node::Queue(queue) => {
            let refused = queue.refused.values().map(|node| (*node, ALONE));
            refused.chain([(queue.otherwise, ALONE)]).collect()
        }
        Node::Callback(callback) => vec![
            (callback.next, BY_CALLER),
            (callback.refused, BY_CALLER),
            (callback.declined, BY_CALLER),
            (callback.phrases_after.give_up, ALONE),
        ],
        Node::Language(language) => vec![(language.next, ALONE)],
        Node::Hangup(_) => Vec::new(),
    }
}

fn alone(node: &Node) -> Vec<NodeIndex> {
    exits(node).into_iter().filter(|(_, by_caller)| !by_caller).map(|(next, _)| next).collect()
}

fn reachable(
    flow: &Flow,
    from: BTreeSet<NodeIndex>,
    next: impl Fn(&Node) -> Vec<NodeIndex>,
) -> BTreeSet<NodeIndex> {
    let mut reached = from.clone();
    let mut fresh: Vec<NodeIndex> = from.into_iter().collect();
    while let Some(index) = fresh.pop() {
        fresh.extend(next(flow.node(index)).into_iter().filter(|next| reached.insert(*next)));
    }
    reached
}

/// One circle for each group of nodes that lead to each other without the caller.
fn circles(flow: &Flow) -> Vec<Vec<NodeIndex>> {
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for index in (0..flow.nodes.len()).map(NodeIndex) {
        if told.contains(&index) {
            continue;
        }
        if let Some(circle) = circle_through(flow, index) {
            told.extend(circle.iter().copied());
            circles.push(circle);
        }
    }
    circles
}

/// The shortest way from `index` back to itself.
fn circle_through(flow: &Flow, index: NodeIndex) -> Option<Vec<NodeIndex>> {
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut fresh = VecDeque::from([index]);
    while let Some(last) = fresh.pop_front() {
        for next in alone(flow.node(last)) {
            if next == index {
                let back = std::iter::successors(Some(last), |at| came_from.get(at).copied());
                let mut way: Vec<NodeIndex> = std::iter::once(index).chain(back).collect();
                way.reverse();
                return Some(way);
            }
            if let Entry::Vacant(place) = came_from.entry(next) {
                place.insert(last);
                fresh.push_back(next);
            }
        }
    }
    None
}
