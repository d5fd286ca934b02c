//! A walk over the list of a workspace's lines: when it is over, what it proves, and how long its answers are good for.

use std::time::Duration;

use super::classify::LONGEST_PAGE;

/// A list that never ends is left after so many pages.
const MOST_PAGES: usize = 10_000;

/// What a walk has come to.
///
/// Lines that come and go meanwhile shift the pages, so rows are skipped or repeated. A row that is there is good; one
/// that isn't proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// How many pages have come.
    pub pages: usize,
    /// How many rows have come: the offset of the next page.
    offset: usize,
    total: Option<u64>,
    /// Something speaks against every line having been shown once.
    is_doubtful: bool,
    is_over: bool,
}

impl Walk {
    /// The offset of the next page; `None`: it is over.
    #[must_use]
    pub const fn next(&self) -> Option<usize> {
        if self.is_over { None } else { Some(self.offset) }
    }

    /// How many lines there are, as the last page said.
    #[must_use]
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes a page in: how many rows it had, how many of these could be read, and how many lines it says there are.
    pub fn take(&mut self, rows: usize, readable: usize, total: Option<u64>) {
        self.is_doubtful |= readable < rows || (self.pages > 0 && total != self.total);
        self.pages += 1;
        self.offset += rows;
        self.total = total;
        let all = match total {
            Some(total) => self.offset as u64 >= total,
            None => rows < LONGEST_PAGE,
        };
        self.is_over = all || rows == 0 || self.pages == MOST_PAGES;
    }

    /// Whether `lines` different lines are all that there are, as far as a walk can tell.
    #[must_use]
    pub fn is_whole(&self, lines: usize) -> bool {
        let all = self.total.is_none_or(|total| total == lines as u64);
        self.is_over && !self.is_doubtful && all && self.offset == lines
    }
}

/// How long a row is good for, until the line looks for itself: until the next walk but one must have shown it, however long
/// walks take.
#[must_use]
pub fn horizon(interval: Duration, walk: Duration) -> Duration {
    2 * interval.max(walk) + walk
}

/// From the beginning of one walk to that of the next. `phase` says where in its interval a workspace walks, and `turn`
/// counts its walks: many workspaces that began together don't go on together.
#[must_use]
pub fn pause(interval: Duration, phase: u128, turn: u64) -> Duration {
    let part = |percent: u32| interval * percent / 100;
    match turn {
        0 => part(50 + u32::try_from(phase % 51).unwrap_or_default()),
        _ => part(97 + u32::try_from((phase ^ u128::from(turn)) % 4).unwrap_or_default()),
    }
}

/// Whether so many lines wait for a look that pages answer them sooner than a look each.
#[must_use]
pub const fn is_crowd(waiting: usize, lines: usize) -> bool {
    waiting > 10 + 2 * lines.div_ceil(LONGEST_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_and_knows_whether_it_was_whole() {
        // The pages: rows, readable ones, total; then the offsets asked for, and whether 250 lines are all.
        type Pages<'a> = &'a [(usize, usize, Option<u64>)];
        let table: [(&str, Pages<'_>, &[usize], bool); 9] = [
            ("steady", &[(100, 100, Some(250)), (100, 100, Some(250)), (50, 50, Some(250))], &[0, 100, 200], true),
            ("without a total", &[(100, 100, None), (100, 100, None), (50, 50, None)], &[0, 100, 200], true),
            ("a short page", &[(100, 100, Some(250)), (90, 90, Some(250)), (60, 60, Some(250))], &[0, 100, 190], true),
            ("an early end", &[(100, 100, Some(250)), (0, 0, Some(250))], &[0, 100], false),
            ("one came", &[(100, 100, Some(249)), (100, 100, Some(250)), (50, 50, Some(250))], &[0, 100, 200], false),
            ("one went", &[(100, 100, Some(251)), (100, 100, Some(250)), (50, 50, Some(250))], &[0, 100, 200], false),
            (
                "a row of nonsense",
                &[(100, 99, Some(250)), (100, 100, Some(250)), (50, 50, Some(250))],
                &[0, 100, 200],
                false,
            ),
            (
                "a repeated row",
                &[(100, 100, Some(251)), (100, 100, Some(251)), (51, 51, Some(251))],
                &[0, 100, 200],
                false,
            ),
            ("empty", &[(0, 0, Some(0))], &[0], false),
        ];
        for (case, pages, offsets, whole) in table {
            let mut walk = Walk::default();
            let mut asked = vec![];
            for (rows, readable, total) in pages {
                asked.push(walk.next().unwrap_or_else(|| panic!("{case}: it ended early")));
                assert!(!walk.is_whole(250), "{case}: before its end");
                walk.take(*rows, *readable, *total);
            }
            assert_eq!((walk.next(), asked.as_slice()), (None, offsets), "{case}");
            assert_eq!(walk.is_whole(250), whole, "{case}");
            assert_eq!(walk.total(), pages.last().and_then(|(.., total)| *total), "{case}");
        }
    }

    #[test]
    fn a_list_without_an_end_is_left() {
        let mut walk = Walk::default();
        for page in 0..MOST_PAGES {
            assert_eq!(walk.next(), Some(page * LONGEST_PAGE));
            walk.take(LONGEST_PAGE, LONGEST_PAGE, None);
        }
        assert_eq!((walk.next(), walk.pages), (None, MOST_PAGES));
    }

    #[test]
    fn workspaces_that_begin_together_walk_apart() {
        let interval = Duration::from_secs(100);
        for turn in 0..50 {
            let pauses: Vec<u64> = (0..400).map(|phase| pause(interval, phase, turn).as_secs()).collect();
            let (first, last) = if turn == 0 { (50, 100) } else { (97, 100) };
            assert!(pauses.iter().all(|pause| (first..=last).contains(pause)));
            assert!(pauses.contains(&first) && pauses.contains(&last));
        }
    }

    #[test]
    fn a_slow_walk_lengthens_the_horizon() {
        for (interval, walk, expected) in [(60, 0, 120), (60, 10, 130), (60, 200, 600)] {
            assert_eq!(
                horizon(Duration::from_secs(interval), Duration::from_secs(walk)),
                Duration::from_secs(expected)
            );
        }
    }

    #[test]
    fn a_few_look_for_themselves_and_a_crowd_waits_for_the_pages() {
        for (waiting, lines, crowd) in [
            (1, 1, false),
            (12, 100, false),
            (13, 100, true),
            (30, 1000, false),
            (31, 1000, true),
            (100, 10_000, false),
            (10_000, 10_000, true),
        ] {
            assert_eq!(is_crowd(waiting, lines), crowd, "{waiting} of {lines}");
        }
    }
}
