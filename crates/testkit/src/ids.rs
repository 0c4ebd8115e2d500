//! Identifiers in order.

use std::sync::atomic::{AtomicU64, Ordering};

use domicile_domain::port::runtime::Ids;
use uuid::Uuid;

/// Counts. Its ids have the shape of version 7 and rise; its chance is the same in each run.
#[derive(Debug, Default)]
pub struct SequentialIds {
    next: AtomicU64,
    drawn: AtomicU64,
}

impl SequentialIds {
    /// Counts from 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts from `first`, so that two do not give the same.
    pub const fn from(first: u64) -> Self {
        Self { next: AtomicU64::new(first), drawn: AtomicU64::new(0) }
    }

    /// The id with a number.
    pub const fn numbered(number: u64) -> Uuid {
        let time = 0x0190_0000_0000_u128 << 80;
        let version_and_variant = (0x7_u128 << 76) | (0b10_u128 << 62);
        // The lossless widening is `as`, since `From` is not const.
        Uuid::from_u128(time | version_and_variant | (number & (u64::MAX >> 2)) as u128)
    }
}

impl Ids for SequentialIds {
    fn uuid(&self) -> Uuid {
        Self::numbered(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Well spread (splitmix64), the same in each run.
    fn chance(&self) -> u64 {
        let step = self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut z = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
