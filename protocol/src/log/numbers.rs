//! A set of entry numbers as it stands in the evidence of a deletion or a hold: runs of numbers, two small integers each. A
//! million numbers of which every second one is meant take one megabyte. Owns that layout: ascending runs, each as the distance of
//! its first number from the end of the run before and its length, both LEB128.

use std::{fmt, str::FromStr};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberSet {
    /// First number and the one after the last; ascending, with a gap between any two.
    runs: Vec<(u64, u64)>,
}

/// Lists are told up to this length.
const SHOWN: usize = 1000;

/// A text that is no set of numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no list of entry numbers; write for example 7, 3-9 or 3-9,12")]
pub struct InvalidNumbers(String);

impl NumberSet {
    /// Adds every number from `first` up to and without `end`.
    pub fn insert_run(&mut self, first: u64, end: u64) {
        if first >= end {
            return;
        }
        match self.runs.last_mut() {
            // Numbers come in ascending order nearly always.
            Some(last) if first > last.1 => self.runs.push((first, end)),
            Some(last) if first >= last.0 => last.1 = last.1.max(end),
            None => self.runs.push((first, end)),
            Some(_) => {
                let (mut first, mut end) = (first, end);
                let from = self.runs.partition_point(|run| run.1 < first);
                let to = self.runs.partition_point(|run| run.0 <= end);
                if from < to {
                    first = first.min(self.runs[from].0);
                    end = end.max(self.runs[to - 1].1);
                }
                self.runs.splice(from..to, [(first, end)]);
            }
        }
    }

    /// Adds one number.
    pub fn insert(&mut self, number: u64) {
        self.insert_run(number, number.saturating_add(1));
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &Self) {
        other.runs.iter().for_each(|run| self.insert_run(run.0, run.1));
    }

    /// What is in this set and in another.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        let (mut common, mut left, mut right) = (Self::default(), 0, 0);
        while let (Some(one), Some(two)) = (self.runs.get(left), other.runs.get(right)) {
            common.insert_run(one.0.max(two.0), one.1.min(two.1));
            if one.1 <= two.1 {
                left += 1;
            } else {
                right += 1;
            }
        }
        common
    }

    /// What is in this set and not in another.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let (mut rest, mut right) = (Self::default(), 0);
        for (first, end) in &self.runs {
            let mut from = *first;
            while let Some(gone) = other.runs.get(right).filter(|gone| gone.0 < *end) {
                rest.insert_run(from, gone.0);
                from = from.max(gone.1);
                if gone.1 > *end {
                    break;
                }
                right += 1;
            }
            rest.insert_run(from, *end);
        }
        rest
    }

    /// The list as it is told to people: cut when it is long.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = String::new();
        for (first, end) in &self.runs {
            if text.len() > SHOWN {
                text.push('…');
                break;
            }
            let comma = if text.is_empty() { "" } else { "," };
            text += &match end - first {
                1 => format!("{comma}{first}"),
                _ => format!("{comma}{first}-{}", end - 1),
            };
        }
        text
    }

    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let after = self.runs.partition_point(|run| run.0 <= number);
        after
            .checked_sub(1)
            .is_some_and(|index| number < self.runs[index].1)
    }

    /// The runs: first number and the one after the last.
    #[must_use]
    pub fn runs(&self) -> &[(u64, u64)] {
        &self.runs
    }

    /// Every number.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.runs.iter().flat_map(|run| run.0..run.1)
    }

    /// How many numbers.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.1 - run.0).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The greatest number.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.runs.last().map(|run| run.1 - 1)
    }

    /// The bytes that are committed to.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (mut bytes, mut at) = (Vec::with_capacity(2 * self.runs.len() + 8), 0);
        for (first, end) in &self.runs {
            put(&mut bytes, first - at);
            put(&mut bytes, end - first);
            at = *end;
        }
        bytes
    }

    /// Reads what [`NumberSet::encode`] writes and nothing else. A set takes eight times the memory of its bytes at most.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let (mut runs, mut at) = (Vec::new(), 0_u64);
        while !bytes.is_empty() {
            let gap = take(&mut bytes)?;
            let length = take(&mut bytes)?;
            if length == 0 || (gap == 0 && !runs.is_empty()) {
                return None;
            }
            let first = at.checked_add(gap)?;
            at = first.checked_add(length)?;
            runs.push((first, at));
        }
        Some(Self { runs })
    }
}

/// An integer in groups of seven bits, the lowest first, all but the last with the high bit set (LEB128).
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let group = u64::from(byte & 0x7f);
        // One value has one text: no group beyond 64 bits, no empty last group.
        if (shift == 63 && group > 1) || (*byte == 0 && shift > 0) {
            return None;
        }
        value |= group << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl FromIterator<u64> for NumberSet {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

/// As people write it: `3-9,12`.
impl fmt::Display for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, end)) in self.runs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match end - first {
                1 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{}", end - 1)?,
            }
        }
        Ok(())
    }
}

impl FromStr for NumberSet {
    type Err = InvalidNumbers;

    fn from_str(text: &str) -> Result<Self, InvalidNumbers> {
        let wrong = || InvalidNumbers(text.chars().take(60).collect());
        let mut set = Self::default();
        for piece in text.split(',') {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let read = |text: &str| text.trim().parse::<u64>().ok();
            match (read(first), read(last)) {
                (Some(first), Some(last)) if first <= last && last < u64::MAX => {
                    set.insert_run(first, last + 1);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_exactly_what_was_put_in(runs in proptest::collection::vec((0..200_u64, 0..20_u64), 0..30)) {
            let (mut set, mut model) = (NumberSet::default(), BTreeSet::new());
            for (first, length) in runs {
                set.insert_run(first, first + length);
                model.extend(first..first + length);
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert!((0..230).all(|number| set.contains(number) == model.contains(&number)));
            prop_assert!(set.runs().windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert_eq!(NumberSet::parse(&set.encode()), Some(set.clone()));
            if !set.is_empty() {
                prop_assert_eq!(set.to_string().parse(), Ok(set));
            }
        }

        #[test]
        fn sets_are_compared_number_by_number(
            left in proptest::collection::btree_set(0..60_u64, 0..40),
            right in proptest::collection::btree_set(0..60_u64, 0..40),
        ) {
            let set = |numbers: &BTreeSet<u64>| numbers.iter().copied().collect::<NumberSet>();
            let (one, two) = (set(&left), set(&right));
            prop_assert_eq!(one.both(&two), left.intersection(&right).copied().collect());
            prop_assert_eq!(one.without(&two), left.difference(&right).copied().collect());
        }

        #[test]
        fn arbitrary_bytes_are_a_set_with_one_text_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(set) = NumberSet::parse(&bytes) {
                prop_assert_eq!(set.encode(), bytes);
            }
        }

        #[test]
        fn arbitrary_text_is_refused_without_a_panic(text in "[0-9,-]{0,30}") {
            let _ = text.parse::<NumberSet>();
        }
    }

    #[test]
    fn every_second_of_a_million_numbers_takes_a_megabyte() {
        let set: NumberSet = (0..1_000_000).step_by(2).collect();
        assert_eq!(set.encode().len(), 1_000_000);
    }

    #[test]
    fn what_is_no_list_of_numbers_is_refused_in_words() {
        for text in ["", "x", "9-3", "1,,2", "-", "18446744073709551615"] {
            assert!(text.parse::<NumberSet>().is_err(), "{text}");
        }
        assert_eq!("9,3-5".parse::<NumberSet>().unwrap().to_string(), "3-5,9");
    }
}
