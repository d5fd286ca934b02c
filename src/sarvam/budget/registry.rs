//! One budget a key, however many Workspaces use it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Budget, Shared};
use crate::sarvam::ApiKey;

/// The budgets in use. The remote limits accounts, and an account is known by its key.
///
/// A budget, and the key in it, is forgotten with the last who uses it.
#[derive(Default)]
pub struct Budgets(Mutex<Vec<Weak<Shared>>>);

impl Budgets {
    /// The budget of this key, for one more who shares it. Its rate is the least that any of them asks for: then no
    /// promise of any of them is broken.
    pub fn of(&self, key: &ApiKey, calls_per_second: u32) -> Budget {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|budget| budget.strong_count() > 0);
        let shared = known.iter().filter_map(Weak::upgrade).find(|budget| budget.key.as_ref() == Some(key));
        let shared = shared.unwrap_or_else(|| {
            let shared = Arc::new(Shared::new(Some(key.clone()), calls_per_second));
            known.push(Arc::downgrade(&shared));
            shared
        });
        Budget::join(shared, calls_per_second)
    }
}
