use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it. A test that panicked while it held the lock doesn't spoil it for others.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
