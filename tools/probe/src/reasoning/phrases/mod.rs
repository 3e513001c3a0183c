//! Parts of sentences, and where `%name%` in a template is looked up: [`shared`] by all families, and a file of each.
//!
//! Training stories are told and asked in sentences composed of parts, tens of thousands of them: a model that is told
//! the same few hundred again and again learns them by heart, and then knows no question that is put otherwise. What
//! the test asks with stands in no list here.

mod if_then;
mod in_context;
mod pattern;
mod shared;
mod tracking;

/// Lists of phrases by name. A phrase is a piece of a template and may hold slots, choices and other phrases.
pub type Phrases = &'static [(&'static str, &'static [&'static str])];

/// The list that answers begin with.
pub const SURE: &str = "sure";

pub const ALL: [Phrases; 5] =
    [shared::PHRASES, tracking::PHRASES, if_then::PHRASES, in_context::PHRASES, pattern::PHRASES];

/// The phrases called `name`.
pub fn find(name: &str) -> Option<&'static [&'static str]> {
    ALL.into_iter().flatten().find(|list| list.0 == name).map(|list| list.1)
}

/// Every phrase of every list.
pub fn all() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().flatten().flat_map(|list| list.1.iter().copied())
}
