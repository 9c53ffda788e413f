//! Many archives, put into the order in which they continue each other.

use std::collections::HashMap;

use super::LinkingInfo;

/// Where an archive stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first of its group.
    First,
    /// It continues this other one; numbers are places in the given list.
    Follows(usize),
    /// It continues the same archive as this other one: one of the two does not belong here.
    Fork(usize),
    /// It continues an archive that is not among those given.
    Detached,
}

/// Orders archives by what they say of their predecessors: each after the one it continues, chains one after another in
/// the order in which their first archives were given. Whether what they say is true is for [`super::Archive`] to find.
#[must_use]
pub fn sequence(archives: &[&LinkingInfo]) -> Vec<(usize, Position)> {
    let mut ends: HashMap<&str, usize> = HashMap::new();
    for (place, info) in archives.iter().enumerate() {
        ends.entry(info.last()).or_insert(place);
    }
    let mut followers: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut begins = Vec::new();
    for (place, info) in archives.iter().enumerate() {
        let Some(link) = &info.previous else {
            begins.push((place, Position::First));
            continue;
        };
        match ends.get(link.digest.as_str()) {
            Some(&before) if before != place => followers.entry(before).or_default().push(place),
            Some(_) | None => begins.push((place, Position::Detached)),
        }
    }
    let mut order = Vec::with_capacity(archives.len());
    let mut seen = vec![false; archives.len()];
    let mut walk = |begin: (usize, Position), seen: &mut Vec<bool>| {
        let mut next = vec![begin];
        while let Some((place, position)) = next.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            order.push((place, position));
            let after = followers.get(&place).map_or(&[][..], Vec::as_slice);
            let positions = after.iter().enumerate().map(|(nth, &follower)| match nth {
                0 => (follower, Position::Follows(place)),
                _ => (follower, Position::Fork(after[0])),
            });
            // The last one pushed is walked first.
            next.extend(positions.rev());
        }
    };
    for begin in begins {
        walk(begin, &mut seen);
    }
    // Archives that claim to continue each other in a ring: nothing leads there.
    for place in 0..archives.len() {
        if !seen[place] {
            walk((place, Position::Detached), &mut seen);
        }
    }
    order
}
