//! What is known for a while: values with the moment as of which they were true.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domicile_domain::model::time::Timestamp;

use crate::{FRESH, SERVES};

/// Counts what this process has changed, so that a read can tell what was changed since it began.
static FORGOTTEN: AtomicU64 = AtomicU64::new(0);

/// When a read began: by the clock, and by what this process had changed until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: Timestamp,
    forgotten: u64,
}

impl Moment {
    /// This moment; to be taken before the read begins.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { at: now, forgotten: FORGOTTEN.load(Ordering::SeqCst) }
    }
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// True at least until then.
    as_of: Timestamp,
    /// Whether somebody reads it again.
    in_renewal: bool,
}

#[derive(Debug)]
struct Shard<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// When one of these keys was forgotten last.
    forgotten: u64,
}

const SHARDS: usize = 64;

/// Values that serve for [`SERVES`], in parts that do not wait for each other.
#[derive(Debug)]
pub(crate) struct Known<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
    most_in_shard: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Known<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        let shard = |_| Mutex::new(Shard { entries: HashMap::new(), forgotten: 0 });
        Self { shards: std::array::from_fn(shard), hasher: RandomState::new(), most_in_shard: most / SHARDS + 1 }
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> Option<MutexGuard<'_, Shard<K, V>>>
    where
        K: Borrow<Q>,
    {
        let place = self.hasher.hash_one(key) % u64::try_from(SHARDS).unwrap_or(1);
        let shard = usize::try_from(place).ok().and_then(|place| self.shards.get(place))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value and as of when it was true. After [`FRESH`] one caller is told of none, and reads it for all.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Timestamp) -> Option<(V, Timestamp)>
    where
        K: Borrow<Q>,
    {
        let mut shard = self.shard(key)?;
        let entry = shard.entries.get_mut(key)?;
        let age = now.since(entry.as_of);
        // A clock that was set back tells no age.
        if entry.as_of > now || age >= SERVES {
            return None;
        }
        if age >= FRESH && !entry.in_renewal {
            entry.in_renewal = true;
            return None;
        }
        Some((entry.value.clone(), entry.as_of))
    }

    /// What a read found that began at a moment. It is not kept if this process changed such a key since, or if somebody
    /// has read it later.
    pub(crate) fn learn(&self, key: &K, value: V, began: Moment) {
        let Some(mut shard) = self.shard(key) else { return };
        if shard.forgotten > began.forgotten || shard.entries.get(key).is_some_and(|entry| entry.as_of > began.at) {
            return;
        }
        self.put(&mut shard, key, value, began.at);
    }

    /// This process changed it, or may have: whoever asks next reads. What a unit wrote is not learned from it, since a unit
    /// that was later to commit may be earlier to say so.
    pub(crate) fn forget(&self, key: &K) {
        let Some(mut shard) = self.shard(key) else { return };
        shard.forgotten = FORGOTTEN.fetch_add(1, Ordering::SeqCst) + 1;
        shard.entries.remove(key);
    }

    fn put(&self, shard: &mut Shard<K, V>, key: &K, value: V, as_of: Timestamp) {
        if shard.entries.len() >= self.most_in_shard && !shard.entries.contains_key(key) {
            shard.entries.retain(|_, entry| as_of.since(entry.as_of) < SERVES);
            if shard.entries.len() >= self.most_in_shard {
                // Nothing is lost but the time to read it again.
                shard.entries.clear();
            }
        }
        shard.entries.insert(key.clone(), Entry { value, as_of, in_renewal: false });
    }
}
