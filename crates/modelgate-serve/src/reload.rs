//! The thread that owns the source: it asks at intervals and on demand, retries with pauses that grow, and leaves a
//! source alone that fails too often.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::cache::Cache;
use crate::catalog::{Breaker, Catalog, Outcome, Served};
use crate::error::SourceError;
use crate::served::ServedModel;
use crate::settings::Settings;
use crate::source::{Offer, Source};
use crate::telemetry::Metrics;

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a service without a model looks for one.
const EMPTY_PAUSE: Duration = Duration::from_secs(2);

/// Asks the reloading thread for a reload.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(Sender<oneshot::Sender<Outcome>>);

impl Reloads {
    /// Asks for a reload; what became of it comes through the receiver.
    pub(crate) fn ask(&self) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        // A thread that is gone drops the sender, which the receiver tells.
        let _ = self.0.send(sender);
        receiver
    }
}

/// Loads what the source has and keeps it up to date.
pub(crate) struct Reloader {
    source: Box<dyn Source>,
    cache: Option<Cache>,
    catalog: Arc<Catalog>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    failures: u32,
    open_until: Option<Instant>,
    /// What the source offered when it last answered; `None` while it does not.
    offered: Option<Vec<Offer>>,
}

impl Reloader {
    pub(crate) fn new(
        source: Box<dyn Source>,
        catalog: Arc<Catalog>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let cache = settings.cache.clone().map(Cache::new);
        catalog.update(|status| {
            status.kind = source.kind();
            status.place = source.describe();
        });
        Self { source, cache, catalog, settings, metrics, failures: 0, open_until: None, offered: None }
    }

    /// Loads for the first time, from the cache when the source does not answer.
    pub(crate) fn start(&mut self) -> Outcome {
        let outcome = self.reload();
        if self.catalog.served().models.is_empty() && self.load_cached() {
            return Outcome::Reloaded { changed: self.catalog.served().models.keys().cloned().collect() };
        }
        outcome
    }

    /// Loads, then runs until every [`Reloads`] is gone.
    pub(crate) fn spawn(mut self) -> std::io::Result<Reloads> {
        let (sender, receiver) = channel();
        let work = move || {
            let outcome = self.start();
            crate::server::first(&outcome, &self.catalog);
            self.run(&receiver);
        };
        std::thread::Builder::new().name("reload".to_owned()).spawn(work)?;
        Ok(Reloads(sender))
    }

