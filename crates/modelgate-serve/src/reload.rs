//! The thread that owns the source: it asks at intervals and on demand, retries with pauses that grow, and leaves a
//! source alone that fails too often.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use modelgate_core::{Digest, ModelName};
use tokio::sync::oneshot;

use crate::catalog::{Breaker, Catalog, Outcome, Served};
use crate::error::SourceError;
use crate::rollout::Track;
use crate::served::ServedModel;
use crate::settings::Settings;
use crate::source::{Offer, Offered, Source};
use crate::start::Start;
use crate::telemetry::talk::warn;
use crate::telemetry::{Attribute, Context, Metrics, Tracer};

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a service without a model looks for one.
const EMPTY_PAUSE: Duration = Duration::from_secs(2);

/// Why a canary was not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CanaryError {
    /// The source does not give it out.
    #[error(transparent)]
    Source(SourceError),
    /// It does not verify.
    #[error("{0}")]
    Refused(String),
}

type Loaded = Result<Arc<ServedModel>, CanaryError>;

/// What the reloading thread is asked for.
enum Ask {
    Reload(oneshot::Sender<Outcome>),
    Canary { name: ModelName, version: String, digest: Digest, reply: oneshot::Sender<Loaded> },
}

/// Asks the reloading thread for a reload.
#[derive(Clone)]
pub(crate) struct Reloads(Sender<Ask>);

impl Reloads {
    /// Asks for a reload; what became of it comes through the receiver.
    pub(crate) fn ask(&self) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        // A thread that is gone drops the sender, which the receiver tells.
        let _ = self.0.send(Ask::Reload(sender));
        receiver
    }

    /// Asks for a canary to be loaded and verified; it is not served by that.
    pub(crate) fn canary(
        &self,
        name: ModelName,
        version: String,
        digest: Digest,
    ) -> oneshot::Receiver<Loaded> {
        let (reply, receiver) = oneshot::channel();
        let _ = self.0.send(Ask::Canary { name, version, digest, reply });
        receiver
    }
}

/// Loads what the source has and keeps it up to date.
pub(crate) struct Reloader {
    source: Box<dyn Source>,
    start: Arc<Start>,
    catalog: Arc<Catalog>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    tracer: Arc<Tracer>,
    /// The look at the source that is going on.
    trace: Option<Context>,
    failures: u32,
    open_until: Option<Instant>,
}

/// What came of the offers.
struct Taken {
    outcome: Outcome,
    /// Why files could not be fetched, where the source broke off.
    unreached: Option<String>,
}

impl Reloader {
    pub(crate) fn new(
        source: Box<dyn Source>,
        catalog: Arc<Catalog>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        tracer: Arc<Tracer>,
    ) -> Self {
        catalog.update(|status| {
            status.kind = source.kind();
            status.place = source.describe();
        });
        let start =
            Start::new(source.identity(), Arc::clone(&catalog), Arc::clone(&settings), Arc::clone(&metrics));
        Self {
            source,
            start: Arc::new(start),
            catalog,
            settings,
            metrics,
            tracer,
            trace: None,
            failures: 0,
            open_until: None,
        }
    }

    /// Loads, then runs until every [`Reloads`] is gone.
    pub(crate) fn spawn(mut self) -> std::io::Result<Reloads> {
        let (sender, receiver) = channel();
        self.start.watch()?;
        let work = move || {
            let outcome = self.reload();
            self.start.over();
            self.catalog.settled.store(true, Ordering::Release);
            crate::server::first(&outcome, &self.catalog);
            #[cfg(target_os = "linux")]
            crate::trim::trim();
            self.run(&receiver);
        };
        std::thread::Builder::new().name("reload".to_owned()).spawn(work)?;
        Ok(Reloads(sender))
    }

