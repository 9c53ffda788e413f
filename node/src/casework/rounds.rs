//! Participation (Beteiligung): rounds in which others are asked, and what others ask this house.
//!
//! | Room | Owns |
//! |---|---|
//! | `row` | what the rows hold |
//! | `letters` | what is written and disclosed, sealed, and how it is packed |
//! | `plan` | who is asked what, and what is shown to them |
//! | `course` | commands on rounds |
//! | `requester` | commands on requests of this house |
//! | `participant` | commands on what this house is asked |
//! | `statement` | how a statement comes about: drafted, released, submitted |
//! | `receive` | messages of the other side |
//! | `replies` | answers of the other side |
//! | `moved` | requests that go over to another house with their case |
//! | `fetch` | bundles on their way here, and those that are pulled from here |
//! | `due` | what falls due |
//! | `folder` | the folder drop, for procedures that call no interface |
//! | `guest` | link and code of a guest |
//! | `adviser` | who looks at chosen files for a participant |
//! | `board` | what lists need of every request, in memory |
//!
//! Whoever has no node is hosted: the house speaks to itself by ordinary exchanges, and so a guest and an own unit are asked, answer
//! and are proven like everybody else. Both sides of such a request lie here, under keys of their own.

pub(super) mod adviser;
pub(super) mod board;
pub(super) mod course;
mod due;
mod fetch;
pub(super) mod folder;
pub(super) mod guest;
mod letters;
pub(super) mod moved;
pub(super) mod participant;
pub(super) mod plan;
mod receive;
mod replies;
pub(super) mod requester;
pub(super) mod row;
pub(super) mod statement;
#[cfg(test)]
mod tests;

pub(super) use self::letters::Letter;
