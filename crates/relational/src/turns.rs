use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Lets the loads of a run go on at once, but for those that must be alone.
///
/// A load is alone when an earlier attempt at it has shown that it must be: two loads had different records of
/// one key, or a row was refused that has to be found.
#[derive(Debug, Default)]
pub struct Turns {
    /// The slices that are loaded when no other one is.
    alone: Mutex<HashSet<u64>>,
    /// Open for many loads at once, or for one.
    gate: Arc<RwLock<()>>,
}

/// The right to load, until it is dropped.
#[derive(Debug)]
pub enum Turn {
    /// While others are loading.
    Shared(OwnedRwLockReadGuard<()>),
    /// Alone.
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Turn {
    /// Whether no other load is under way.
    pub fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(_))
    }
}

impl Turns {
    /// Waits until the slice may be loaded.
    pub async fn enter(&self, slice: u64) -> Turn {
        let is_alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner).contains(&slice);
        if is_alone {
            return self.enter_alone().await;
        }
        Turn::Shared(Arc::clone(&self.gate).read_owned().await)
    }

    /// Waits until nothing else is loaded.
    pub async fn enter_alone(&self) -> Turn {
        Turn::Alone(Arc::clone(&self.gate).write_owned().await)
    }

    /// From now on the slice is loaded when no other one is.
    pub fn load_alone(&self, slice: u64) {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner).insert(slice);
    }
}
