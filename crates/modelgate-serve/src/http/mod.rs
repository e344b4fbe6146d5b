//! The paths of the service.

pub(crate) mod admin;
pub(crate) mod body;
mod docs;
mod explain;
pub(crate) mod extract;
mod guard;
mod health;
pub(crate) mod ids;
mod models;
mod openapi;
mod page;
mod predict;
mod proxies;
mod router;
mod schemas;
mod tries;
pub(crate) mod unread;
mod v2;
mod versions;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::Response;
use tokio::sync::Semaphore;

use crate::catalog::Catalog;
use crate::refusal::{Refusal, numbered};
use crate::reload::Reloads;
use crate::rollout::Mirror;
use crate::settings::Settings;
use crate::telemetry::{Context, Log, Metrics, TRACE_HEADER, Tracer};

pub(crate) use openapi::identifier;
pub(crate) use predict::json;
pub(crate) use router::router;

/// What every request can see.
pub(crate) struct App {
    pub(crate) settings: Arc<Settings>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) reloads: Reloads,
    pub(crate) log: Option<Log>,
    pub(crate) tracer: Arc<Tracer>,
    /// Takes copies of requests for canaries.
    pub(crate) mirror: Mirror,
    /// The header with the key by which a caller is given a version.
    key_header: Option<HeaderName>,
    /// Predictions that may begin.
    permits: Semaphore,
    /// Bytes of bodies that may be held.
    pub(crate) body_room: Arc<Semaphore>,
    rate: Option<guard::Rate>,
    tokens: tries::Tries,
    keys: tries::Tries,
    ids: ids::Ids,
    /// Set by SIGTERM: nothing new should be sent here.
    pub(crate) draining: AtomicBool,
    /// What `/openapi.json` answers.
    openapi: openapi::Written,
}

impl App {
    /// Returns who sends a request with these headers over a connection from `peer`.
    pub(crate) fn caller(&self, headers: &HeaderMap, peer: IpAddr) -> ids::Caller {
        let address = proxies::asker(headers, peer, &self.settings.trusted_proxies);
        self.ids.caller(headers, address, self.tracer.of_request(headers))
    }

    /// Gives an answer what every answer has: the number of its request, and the version that is served.
    pub(crate) fn sent(&self, response: Response, caller: &ids::Caller, asked: &Uri) -> Response {
        let mut response = numbered(docs::in_folder(asked, response), &caller.id);
        // An answer of a model names it already.
        if !response.headers().contains_key(versions::VERSION_HEADER)
            && let Some(model) = versions::meant(&self.catalog.served(), asked)
        {
            versions::name(response.headers_mut(), model);
        }
        self.ids.insert(response.headers_mut(), &caller.id);
        if let Some(header) = caller.trace.and_then(Context::header) {
            response.headers_mut().insert(HeaderName::from_static(TRACE_HEADER), header);
        }
        response
    }

    /// Returns the whole answer to what is no request that can be read; the connection ends with it.
    pub(crate) fn garbled(&self, status: StatusCode, address: IpAddr) -> Vec<u8> {
        let caller = self.caller(&HeaderMap::new(), address);
        let refusal = Refusal::of_head(status);
        let response = self.sent(refusal.response(&caller.id), &caller, &Uri::default());
        let (head, body) = (response.headers(), refusal.body(&caller.id));
        let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
        for (name, value) in head.iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let end = format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        bytes.extend_from_slice(end.as_bytes());
        bytes
    }

    /// Returns the header that has the number of a request.
    pub(crate) fn correlation_header(&self) -> Option<&HeaderName> {
        self.ids.header()
    }

    pub(crate) fn new(
        settings: Arc<Settings>,
        catalog: Arc<Catalog>,
        metrics: Arc<Metrics>,
        reloads: Reloads,
        log: Option<Log>,
        tracer: Arc<Tracer>,
        mirror: Mirror,
    ) -> Self {
        Self {
            permits: Semaphore::new(settings.limits.concurrency.min(Semaphore::MAX_PERMITS)),
            body_room: Arc::new(Semaphore::new(body::room(&settings.limits))),
            rate: guard::Rate::new(
                settings.limits.rate_per_second,
                settings.limits.rate_per_second.saturating_mul(2),
            ),
            tokens: tries::Tries::new("tokens of an administrator"),
            keys: tries::Tries::new("keys"),
            ids: ids::Ids::new(&settings.correlation_header),
            draining: AtomicBool::new(false),
            openapi: openapi::Written::default(),
            key_header: HeaderName::from_bytes(settings.key_header.as_bytes()).ok(),
            mirror,
            settings,
            catalog,
            metrics,
            reloads,
            log,
            tracer,
        }
    }
}
