//! The Hugging Face Hub over HTTP: repositories, commits with an optimistic lock, large files in parts, and Spaces.
//!
//! The key type is [`Hub`], a client that sends or only collects. What is deployed and whether it may be is not decided here.

mod client;
mod content;
mod error;
mod large;
mod names;
mod repository;
mod space;
mod token;

pub use client::{Hub, Request};
pub use content::{Content, NewFile};
pub use error::HubError;
pub use names::{Kind, Repository};
pub use repository::{Change, Committed};
pub use space::{Runtime, Stage};
pub use token::Token;

/// Where the Hub is when nothing else is said.
pub const ENDPOINT: &str = "https://huggingface.co";
