//! Runs seeds of a theme: `explore THEME FROM COUNT`. Prints the first failures.
use sim::house::House;
use sim::scenario::{Theme, build};
use std::sync::Arc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args[2].parse().unwrap();
    let count: u64 = args[3].parse().unwrap();
    let house = Arc::new(House::build());
    let mut failures = std::collections::BTreeMap::<String, Vec<u64>>::new();
    let started = std::time::Instant::now();
    for theme in Theme::ALL {
        if args[1] != "all" && format!("{theme:?}") != args[1] {
            continue;
        }
        let mut steps = 0;
        let mut c = sim::invariant::Counts::default();
        for seed in from..from + count {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                build(house.clone(), theme, seed, None).run()
            }));
            match result {
                Ok(Ok(report)) => {
                    steps += report.steps;
                    let k = report.counts;
                    c.calls += k.calls;
                    c.bridged += k.bridged;
                    c.promised += k.promised;
                    c.kept += k.kept;
                    c.broken += k.broken;
                    c.dialled += k.dialled;
                    c.rung += k.rung;
                    c.in_doubt += k.in_doubt;
                    c.crashes += k.crashes;
                    c.drained += k.drained;
                }
                Ok(Err(failure)) => {
                    if count == 1 {
                        println!("{failure}");
                    }
                    let what: String =
                        failure.what.chars().filter(|c| !c.is_ascii_digit()).take(200).collect();
                    failures.entry(format!("{theme:?} {what}")).or_default().push(seed);
                }
                Err(_) => failures.entry(format!("{theme:?} panic")).or_default().push(seed),
            }
        }
        println!("{theme:?}: {steps} steps, {:?}, {c:?}", started.elapsed());
    }
    for (what, seeds) in failures {
        println!("{:5} {:?}\n      {what}", seeds.len(), &seeds[..seeds.len().min(8)]);
    }
}
