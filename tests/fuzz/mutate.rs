//! Bytes made from other bytes.

use super::replies::KEY;

/// A small generator of numbers, the same for the same seed everywhere: splitmix64.
pub struct Random(u64);

impl Random {
    /// The generator of one try of a run.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed);
        Self(random.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`, which is at least one.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than a usize")
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Changes a few bytes, knowing nothing of what they mean.
pub fn blindly(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.byte(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, random.byte()),
            3 => drop(bytes.remove(at)),
            _ => bytes.swap(at, 0),
        }
    }
    if random.below(16) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
}

/// Changes it as one who knows what such texts are made of: words put in, parts doubled, cut out and taken from another.
pub fn knowingly(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 | 1 => drop(bytes.splice(at..at, random.one(WORDS).bytes())),
            2 => drop(bytes.splice(at..end, random.one(WORDS).bytes())),
            3 => bytes.extend_from_within(at..end),
            4 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(80)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => exchange(bytes, random),
        }
    }
}

/// Puts one word in the place of another that is there.
fn exchange(bytes: &mut Vec<u8>, random: &mut Random) {
    let old = random.one(WORDS).as_bytes();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    if !places.is_empty() {
        let at = *random.one(&places);
        bytes.splice(at..at + old.len(), random.one(WORDS).bytes());
    }
}

const WORDS: &[&str] = &[
    "\"active\"",
    "\"paused\"",
    "active",
    "paused",
    "\"\\u0070aused\"",
    "\"Paused\"",
    "null",
    "true",
    "{}",
    "[]",
    "0",
    "-0",
    "1e400",
    "9223372036854775808",
    "1.0",
    "\"deployment_id\"",
    "\"deployment_id\":\"dep-1\",",
    "\"deployment_id\":\"dep-2\",",
    "\"status\"",
    "\"status\":\"paused\",",
    "\"status\":\"active\",",
    "\"st\\u0061tus\":\"paused\",",
    "\"name\":",
    "\"items\":",
    "\"items\":[],",
    "\"total\":1,",
    "dep-1",
    "dep-2",
    "\"error\":{\"code\":\"insufficient_quota_error\",\"message\":\"m\"}",
    "rate_limit_exceeded_error",
    "invalid_api_key_error",
    "\"detail\":",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\ud800",
    "\\u0000",
    "\u{feff}",
    "\u{202e}",
    "\n",
    "\r\n",
    "\t",
    "é",
    "📞",
    "[[[[[[[[[[[[[[[[",
    "]]]]]]]]]]]]]]]]",
    KEY,
    "5a71372f6b50322b",
    "GET 200\n",
    "PUT 200\n",
    "PUT 201\n",
    "LIST 200\n",
    "GET 404\n",
    "PUT 409\n",
    "PUT 503\n",
    "GET 429|30",
    "PUT 429|Sun, 06 Nov 1994 08:50:37 GMT|Sun, 06 Nov 1994 08:49:37 GMT\n",
    "|-1",
    "|99999999999999999999",
    "sk_live_4f9a8b7c",
];
