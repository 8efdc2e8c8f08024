//! The order among targets of one priority (RFC 2782, "Weight").

use super::search::Found;
use crate::random::Random;
use domain::hop::Hop;

/// All hops in the order they are tried: by order, by priority, and within one by weight.
pub(super) fn ordered(found: &[Found], random: u64) -> Vec<Hop> {
    let mut random = Random::new(random);
    let mut hops: Vec<Hop> = Vec::new();
    let mut rest: Vec<&Found> = found.iter().collect();
    rest.sort_by_key(|found| (found.order, found.priority));
    for group in rest.chunk_by(|a, b| (a.order, a.priority) == (b.order, b.priority)) {
        for index in shuffled(&group.iter().map(|it| it.weight).collect::<Vec<_>>(), &mut random) {
            for hop in &group[index].hops {
                if !hops.contains(hop) {
                    hops.push(hop.clone());
                }
            }
        }
    }
    hops
}

/// The order in which targets of these weights are tried: indices into `weights`. RFC 2782: those of
/// weight 0 stand first in the list; a number between 0 and the sum of all weights picks the first
/// whose running sum is not below it; then the same with those left.
pub fn shuffled(weights: &[u16], random: &mut Random) -> Vec<usize> {
    let mut rest: Vec<usize> = (0..weights.len()).collect();
    rest.sort_by_key(|index| weights[*index] != 0);
    let mut order = Vec::with_capacity(weights.len());
    while !rest.is_empty() {
        let sum: u64 = rest.iter().map(|index| u64::from(weights[*index])).sum();
        let picked = random.up_to(sum);
        let mut running = 0;
        let reaches = |index: &usize| {
            running += u64::from(weights[*index]);
            running >= picked
        };
        let at = rest.iter().position(reaches).unwrap_or(0);
        order.push(rest.remove(at));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over many calls, each target is first as often as its weight says; one of weight 0 hardly
    /// ever, but it is in the list.
    #[test]
    fn targets_are_first_as_often_as_they_weigh() {
        let weights = [60, 0, 20, 20];
        let mut first = [0_u32; 4];
        let mut random = Random::new(1);
        for _ in 0..100_000 {
            let order = shuffled(&weights, &mut random);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            first[order[0]] += 1;
        }
        // With 0 to 100 inclusive, weight 0 wins one time in 101.
        for (count, expected) in first.into_iter().zip([59_406_u32, 990, 19_802, 19_802]) {
            let off = count.abs_diff(expected);
            assert!(off < 600, "{count} instead of {expected}");
        }
    }

    #[test]
    fn equal_weights_share_and_no_target_is_lost() {
        let mut random = Random::new(7);
        let mut first = [0_u32; 3];
        for _ in 0..30_000 {
            first[shuffled(&[5, 5, 5], &mut random)[0]] += 1;
        }
        // 0 and 1 to 5 pick the first: the algorithm's 6 in 16, and 5 in 16 for the others.
        for (count, expected) in first.into_iter().zip([11_250_u32, 9_375, 9_375]) {
            assert!(count.abs_diff(expected) < 300, "{count} instead of {expected}");
        }
        assert_eq!(shuffled(&[], &mut random), [0_usize; 0]);
        // All of weight 0: the sum is 0, each time the first of the list is taken.
        assert_eq!(shuffled(&[0, 0], &mut random), [0, 1]);
    }
}
