//! Tokens that were found good a moment ago, so that a service which calls a thousand times a second is not checked as often.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA256, digest};

/// How many tokens are kept in each of the two halves; some 300 bytes each.
const HALF: usize = 4096;

/// A token by its digest: the cache holds nothing that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

/// Keeps what was used lately: when the young half is full it becomes the old one, and the old one is forgotten.
pub(crate) struct Cache<T>(Mutex<Halves<T>>);

struct Halves<T> {
    young: HashMap<Fingerprint, T>,
    old: HashMap<Fingerprint, T>,
}

impl<T> Halves<T> {
    fn put(&mut self, token: Fingerprint, value: T) {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, value);
    }
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Halves { young: HashMap::new(), old: HashMap::new() }))
    }

    pub(crate) fn get(&self, token: Fingerprint) -> Option<T> {
        let mut halves = self.halves();
        if let Some(value) = halves.young.get(&token) {
            return Some(value.clone());
        }
        let value = halves.old.remove(&token)?;
        halves.put(token, value.clone());
        Some(value)
    }

    pub(crate) fn put(&self, token: Fingerprint, value: T) {
        self.halves().put(token, value);
    }

    fn halves(&self) -> MutexGuard<'_, Halves<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let cache = Cache::new();
        let kept = Fingerprint::of("kept");
        cache.put(kept, 0);
        for i in 1..=HALF * 4 {
            cache.put(Fingerprint::of(&i.to_string()), i);
            if i % 1000 == 0 {
                assert_eq!(cache.get(kept), Some(0), "after {i}");
            }
        }
        assert_eq!(cache.get(Fingerprint::of("1")), None);
        assert_eq!(cache.get(Fingerprint::of(&(HALF * 4).to_string())), Some(HALF * 4));
        let halves = cache.halves();
        assert!(halves.young.len() <= HALF && halves.old.len() <= HALF);
    }
}
