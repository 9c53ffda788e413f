//! Participation (Beteiligung): an authority asks chambers, associations, municipalities or specialist bodies for a statement, in
//! rounds, with a deadline and with what silence means.
//!
//! Here are the profiles, as data, and the deadline that follows from one.

pub mod profile;
pub mod terms;
