//! A case (Vorgang): the seven states that its authority's people know, and what may happen next in each.
//!
//! Only the own authority's cases are judged here. What a peer says of a state is shown as it says it and never enforced.
//! Whether an application may be acted on at all is for its transfers to say.

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// How a case stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Neu.
    New,
    /// Angenommen.
    Accepted,
    /// In Bearbeitung.
    InProgress,
    /// Beschieden.
    Decided,
    /// Abgeschlossen.
    Closed,
    /// Verworfen.
    Discarded,
    /// Zu Löschen, after it was closed.
    ToDeleteClosed,
    /// Zu Löschen, after it was discarded.
    ToDeleteDiscarded,
}

/// What a person wants of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Annehmen.
    Accept,
    /// Verwerfen.
    Discard,
    /// Zurückholen.
    TakeBack,
    /// Bearbeiten.
    Start,
    /// Zurückstellen.
    PutBack,
    /// Bescheiden.
    Decide,
    /// Abschließen.
    Close,
    /// Wiedereröffnen.
    Reopen,
    /// Zum Löschen markieren.
    MarkForDeletion,
    /// Löschanforderung zurücknehmen.
    Unmark,
    /// Löschen: its content is gone then.
    Delete,
}

/// What follows from a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Another state.
    Status(Status),
    /// Nothing is left but the receipts.
    Gone,
}

/// A command that does not fit the state.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} is not possible while the case is {}; possible now: {}", .command.name(), .status.name(), names(.legal))]
pub struct Illegal {
    /// What was wanted.
    pub command: Command,
    /// The state.
    pub status: Status,
    /// What is possible.
    pub legal: Vec<Command>,
}

impl Illegal {
    /// The machine code.
    pub const CODE: &'static str = "illegal_for_state";
}

fn names(commands: &[Command]) -> String {
    commands
        .iter()
        .map(|command| command.name())
        .collect::<Vec<_>>()
        .join(", ")
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Accept,
        Self::Discard,
        Self::TakeBack,
        Self::Start,
        Self::PutBack,
        Self::Decide,
        Self::Close,
        Self::Reopen,
        Self::MarkForDeletion,
        Self::Unmark,
        Self::Delete,
    ];

    /// Its name in the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Discard => "discard",
            Self::TakeBack => "take_back",
            Self::Start => "start",
            Self::PutBack => "put_back",
            Self::Decide => "decide",
            Self::Close => "close",
            Self::Reopen => "reopen",
            Self::MarkForDeletion => "mark_for_deletion",
            Self::Unmark => "unmark",
            Self::Delete => "delete",
        }
    }
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::Accepted,
        Self::InProgress,
        Self::Decided,
        Self::Closed,
        Self::Discarded,
        Self::ToDeleteClosed,
        Self::ToDeleteDiscarded,
    ];

    /// Its name in the interface: both ways of waiting for deletion have the same.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Accepted => "ACCEPTED",
            Self::InProgress => "IN_PROGRESS",
            Self::Decided => "DECIDED",
            Self::Closed => "CLOSED",
            Self::Discarded => "DISCARDED",
            Self::ToDeleteClosed | Self::ToDeleteDiscarded => "TO_DELETE",
        }
    }

    /// Its name for people, in German.
    pub const fn german(self) -> &'static str {
        match self {
            Self::New => "Neu",
            Self::Accepted => "Angenommen",
            Self::InProgress => "In Bearbeitung",
            Self::Decided => "Beschieden",
            Self::Closed => "Abgeschlossen",
            Self::Discarded => "Verworfen",
            Self::ToDeleteClosed | Self::ToDeleteDiscarded => "Zu Löschen",
        }
    }

    /// Whether somebody still works on it.
    pub const fn is_open(self) -> bool {
        match self {
            Self::New | Self::Accepted | Self::InProgress | Self::Decided => true,
            Self::Closed | Self::Discarded | Self::ToDeleteClosed | Self::ToDeleteDiscarded => false,
        }
    }

    const fn after(self, command: Command) -> Option<Next> {
        let status = match (self, command) {
            (Self::New, Command::Accept) | (Self::InProgress, Command::PutBack) => Self::Accepted,
            (Self::New, Command::Discard) => Self::Discarded,
            (Self::Accepted | Self::Discarded, Command::TakeBack) => Self::New,
            (Self::Accepted, Command::Start) | (Self::Decided | Self::Closed, Command::Reopen) => {
                Self::InProgress
            }
            (Self::Accepted | Self::InProgress, Command::Decide) => Self::Decided,
            (Self::InProgress | Self::Decided, Command::Close) | (Self::ToDeleteClosed, Command::Unmark) => {
                Self::Closed
            }
            (Self::Closed, Command::MarkForDeletion) => Self::ToDeleteClosed,
            (Self::Discarded, Command::MarkForDeletion) => Self::ToDeleteDiscarded,
            (Self::ToDeleteDiscarded, Command::Unmark) => Self::Discarded,
            (Self::ToDeleteClosed | Self::ToDeleteDiscarded, Command::Delete) => return Some(Next::Gone),
            (
                Self::New
                | Self::Accepted
                | Self::InProgress
                | Self::Decided
                | Self::Closed
                | Self::Discarded
                | Self::ToDeleteClosed
                | Self::ToDeleteDiscarded,
                Command::Accept
                | Command::Discard
                | Command::TakeBack
                | Command::Start
                | Command::PutBack
                | Command::Decide
                | Command::Close
                | Command::Reopen
                | Command::MarkForDeletion
                | Command::Unmark
                | Command::Delete,
            ) => return None,
        };
        Some(Next::Status(status))
    }

    /// What is possible now.
    pub fn legal(self) -> Vec<Command> {
        Command::ALL
            .into_iter()
            .filter(|command| self.after(*command).is_some())
            .collect()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// One that does not fit, with those that do.
    pub fn decide(self, command: Command) -> Result<Next, Illegal> {
        self.after(command).ok_or_else(|| Illegal {
            command,
            status: self,
            legal: self.legal(),
        })
    }
}
