//! Runs of the simulator itself.

use crate::house::House;
use crate::scenario::{Theme, build};
use std::sync::Arc;

#[test]
fn the_same_seed_is_the_same_run() {
    let house = Arc::new(House::build());
    let ladder = || {
        let mut world = build(house.clone(), Theme::Mixture, 7, None);
        world.run().unwrap_or_else(|failure| panic!("{failure}"));
        world.ladder()
    };
    assert_eq!(ladder(), ladder());
}

#[test]
fn explore() {
    let house = Arc::new(House::build());
    let from: u64 = option_env!("NEVER").map_or(0, |_| 1);
    for theme in Theme::ALL {
        for seed in from..from + 3 {
            let mut world = build(house.clone(), theme, seed, None);
            match world.run() {
                Ok(report) => println!("{theme:?} {seed}: {report:?}"),
                Err(failure) => panic!("{theme:?} {failure}"),
            }
        }
    }
}