    fn run(&mut self, requests: &Receiver<Ask>) {
        let mut waiting = VecDeque::new();
        loop {
            let empty = self.catalog.served().models.is_empty();
            let pause = match self.settings.refresh {
                _ if empty => EMPTY_PAUSE,
                Duration::ZERO => Duration::from_secs(24 * 3600),
                pause => pause,
            };
            let next = match waiting.pop_front() {
                Some(ask) => Ok(ask),
                None => requests.recv_timeout(pause),
            };
            match next {
                Ok(Ask::Canary { name, version, digest, reply }) => {
                    drop(reply.send(self.load_canary(&name, &version, &digest)));
                }
                Ok(Ask::Reload(asker)) => {
                    // Whoever asked before this reload begins is answered by it.
                    let mut askers = vec![asker];
                    for ask in std::mem::take(&mut waiting).into_iter().chain(requests.try_iter()) {
                        match ask {
                            Ask::Reload(asker) => askers.push(asker),
                            canary @ Ask::Canary { .. } => waiting.push_back(canary),
                        }
                    }
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
        let began_at = SystemTime::now();
        self.trace = self.tracer.root();
        let tries = if breaker == Breaker::HalfOpen { 1 } else { self.settings.retry_attempts.max(1) };
        let offered = self.retried(tries, |source| source.offers());
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (place, server_version) = (self.source.describe(), self.source.server_version());
        let outcome = match offered {
            Ok(offered) => {
                let digests = offered.offers.iter().map(|offer| offer.digest).collect();
                self.start.lock().offered = Some(digests);
                // Whoever sees the new models sees where they come from.
                self.catalog.update(|status| {
                    status.reachable = Some(true);
                    status.last_error = None;
                    status.last_check = Some(now.clone());
                    status.server_version.clone_from(&server_version);
                });
                let taken = self.take(&offered, tries);
                self.note(taken.unreached);
                taken.outcome
            }
            Err(SourceError::Missing(reason)) => {
                self.start.lock().offered = Some(Vec::new());
                self.note(None);
                self.catalog.update(|status| status.last_error = Some(reason.clone()));
                Outcome::Failed { reason }
            }
            Err(SourceError::Unavailable(reason)) => {
                self.start.lock().offered = None;
                self.note(Some(reason.clone()));
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
        let failure = if let Outcome::Failed { reason } = &outcome { Some(reason.as_str()) } else { None };
        let kind = || vec![("modelgate.source", Attribute::Text(self.source.kind().to_owned()))];
        self.tracer.end(self.trace.take(), "reload", began_at, kind, failure);
        self.follow_rollouts();
        outcome
    }

    /// Counts a source that answered, or one that did not and why.
    fn note(&mut self, unreached: Option<String>) {
        self.failures = if unreached.is_none() { 0 } else { self.failures + 1 };
        self.open_until = (self.failures >= self.settings.breaker_threshold)
            .then(|| Instant::now() + self.settings.breaker_timeout);
        self.catalog.update(|status| {
            status.reachable = Some(unreached.is_none());
            status.last_error = unreached;
        });
    }

    /// Loads and verifies a canary like anything that is served, against what it stands beside.
    fn load_canary(&mut self, name: &ModelName, version: &str, digest: &Digest) -> Loaded {
        let began = Instant::now();
        let offer = self.source.candidate(name, version).map_err(CanaryError::Source)?;
        if offer.digest != *digest {
            return Err(CanaryError::Refused(format!("{name} {version} is the package {}", offer.digest)));
        }
        let files = self.source.files(&offer).map_err(CanaryError::Source)?;
        let loaded = self.start.verify_canary(offer, files.clone()).map_err(CanaryError::Refused)?;
        if let Some(Err(error)) = self.start.cache.as_ref().map(|cache| cache.keep(digest, &files)) {
            self.cache_failed(&error);
        }
        self.metrics.loaded(began.elapsed());
        Ok(loaded)
    }

    /// Brings canaries to what the source says of them: those that were promoted or may not answer any more go, those
    /// that a restart lost come back.
    fn follow_rollouts(&mut self) {
        let catalog = Arc::clone(&self.catalog);
        let rollouts = &catalog.rollouts;
        for (name, record) in rollouts.active() {
            let served = catalog.served();
            let Some(stable) = served.models.get(&name) else { continue };
            if stable.offer.digest == record.digest {
                rollouts.promoted(&catalog, &self.metrics, &name, &record.digest);
                continue;
            }
            let Ok(model) = name.parse::<ModelName>() else { continue };
            let here =
                served.canaries.get(&name).is_some_and(|canary| canary.model.offer.digest == record.digest);
            drop(served);
            let gone = match self.source.candidate(&model, &record.version) {
                Ok(offer) if offer.digest == record.digest => {
                    if !here {
                        let loaded = self.load_canary(&model, &record.version, &record.digest);
                        match loaded {
                            Ok(loaded) => rollouts.resume(&catalog, &self.metrics, &name, loaded),
                            Err(error) => rollouts.refuse(&name, &record.digest, &error.to_string()),
                        }
                    }
                    continue;
                }
                Err(SourceError::Unavailable(reason)) => {
                    if !here && let Err(own) = self.start.resume(&name, &record) {
                        rollouts.refuse(&name, &record.digest, &format!("{reason}; {own}"));
                    }
                    continue;
                }
                Ok(_) => "the source has another package of this version".to_owned(),
                Err(error) => error.to_string(),
            };
            if let Err(error) = rollouts.abort(&catalog, &self.metrics, &name, &gone, None) {
                self.cache_failed(&error);
            }
        }
    }

    fn show(&self, breaker: Breaker) {
        self.catalog.update(|status| status.breaker = breaker);
        self.metrics.breaker(breaker);
    }

    /// Asks the source, again after a pause while it is not reached.
    fn retried<T>(
        &mut self,
        tries: u32,
        ask: impl Fn(&mut dyn Source) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let mut pause = FIRST_PAUSE;
        let mut left = tries;
        loop {
            left = left.saturating_sub(1);
            match ask(self.source.as_mut()) {
                Err(SourceError::Unavailable(_)) if left > 0 => {
                    std::thread::sleep(pause);
                    pause = pause.mul_f64(self.settings.retry_factor.max(1.0)).min(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Fetches, verifies and loads a model.
    fn load(
        &mut self,
        offer: &Offer,
        old: Option<&ServedModel>,
        tries: u32,
        unreached: &mut Option<String>,
    ) -> Result<ServedModel, String> {
        let began = Instant::now();
        let fetched = self.retried(tries, |source| source.files(offer));
        let cache = self.start.cache.clone();
        let (files, fresh) = match fetched {
            Ok(files) => (files, true),
            Err(SourceError::Missing(reason)) => return Err(reason),
            Err(SourceError::Unavailable(reason)) => {
                *unreached = Some(reason.clone());
                // What the source offers may lie here from the last time.
                let kept = cache.as_ref().and_then(|cache| cache.files(&offer.digest));
                let Some(kept) = kept else {
                    self.metrics.cache_misses.inc();
                    return Err(reason);
                };
                self.metrics.cache_hits.inc();
                (kept, false)
            }
        };
        let (settings, metrics) = (&self.settings, &self.metrics);
        let model = ServedModel::load(offer.clone(), Track::Stable, files.clone(), old, settings, metrics)?;
        if let Some(Err(error)) = cache.filter(|_| fresh).map(|cache| cache.keep(&offer.digest, &files)) {
            self.cache_failed(&error);
        }
        self.metrics.loaded(began.elapsed());
        Ok(model)
    }

    fn cache_failed(&self, error: &str) {
        self.metrics.cache_failed();
        warn(&format!("the cache cannot be written: {error}"));
    }

    /// Makes what the source offers what is served. A model that does not verify, or cannot be fetched, keeps its place as
    /// it is; one that is withdrawn loses it.
    fn take(&mut self, offered: &Offered, tries: u32) -> Taken {
        let before = Arc::clone(&self.catalog.served());
        let mut served = Served::default();
        let mut refused = offered.refused.clone();
        let mut unreached = None;
        for offer in &offered.offers {
            let name = offer.name.to_string();
            let old = before.models.get(&name);
            if let Some(old) = old.filter(|old| old.offer == *offer) {
                served.models.insert(name, Arc::clone(old));
                continue;
            }
            // Where one file could not be fetched, the next is not waited for as long.
            let tries = if unreached.is_some() { 1 } else { tries };
            let (trace, began_at) = (self.tracer.below(self.trace), SystemTime::now());
            let loaded = self.load(offer, old.map(AsRef::as_ref), tries, &mut unreached);
            let about = || {
                vec![
                    ("modelgate.model", Attribute::Text(name.clone())),
                    ("modelgate.version", Attribute::Text(offer.version.clone())),
                    ("modelgate.digest", Attribute::Text(offer.digest.to_string())),
                ]
            };
            self.tracer.end(trace, "load", began_at, about, loaded.as_ref().err().map(String::as_str));
            match loaded {
                Ok(model) => {
                    served.models.insert(name, Arc::new(model));
                }
                Err(reason) => {
                    refused.insert(name, format!("{} {}: {reason}", offer.name, offer.version));
                }
            }
        }
        self.report(&refused, &offered.withdrawn);
        let changed = self.swap(served, &refused, &offered.withdrawn);
        let now_served: Vec<Offer> =
            self.catalog.served().models.values().map(|model| model.offer.clone()).collect();
        if let Some(cache) = &self.start.cache
            && (!now_served.is_empty() || !offered.withdrawn.is_empty())
        {
            let canaries = self.catalog.rollouts.wanted();
            let keeps = |name: &str| refused.contains_key(name);
            if let Err(error) = cache.remember(self.start.identity(), now_served, keeps, &canaries) {
                self.cache_failed(&error);
            }
            self.start.show_cache();
        }
        let outcome = if !changed.is_empty() {
            Outcome::Reloaded { changed, refused }
        } else if refused.is_empty() {
            Outcome::Noop
        } else {
            Outcome::Failed { reason: refused.into_values().collect::<Vec<_>>().join("; ") }
        };
        Taken { outcome, unreached }
    }

    /// Swaps what is served, unless it is the same; returns the models that changed, came or went.
    fn swap(
        &self,
        mut served: Served,
        refused: &BTreeMap<String, String>,
        withdrawn: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let _alone = self.start.lock();
        let current = self.catalog.served();
        for name in refused.keys() {
            if let Some(old) = current.models.get(name) {
                served.models.entry(name.clone()).or_insert_with(|| Arc::clone(old));
            }
        }
        let same = |name: &String, model: &Arc<ServedModel>| {
            current.models.get(name).is_some_and(|old| Arc::ptr_eq(old, model))
        };
        let new =
            served.models.iter().filter(|(name, model)| !same(name, model)).map(|(name, _)| name.clone());
        let gone = current.models.keys().filter(|name| !served.models.contains_key(*name)).cloned();
        let changed: Vec<String> = new.chain(gone).collect();
        self.catalog.update(|status| {
            status.from_cache = status.from_cache && changed.is_empty() && !refused.is_empty();
            status.refused.clone_from(refused);
            status.withdrawn.clone_from(withdrawn);
        });
        if !changed.is_empty() {
            self.catalog.replace(&self.metrics, served.models);
            self.start.check_redaction();
        }
        changed
    }

    /// Tells what is not served, once for each reason.
    fn report(&self, refused: &BTreeMap<String, String>, withdrawn: &BTreeMap<String, String>) {
        let status = self.catalog.status();
        let new = |known: &BTreeMap<String, String>, name: &String, reason: &String| {
            known.get(name) != Some(reason)
        };
        for (_, reason) in refused.iter().filter(|(name, reason)| new(&status.refused, name, reason)) {
            warn(&format!("not served: {reason}"));
        }
        for (name, reason) in withdrawn.iter().filter(|(name, reason)| new(&status.withdrawn, name, reason)) {
            warn(&format!("nothing of {name} is served any more: {reason}"));
        }
    }
}
