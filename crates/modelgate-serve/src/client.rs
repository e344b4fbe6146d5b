//! What all clients of the service have in common: what they trust, by which proxy they go, and what they call themselves.

use modelgate_store::{proxy, trust};
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;

/// Returns the beginning of a client of what is at `url`: it follows no redirect, and leaves it to the caller what a status
/// means.
pub(crate) fn client(url: &str) -> ConfigBuilder<AgentScope> {
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy(url))
        .tls_config(trust())
        .user_agent(concat!("modelgate/", env!("CARGO_PKG_VERSION")))
}
