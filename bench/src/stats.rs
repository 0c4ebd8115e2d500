//! Medians, intervals and verdicts.

use serde::{Deserialize, Serialize};

/// A whole number as a float; what is lost beyond 2^53 does not matter here.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^53")]
pub const fn float(number: u64) -> f64 {
    number as f64
}

/// The middle value; the mean of the two in the middle of an even number; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// A verdict needs an interval that holds the true median this often, in percent.
pub const ENOUGH: f64 = 95.0;

/// A median with the two values between which the true median lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper end.
    pub high: f64,
    /// How often such an interval holds the true median, in percent.
    pub coverage: f64,
}

impl Interval {
    /// The interval by order statistics: it asks nothing of how the values are spread, and that rounds do not depend on each
    /// other. The narrowest one that holds the true median in at least [`ENOUGH`] of all runs; of fewer than six values, from
    /// the least to the greatest, which is less than enough.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let count = sorted.len();
        // Below the k-th value there are fewer than k of n coin throws: 2 * sum(C(n, i), i < k) / 2^n is the miss.
        let miss = |k: usize| -> f64 {
            let mut term = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
            let mut sum = 0.0;
            for i in 0..k {
                sum += term;
                term *= float((count - i) as u64) / float(i as u64 + 1);
            }
            2.0 * sum
        };
        let k = (1..=count / 2).rev().find(|k| 100.0 * (1.0 - miss(*k)) >= ENOUGH).unwrap_or(1).max(1);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
        Self {
            low: at(k - 1),
            median: median(values),
            high: at(count.saturating_sub(k)),
            coverage: if count < 2 { 0.0 } else { 100.0 * (1.0 - miss(k)) },
        }
    }

    /// Of something that is the same every time.
    #[must_use]
    pub const fn exact(value: f64) -> Self {
        Self { low: value, median: value, high: value, coverage: 100.0 }
    }

    /// Whether two intervals have a value in common.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// What the times of two kinds of calls tell about which kind a call was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advantage {
    /// What somebody wins over a coin who takes the slower one of two for the usually slower kind: 0 for nothing, 1 for all.
    pub advantage: f64,
    /// The half of the interval that holds the true one in 95 of 100 runs.
    pub margin: f64,
    /// How likely as great an advantage is where there is none (Mann-Whitney, two-sided).
    pub chance: f64,
}

/// Compares two samples by ranks, which asks nothing of how times are spread.
#[must_use]
pub fn advantage(one: &[f64], other: &[f64]) -> Advantage {
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|time| (*time, true)).chain(other.iter().map(|time| (*time, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = |values: &[f64]| float(values.len() as u64);
    let (m, n) = (count(one), count(other));
    if m * n == 0.0 {
        return Advantage { advantage: 0.0, margin: 1.0, chance: 1.0 };
    }
    // Equal times share the mean of their ranks.
    let mut ranks = 0.0;
    let mut before = 0;
    for equal in all.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let rank = float(before) + f64::midpoint(count_of(equal), 1.0);
        ranks += rank * float(equal.iter().filter(|(_, first)| *first).count() as u64);
        before += equal.len() as u64;
    }
    let wins = (ranks - m * (m + 1.0) / 2.0) / (m * n);
    let deviation = ((m + n + 1.0) / (12.0 * m * n)).sqrt();
    let advantage = (2.0 * wins - 1.0).abs();
    Advantage { advantage, margin: 1.96 * 2.0 * deviation, chance: two_sided((wins - 0.5).abs() / deviation) }
}

fn count_of(values: &[(f64, bool)]) -> f64 {
    float(values.len() as u64)
}

/// How likely a normal deviation of so many standard deviations or more is, to four digits (Abramowitz and Stegun 26.2.17).
fn two_sided(deviations: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * deviations);
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let series = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let density = (-deviations * deviations / 2.0).exp() / std::f64::consts::TAU.sqrt();
    (2.0 * density * series).min(1.0)
}

/// Whether more or less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Better {
    /// At least the bar.
    More,
    /// At most the bar.
    Less,
}

/// What a figure says about its bar and its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The whole interval reaches the goal.
    Goal,
    /// The whole interval reaches the bar.
    Bar,
    /// The interval holds the bar.
    Undecided,
    /// The whole interval misses the bar.
    Missed,
    /// The interval would hold the true median too seldom.
    TooFewRounds,
    /// The bar is for data or a time of another length, so it says nothing here.
    OtherSize,
}

