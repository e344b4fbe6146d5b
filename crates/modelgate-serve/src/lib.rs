//! The prediction service: models from a package folder or a registry, verified before they are loaded, over HTTP.
//!
//! Owns: sources, reloads, request forms, validation, metrics, the prediction log, limits. Refuses: training, and
//! deciding what may be in production.
//!
//! The key function is [`serve`]. The path of one request: `server` (connection) → `http::router` → `http::predict`
//! (admission, body) → `request` (rows out of the body, checked) → `served` (the model) → `answer` (JSON).

mod answer;
mod cache;
mod catalog;
mod caught;
mod client;
mod error;
mod explanation;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod garbled;
mod http;
mod news;
mod patience;
mod readiness;
mod redaction;
mod refusal;
mod reload;
mod request;
pub mod rollout;
mod secret;
mod served;
mod server;
pub mod settings;
mod signals;
pub mod smoke;
pub mod source;
mod start;
mod telemetry;
mod tls;
#[cfg(target_os = "linux")]
mod trim;

pub use error::{ServeError, SourceError};
pub use server::{Ended, Started, serve};