    fn run(&mut self, requests: &Receiver<oneshot::Sender<Outcome>>) {
        loop {
            let empty = self.catalog.served().models.is_empty();
            let pause = match self.settings.refresh {
                _ if empty => EMPTY_PAUSE,
                Duration::ZERO => Duration::from_secs(24 * 3600),
                pause => pause,
            };
            match requests.recv_timeout(pause) {
                Ok(asker) => {
                    // Whoever asked before this reload begins is answered by it.
                    let askers: Vec<_> = std::iter::once(asker).chain(requests.try_iter()).collect();
                    // A person who asks wants to know now, not when the breaker closes.
                    self.open_until = None;
                    let outcome = self.reload();
                    askers.into_iter().for_each(|asker| drop(asker.send(outcome.clone())));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if empty || !self.settings.refresh.is_zero() {
                        self.reload();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn breaker(&mut self) -> Breaker {
        match self.open_until {
            None => Breaker::Closed,
            Some(until) if Instant::now() < until => Breaker::Open,
            Some(_) => Breaker::HalfOpen,
        }
    }

    fn reload(&mut self) -> Outcome {
        let began = Instant::now();
        let breaker = self.breaker();
        self.show(breaker);
        if breaker == Breaker::Open {
            return Outcome::Failed {
                reason: "the source failed too often and is left alone for a while".to_owned(),
            };
        }
        let tries = if breaker == Breaker::HalfOpen { 1 } else { self.settings.retry_attempts.max(1) };
        let offers = self.offers(tries);
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (place, server_version) = (self.source.describe(), self.source.server_version());
        let outcome = match offers {
            Ok(offers) => {
                self.offered = Some(offers.clone());
                self.failures = 0;
                self.open_until = None;
                self.catalog.update(|status| {
                    status.reachable = Some(true);
                    status.last_error = None;
                });
                self.take(&offers)
            }
            Err(error) => {
                let reachable = matches!(error, SourceError::Missing(_));
                self.offered = reachable.then(Vec::new);
                self.failures = if reachable { 0 } else { self.failures + 1 };
                if self.failures >= self.settings.breaker_threshold {
                    self.open_until = Some(Instant::now() + self.settings.breaker_timeout);
                }
                let reason = error.to_string();
                self.catalog.update(|status| {
                    status.reachable = Some(reachable);
                    status.last_error = Some(reason.clone());
                });
                Outcome::Failed { reason }
            }
        };
        self.catalog.update(|status| {
            status.place = place;
            status.server_version = server_version;
            status.last_check = Some(now);
        });
        let breaker = self.breaker();
        self.show(breaker);
        self.metrics.reloaded(&outcome, began.elapsed());
        outcome
    }

    fn show(&self, breaker: Breaker) {
        self.catalog.update(|status| status.breaker = breaker);
        self.metrics.breaker(breaker);
    }

    fn offers(&mut self, tries: u32) -> Result<Vec<Offer>, SourceError> {
        let mut pause = FIRST_PAUSE;
        let mut left = tries;
        loop {
            left -= 1;
            match self.source.offers() {
                Err(SourceError::Unavailable(_)) if left > 0 => {
                    std::thread::sleep(pause);
                    pause = pause.mul_f64(self.settings.retry_factor.max(1.0)).min(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Makes what the source offers what is served. A model that does not verify keeps its place as it is.
    fn take(&mut self, offers: &[Offer]) -> Outcome {
        let before = self.catalog.served();
        let mut served = Served::default();
        let (mut changed, mut refused) = (Vec::new(), std::collections::BTreeMap::new());
        for offer in offers {
            let name = offer.name.to_string();
            let old = before.models.get(&name);
            let same = old.filter(|old| old.offer.digest == offer.digest);
            if let Some(old) = same.filter(|old| old.offer == *offer) {
                served.models.insert(name, Arc::clone(old));
                continue;
            }
            let began = Instant::now();
            let files = self.source.files(offer).map_err(|error| error.to_string());
            let loaded = files.and_then(|files| {
                let model = ServedModel::load(
                    offer.clone(),
                    files.clone(),
                    old.map(AsRef::as_ref),
                    &self.settings,
                    &self.metrics,
                )?;
                if let Some(Err(error)) = self.cache.as_ref().map(|cache| cache.keep(&offer.digest, &files)) {
                    self.metrics.cache_failed();
                    tell(&format!("the cache cannot be written: {error}"));
                }
                Ok(model)
            });
            match loaded {
                Ok(model) => {
                    self.metrics.loaded(began.elapsed());
                    served.models.insert(name.clone(), Arc::new(model));
                    changed.push(name);
                }
                Err(reason) => {
                    if let Some(old) = old {
                        served.models.insert(name.clone(), Arc::clone(old));
                    }
                    let sentence = format!("{} {}: {reason}", offer.name, offer.version);
                    if self.catalog.status().refused.get(&name) != Some(&sentence) {
                        tell(&format!("not served: {sentence}"));
                    }
                    refused.insert(name, sentence);
                }
            }
        }
        let gone = before.models.keys().filter(|name| !served.models.contains_key(*name)).cloned();
        changed.extend(gone);
        let now_served: Vec<Offer> = served.models.values().map(|model| model.offer.clone()).collect();
        let failure = refused.values().cloned().collect::<Vec<_>>().join("; ");
        let from_cache = self.catalog.status().from_cache && changed.is_empty() && !refused.is_empty();
        if !changed.is_empty() {
            self.metrics.serving(&served);
            self.catalog.swap(served);
        }
        if let Some(cache) = self.cache.as_ref().filter(|_| !now_served.is_empty())
            && let Err(error) = cache.remember(&self.source.identity(), now_served)
        {
            self.metrics.cache_failed();
            tell(&format!("the cache cannot be written: {error}"));
        }
        self.catalog.update(|status| {
            status.refused = refused;
            status.from_cache = from_cache;
        });
        if !failure.is_empty() {
            Outcome::Failed { reason: failure }
        } else if changed.is_empty() {
            Outcome::Noop
        } else {
            Outcome::Reloaded { changed }
        }
    }

    fn load_cached(&mut self) -> bool {
        let Some(cache) = &self.cache else { return false };
        let mut served = Served::default();
        for offer in cache.offers(&self.source.identity()).unwrap_or_default() {
            // What was served once may be quarantined by now: a source that answers has the last word.
            let offered = self.offered.as_ref();
            if !offered.is_none_or(|offers| offers.iter().any(|one| one.digest == offer.digest)) {
                continue;
            }
            let Some(files) = cache.files(&offer.digest) else { continue };
            match ServedModel::load(offer.clone(), files, None, &self.settings, &self.metrics) {
                Ok(model) => {
                    served.models.insert(offer.name.to_string(), Arc::new(model));
                }
                Err(reason) => {
                    tell(&format!("not served from the cache: {} {}: {reason}", offer.name, offer.version));
                }
            }
        }
        if served.models.is_empty() {
            return false;
        }
        self.metrics.serving(&served);
        self.catalog.swap(served);
        self.catalog.update(|status| status.from_cache = true);
        true
    }
}

/// A line for whoever looks after the service.
pub(crate) fn tell(sentence: &str) {
    use std::io::Write;
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "modelgate: {sentence}");
}