impl Verdict {
    /// The verdict on an interval.
    #[must_use]
    pub fn of(better: Better, bar: f64, goal: f64, interval: &Interval) -> Self {
        let (worst, best) = match better {
            Better::More => (interval.low, interval.high),
            Better::Less => (-interval.high, -interval.low),
        };
        let (bar, goal) = match better {
            Better::More => (bar, goal),
            Better::Less => (-bar, -goal),
        };
        if interval.coverage < ENOUGH {
            Self::TooFewRounds
        } else if worst >= goal {
            Self::Goal
        } else if worst >= bar {
            Self::Bar
        } else if best >= bar {
            Self::Undecided
        } else {
            Self::Missed
        }
    }

    /// In the table.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Goal => "goal met",
            Self::Bar => "bar met",
            Self::Undecided => "undecided",
            Self::Missed => "bar missed",
            Self::TooFewRounds => "none: too few rounds",
            Self::OtherSize => "none: the bar is for another size",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_rounds_give_least_and_greatest_and_nine_the_second() {
        let seven = Interval::of(&[3.0, 1.0, 2.0, 7.0, 5.0, 6.0, 4.0]);
        assert_eq!((seven.low, seven.median, seven.high), (1.0, 4.0, 7.0));
        assert!((seven.coverage - 98.4).abs() < 0.1, "{}", seven.coverage);
        let nine = Interval::of(&[9.0, 3.0, 1.0, 2.0, 7.0, 5.0, 6.0, 4.0, 8.0]);
        assert_eq!((nine.low, nine.median, nine.high), (2.0, 5.0, 8.0));
        assert!((nine.coverage - 96.1).abs() < 0.1, "{}", nine.coverage);
        assert!((Interval::of(&[2.0, 4.0]).median - 3.0).abs() < 1e-9);
        assert!(Interval::of(&[]).median.abs() < 1e-9);
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let interval = |low, high| Interval { low, median: f64::midpoint(low, high), high, coverage: 95.0 };
        for (better, low, high, verdict) in [
            (Better::More, 0.91, 0.95, Verdict::Goal),
            (Better::More, 0.80, 0.95, Verdict::Bar),
            (Better::More, 0.70, 0.95, Verdict::Undecided),
            (Better::More, 0.60, 0.74, Verdict::Missed),
        ] {
            assert_eq!(Verdict::of(better, 0.75, 0.9, &interval(low, high)), verdict, "{low} to {high}");
        }
        for (low, high, verdict) in [
            (0.9, 1.05, Verdict::Goal),
            (1.0, 1.2, Verdict::Bar),
            (1.2, 1.3, Verdict::Undecided),
            (1.3, 2.0, Verdict::Missed),
        ] {
            assert_eq!(Verdict::of(Better::Less, 1.25, 1.1, &interval(low, high)), verdict, "{low} to {high}");
        }
    }

    #[test]
    fn fewer_than_six_rounds_have_no_verdict_and_one_exact_value_has_one() {
        let of = |values: &[f64]| Verdict::of(Better::More, 0.75, 0.9, &Interval::of(values));
        for rounds in 0..=5 {
            assert_eq!(of(&vec![0.95; rounds]), Verdict::TooFewRounds, "{rounds} rounds");
        }
        assert_eq!(of(&[0.95; 6]), Verdict::Goal);
        assert_eq!(Verdict::of(Better::More, 0.75, 0.9, &Interval::exact(0.8)), Verdict::Bar);
    }

    #[test]
    fn an_advantage_is_told_with_its_margin_and_its_chance() {
        let times = |from: u64| (0..1000).map(|n| float((n * 7919) % 1000 + from)).collect::<Vec<_>>();
        let none = advantage(&times(0), &times(0));
        assert!(none.advantage < 1e-9 && none.chance > 0.999, "{none:?}");
        let all = advantage(&times(5000), &times(0));
        assert!((all.advantage - 1.0).abs() < 1e-9 && all.chance < 1e-9, "{all:?}");
        // Shifted by a tenth: one of 100 * (1 - 0.9^2) more than half.
        let some = advantage(&times(0), &times(100));
        assert!((some.advantage - 0.19).abs() < 0.01 && some.chance < 0.001 && some.margin < 0.06, "{some:?}");
        assert!((two_sided(1.96) - 0.05).abs() < 0.001);
        assert!((advantage(&[], &[1.0]).chance - 1.0).abs() < 1e-9);
    }

    #[test]
    fn intervals_that_touch_agree() {
        let interval = |low, high| Interval { low, median: low, high, coverage: 95.0 };
        assert!(interval(1.0, 2.0).meets(&interval(2.0, 3.0)));
        assert!(!interval(1.0, 2.0).meets(&interval(2.1, 3.0)));
    }
}
