//! Files of profiles: what is built in, and what a tenant adds.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Profile, ProfileError, Versioned};

/// What is built in.
static BUILT_IN: LazyLock<Result<ProfileTable, ProfileFileError>> =
    LazyLock::new(|| ProfileTable::parse(include_str!("../../../data/profiles.toml")));

/// A file of profiles that cannot be used: every mistake in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the file of profiles cannot be used: {}", .0.join("; "))]
pub struct ProfileFileError(pub Vec<String>);

impl ProfileFileError {
    /// The machine code.
    pub const CODE: &'static str = "profile_file_invalid";
}

/// Profiles by code and version.
#[derive(Clone, Debug)]
pub struct ProfileTable {
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Vec<Profile>,
}

impl ProfileTable {
    /// The profiles of this version of the program.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn built_in() -> &'static Self {
        BUILT_IN.as_ref().expect("a test reads the built-in profiles")
    }

    /// Reads a file; `data/profiles.toml` explains the form.
    ///
    /// # Errors
    /// Every mistake in it, as sentences.
    pub fn parse(text: &str) -> Result<Self, ProfileFileError> {
        let file: File = toml::from_str(text).map_err(|error| ProfileFileError(vec![error.to_string()]))?;
        let mut wrong: Vec<String> = file.profile.iter().flat_map(Profile::mistakes).collect();
        let mut seen = BTreeSet::new();
        for profile in &file.profile {
            if !seen.insert(profile.id()) {
                wrong.push(format!("{} stands there twice", profile.id()));
            }
        }
        match wrong.is_empty() {
            true => Ok(Self {
                profiles: file.profile,
            }),
            false => Err(ProfileFileError(wrong)),
        }
    }

    /// These profiles with a tenant's own before them.
    ///
    /// # Errors
    /// A code and version of ours with another content: what a request records would have two meanings.
    pub fn with(&self, own: Self) -> Result<Self, ProfileFileError> {
        let other = |profile: &&Profile| {
            own.profiles
                .iter()
                .any(|mine| mine.id() == profile.id() && mine != *profile)
        };
        let wrong: Vec<String> = self
            .profiles
            .iter()
            .filter(other)
            .map(|profile| {
                format!(
                    "{} exists with another content; give it a version of its own",
                    profile.id()
                )
            })
            .collect();
        if !wrong.is_empty() {
            return Err(ProfileFileError(wrong));
        }
        let mut profiles = own.profiles;
        let rest = self.profiles.iter().filter(|profile| !profiles.contains(profile));
        let rest: Vec<Profile> = rest.cloned().collect();
        profiles.extend(rest);
        Ok(Self { profiles })
    }

    /// All of them, a tenant's own first.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The profile that a code means today.
    ///
    /// # Errors
    /// `profile_unknown`.
    pub fn profile(&self, code: &str) -> Result<&Profile, ProfileError> {
        self.profiles
            .iter()
            .find(|profile| profile.code.as_str() == code)
            .ok_or_else(|| ProfileError::Unknown(code.to_owned()))
    }

    /// The profile that a request recorded.
    ///
    /// # Errors
    /// `profile_unknown`.
    pub fn recorded(&self, id: &Versioned) -> Result<&Profile, ProfileError> {
        self.profiles
            .iter()
            .find(|profile| profile.id() == *id)
            .ok_or_else(|| ProfileError::Unknown(id.to_string()))
    }
}
