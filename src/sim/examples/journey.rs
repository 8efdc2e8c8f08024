use sim::house::House;
use sim::journeys;
use std::sync::Arc;
fn main() {
    let house = Arc::new(House::build());
    for mut world in [
        journeys::inbound(house.clone()),
        journeys::callback(house.clone()),
        journeys::outbound(house.clone()),
    ] {
        match world.run() {
            Ok(report) => println!("{}\n{report:?}", world.ladder()),
            Err(f) => println!("{f}"),
        }
    }
}
