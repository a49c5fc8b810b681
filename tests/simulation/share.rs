//! The share of the simulation that a run takes.

use std::ops::Range;
use std::sync::LazyLock;

/// A share of everything that would be run, such as the first tenth.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    part: usize,
    of: usize,
}

impl Share {
    /// `SIMULATION_SHARE=1/10` is the first tenth. Without it, a run takes all.
    pub fn of_this_run() -> Self {
        static SHARE: LazyLock<Share> = LazyLock::new(|| match std::env::var("SIMULATION_SHARE") {
            Ok(text) => Share::parse(&text),
            Err(_) => Share { part: 1, of: 1 },
        });
        *SHARE
    }

    /// Reads `3/8` as the third eighth, and `all` as all.
    pub fn parse(text: &str) -> Self {
        let (part, of) = text.split_once('/').unwrap_or(("1", "1"));
        let [part, of] = [part, of].map(|number| number.parse().unwrap());
        assert!((1..=of).contains(&part), "there is no share {text}");
        Self { part, of }
    }

    /// Tells whether the share has the combination with this number.
    pub fn takes(self, number: usize) -> bool {
        number % self.of == self.part - 1
    }

    /// The numbers of this many runs that the share has. They are adjacent, because neighbours differ in kind.
    pub fn among(self, runs: Range<u64>) -> Range<u64> {
        let [part, of] = [self.part, self.of].map(|number| u64::try_from(number).unwrap());
        let before = |parts: u64| runs.start + (runs.end - runs.start) * parts / of;
        before(part - 1)..before(part)
    }
}
