//! Path patterns and the paths they are matched with (wire 2.10, X-Road's PathGlob).
//!
//! `*` stands for any characters but `/`, `**` for any at all, `\*` and `\\` for themselves. Matching takes time
//! proportional to pattern times path, both bounded.

use std::fmt;
use std::str::FromStr;

use crate::id::decode_segment;
use crate::limits;

/// A pattern that says nothing or not what it seems to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It matches no path, since paths begin with `/`.
    #[error("a path pattern must begin with `/` or `*`")]
    Start,
    /// A backslash before anything but `*` and `\`.
    #[error("in a path pattern a backslash may only stand before `*` or another backslash")]
    Escape,
    /// Longer than [`limits::PATH_PATTERN`].
    #[error("a path pattern has at most {} characters", limits::PATH_PATTERN)]
    Length,
}

/// A pattern for the decoded path after the service code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    Star,
    DoubleStar,
}

impl PathPattern {
    /// `**`: the whole service.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            tokens: vec![Token::DoubleStar],
        }
    }

    /// Whether the path need not be looked at.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.tokens == [Token::DoubleStar]
    }

    /// Follows all ways through the pattern at once, character by character.
    fn matches(&self, path: &str) -> bool {
        // `at[i]`: the characters so far can be read by the first `i` tokens.
        let mut at = vec![false; self.tokens.len() + 1];
        at[0] = true;
        self.skip_stars(&mut at);
        let mut next = vec![false; at.len()];
        for c in path.chars() {
            next.fill(false);
            for (i, token) in self.tokens.iter().enumerate().filter(|(i, _)| at[*i]) {
                match token {
                    Token::Literal(literal) => next[i + 1] |= *literal == c,
                    Token::Star => next[i] |= c != '/',
                    Token::DoubleStar => next[i] = true,
                }
            }
            self.skip_stars(&mut next);
            if !next.contains(&true) {
                return false;
            }
            std::mem::swap(&mut at, &mut next);
        }
        at[self.tokens.len()]
    }

    /// Stars may read nothing.
    fn skip_stars(&self, at: &mut [bool]) {
        for (i, token) in self.tokens.iter().enumerate() {
            at[i + 1] |= at[i] && !matches!(token, Token::Literal(_));
        }
    }
}

impl FromStr for PathPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > limits::PATH_PATTERN {
            return Err(InvalidPattern::Length);
        }
        if !text.starts_with(['/', '*']) {
            return Err(InvalidPattern::Start);
        }
        let mut tokens = Vec::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => Token::DoubleStar,
                '*' => Token::Star,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => Token::Literal(escaped),
                    _ => return Err(InvalidPattern::Escape),
                },
                c => Token::Literal(c),
            });
        }
        Ok(Self { tokens })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| match token {
            Token::Star => f.write_str("*"),
            Token::DoubleStar => f.write_str("**"),
            Token::Literal(c @ ('*' | '\\')) => write!(f, "\\{c}"),
            Token::Literal(c) => write!(f, "{c}"),
        })
    }
}

/// A service path, decoded once, in the two forms in which a service may understand it.
pub(super) struct DecodedPath {
    as_sent: String,
    /// Without empty segments and those of one dot.
    normalised: String,
}

impl DecodedPath {
    /// `None` for a path that no narrow right may rest on.
    pub(super) fn new(raw: &str) -> Option<Self> {
        if raw.is_empty() {
            return Some(Self {
                as_sent: String::new(),
                normalised: String::new(),
            });
        }
        let segments: Vec<String> = raw
            .strip_prefix('/')?
            .split('/')
            .map(decode_segment)
            .collect::<Result<_, _>>()
            .ok()?;
        let ambiguous = |segment: &String| {
            segment == ".." || segment.contains(['/', '\\', '?', '#']) || segment.contains(char::is_control)
        };
        let begins_empty = segments.len() > 1 && segments[0].is_empty();
        if begins_empty || segments.iter().any(ambiguous) {
            return None;
        }
        let last = segments.len() - 1;
        let mut normalised = String::with_capacity(raw.len());
        for (i, segment) in segments.iter().enumerate() {
            if (!segment.is_empty() && segment != ".") || i == last {
                normalised.push('/');
                normalised.push_str(if segment == "." { "" } else { segment });
            }
        }
        Some(Self {
            as_sent: segments.iter().flat_map(|segment| ["/", segment]).collect(),
            normalised,
        })
    }

    pub(super) fn fits(&self, pattern: &PathPattern) -> bool {
        pattern.matches(&self.as_sent)
            && (self.normalised == self.as_sent || pattern.matches(&self.normalised))
    }
}
