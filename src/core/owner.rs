//! Which object owns a line that several name.

use super::step::Uid;

/// An object that names the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimant {
    /// `metadata.creationTimestamp`, in seconds.
    pub created: i64,
    /// `metadata.uid`, which decides between objects of one second.
    pub uid: Uid,
}

/// The owner: the oldest, then the one with the smaller uid. The same for everyone who looks, in whatever order.
pub fn owner(claimants: impl IntoIterator<Item = Claimant>) -> Option<Uid> {
    claimants.into_iter().min().map(|claimant| claimant.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_then_the_smaller_uid_owns_the_line() {
        let table = [
            (vec![], None),
            (vec![(5, 9)], Some(9)),
            (vec![(5, 9), (4, 10)], Some(10)),
            (vec![(5, 9), (5, 3), (6, 1)], Some(3)),
            (vec![(6, 1), (5, 3), (5, 9)], Some(3)),
        ];
        for (claimants, expected) in table {
            let claimants = claimants.into_iter().map(|(created, uid)| Claimant { created, uid: Uid(uid) });
            assert_eq!(owner(claimants), expected.map(Uid));
        }
    }
}
