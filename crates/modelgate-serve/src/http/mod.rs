//! The paths of the service.

mod admin;
mod body;
mod explain;
mod guard;
mod health;
mod ids;
mod models;
mod openapi;
mod page;
mod predict;
mod router;
mod v2;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Semaphore;

use crate::catalog::Catalog;
use crate::reload::Reloads;
use crate::settings::Settings;
use crate::telemetry::{Log, Metrics};

pub(crate) use router::router;

/// What every request can see.
pub(crate) struct App {
    pub(crate) settings: Arc<Settings>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) reloads: Reloads,
    pub(crate) log: Option<Log>,
    /// Predictions that may begin.
    permits: Arc<Semaphore>,
    rate: Option<guard::Rate>,
    ids: ids::Ids,
    /// Set by SIGTERM: nothing new should be sent here.
    pub(crate) draining: AtomicBool,
}

impl App {
    pub(crate) fn new(
        settings: Arc<Settings>,
        catalog: Arc<Catalog>,
        metrics: Arc<Metrics>,
        reloads: Reloads,
        log: Option<Log>,
    ) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(settings.limits.concurrency.min(Semaphore::MAX_PERMITS))),
            rate: guard::Rate::new(settings.limits.rate_per_second),
            ids: ids::Ids::new(&settings.correlation_header),
            draining: AtomicBool::new(false),
            settings,
            catalog,
            metrics,
            reloads,
            log,
        }
    }
}
