//! One number for each generation of a chain.
//!
//! The invariant: it begins with the generation that the first upgrade led to, so number and generation never shift.

/// The very first one was not upgraded to, and has no channel to an older one: it cannot be compared.
pub(super) const FIRST: u16 = 2;
pub(super) const LAST: u16 = 100;

/// The numbers of generations [`FIRST`] to [`LAST`].
pub(super) struct Chain(Vec<f64>);

/// Neighbours. Their median tells more than any one of them.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub(super) from: u16,
    pub(super) to: u16,
}

pub(super) const BANDS: [Band; 5] = [
    Band { from: FIRST, to: 20 },
    Band { from: 21, to: 40 },
    Band { from: 41, to: 60 },
    Band { from: 61, to: 80 },
    Band { from: 81, to: LAST },
];

impl Band {
    pub(super) fn words(self) -> String {
        format!("{} to {}", self.from, self.to)
    }

    pub(super) fn middle(self) -> f64 {
        f64::midpoint(self.from.into(), self.to.into())
    }
}

impl Chain {
    /// Asks about one generation after the other; returns a chain of each number that `next` gives.
    pub(super) fn several<const N: usize>(next: impl FnMut(u16) -> [f64; N]) -> [Chain; N] {
        let all: Vec<_> = (FIRST..=LAST).map(next).collect();
        std::array::from_fn(|which| Chain(all.iter().map(|numbers| numbers[which]).collect()))
    }

    pub(super) fn first(&self) -> f64 {
        self.0[0]
    }

    pub(super) fn last(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    pub(super) fn band(&self, band: Band) -> &[f64] {
        &self.0[usize::from(band.from - FIRST)..=usize::from(band.to - FIRST)]
    }

    /// The last band compared with the first.
    pub(super) fn growth(&self) -> f64 {
        let median = |band| {
            let mut numbers = self.band(band).to_vec();
            numbers.sort_unstable_by(f64::total_cmp);
            numbers[numbers.len() / 2]
        };
        median(BANDS[BANDS.len() - 1]) / median(BANDS[0])
    }
}
