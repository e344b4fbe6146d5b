//! The thread that owns the source: it asks at intervals and on demand, retries with pauses that grow, and leaves a
//! source alone that fails too often.

mod canaries;
mod take;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use modelgate_core::{Digest, ModelName};
use tokio::sync::oneshot;

use crate::catalog::{Breaker, Catalog, Outcome};
use crate::caught::caught;
use crate::error::{SourceError, one_line};
use crate::news::{self, News};
use crate::rollout::Track;
use crate::served::{ServedModel, admit};
use crate::settings::Settings;
use crate::source::{Offer, Source};
use crate::start::{self, Start};
use crate::telemetry::talk::warn;
use crate::telemetry::{Attribute, Context, Metrics, Tracer};
use crate::tls::Certificate;

/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a service without a model looks for one.
const EMPTY_PAUSE: Duration = Duration::from_secs(2);
/// How often a service that does not look at its source by itself looks at its certificate.
const CERTIFICATE_PAUSE: Duration = Duration::from_secs(300);

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
    certificate: Option<Arc<Certificate>>,
    news: News,
    /// What was served last of a model and may not be any more, by its name.
    left: BTreeMap<String, Offer>,
    /// The look at the source that is going on.
    trace: Option<Context>,
    failures: u32,
    open_until: Option<Instant>,
}

/// Why a model was not loaded.
enum Unloaded {
    /// What is served of it stays.
    Refused(String),
    /// It is what is served, and may not be any more.
    Withdrawn(String),
}

impl Reloader {
    pub(crate) fn new(
        source: Box<dyn Source>,
        catalog: Arc<Catalog>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        tracer: Arc<Tracer>,
        certificate: Option<Arc<Certificate>>,
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
            certificate,
            news: News::default(),
            left: BTreeMap::new(),
            trace: None,
            failures: 0,
            open_until: None,
        }
    }

    /// Loads, then runs until every [`Reloads`] is gone.
    pub(crate) fn spawn(mut self) -> std::io::Result<Reloads> {
        let (sender, receiver) = channel();
        self.start.watch(self.source.bans())?;
        let work = move || {
            self.reload();
            let source = &mut self.source;
            self.start.over(|offer| source.banned(offer));
            self.catalog.settled.store(true, Ordering::Release);
            if self.catalog.status().from_cache {
                warn("the source was not reached: what is served comes from the cache");
            }
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
                Duration::ZERO if self.certificate.is_some() => CERTIFICATE_PAUSE,
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
                    } else {
                        self.renew_certificate();
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

    fn renew_certificate(&self) {
        if let Some(certificate) = &self.certificate {
            certificate.renew();
        }
    }

    /// Looks at the source. One that makes the look break off has failed, and is asked again like any that did.
    fn reload(&mut self) -> Outcome {
        self.renew_certificate();
        let began = Instant::now();
        caught(|| self.look()).unwrap_or_else(|what| {
            let reason = format!("a look at the source broke off, which is a fault of modelgate: {what}");
            self.tracer.end(self.trace.take(), "reload", SystemTime::now(), Vec::new, Some(&reason));
            self.start.lock().offered = None;
            self.news.failed(&reason);
            self.note(Some(reason.clone()));
            let breaker = self.breaker();
            self.show(breaker);
            let outcome = Outcome::Failed { reason };
            self.metrics.reloaded(&outcome, began.elapsed());
            outcome
        })
    }

    fn look(&mut self) -> Outcome {
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
                let taken = self.take(offered, tries);
                match &taken.unreached {
                    // Told with the model that could not be fetched.
                    Some(reason) => self.news.known(reason),
                    None => self.news.answered(),
                }
                self.note(taken.unreached);
                taken.outcome
            }
            Err(SourceError::Missing(reason)) => {
                let reason = one_line(&reason);
                self.start.lock().offered = Some(Vec::new());
                self.news.empty(&reason);
                self.note(None);
                self.catalog.update(|status| status.last_error = Some(reason.clone()));
                self.left_alone_with(reason)
            }
            Err(SourceError::Unavailable(reason) | SourceError::Damaged(reason)) => {
                let reason = one_line(&reason);
                self.start.lock().offered = None;
                self.news.failed(&reason);
                self.note(Some(reason.clone()));
                self.left_alone_with(reason)
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

    /// What becomes of a look that brought nothing: what is served is served on, but for what is known to be bad.
    fn left_alone_with(&mut self, reason: String) -> Outcome {
        let changed = self.take_out();
        if changed.is_empty() {
            return Outcome::Failed { reason };
        }
        let refused = changed.iter().map(|name| (name.clone(), reason.clone())).collect();
        Outcome::Reloaded { changed, refused }
    }

    /// Counts a source that answered, or one that did not and why.
    fn note(&mut self, unreached: Option<String>) {
        let threshold = self.settings.breaker_threshold;
        self.failures = if unreached.is_none() { 0 } else { self.failures + 1 };
        if self.failures == threshold {
            news::left_alone(threshold, self.settings.breaker_timeout);
        }
        self.open_until =
            (self.failures >= threshold).then(|| Instant::now() + self.settings.breaker_timeout);
        self.catalog.update(|status| {
            status.reachable = Some(unreached.is_none());
            status.last_error = unreached;
        });
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

    /// Fetches, verifies and loads a model. Where the `old` one has to go, what callers of it were used to does not stand
    /// against the new one, as at a start.
    fn load(
        &mut self,
        offer: &Offer,
        old: Option<&ServedModel>,
        leaves: bool,
        tries: u32,
        unreached: &mut Option<String>,
    ) -> Result<ServedModel, Unloaded> {
        let began = Instant::now();
        let fetched = self.retried(tries, |source| source.files(offer));
        let cache = self.start.cache.clone();
        let (files, fresh) = match fetched {
            Ok(files) => (files, true),
            Err(SourceError::Missing(reason)) => return Err(Unloaded::Refused(one_line(&reason))),
            Err(SourceError::Unavailable(reason) | SourceError::Damaged(reason)) => {
                let reason = one_line(&reason);
                *unreached = Some(reason.clone());
                // What the source offers may lie here from the last time.
                let kept = cache.as_ref().and_then(|cache| cache.files(&offer.digest));
                let Some(kept) = kept else {
                    self.metrics.cache_misses.inc();
                    return Err(Unloaded::Refused(reason));
                };
                self.metrics.cache_hits.inc();
                (kept, false)
            }
        };
        let (settings, metrics) = (&self.settings, &self.metrics);
        // The very package that is served, of which something else is said: where that no longer lets it in, a start would
        // not serve it either.
        if fresh
            && old.is_some_and(|old| old.offer.digest == offer.digest)
            && let Err(reason) = admit(&offer.digest, &files, settings)
        {
            return Err(Unloaded::Withdrawn(format!("{} {}: {reason}", offer.name, offer.version)));
        }
        let bound = old.filter(|_| !leaves);
        let model = ServedModel::load(offer.clone(), Track::Stable, files.clone(), bound, settings, metrics)
            .map_err(Unloaded::Refused)?;
        match old {
            None => self.start.compare_with_last(&model),
            Some(old) if leaves => {
                start::warn_if_unfit(&model, &old.offer.version, &old.package.manifest.schema);
            }
            Some(_) => {}
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Files, Offered};

    /// A place that breaks whoever looks at it, as often as is said, and then has nothing.
    struct Breaking(u32);

    impl Source for Breaking {
        fn kind(&self) -> &'static str {
            "place"
        }

        fn describe(&self) -> String {
            "a place".to_owned()
        }

        fn identity(&self) -> String {
            self.describe()
        }

        fn offers(&mut self) -> Result<Offered, SourceError> {
            if self.0 > 0 {
                self.0 -= 1;
                panic!("cannot access key \"0\" in JSON array");
            }
            Err(SourceError::Missing("nothing\nis there".to_owned()))
        }

        fn candidate(&mut self, _name: &ModelName, _version: &str) -> Result<Offer, SourceError> {
            panic!("a fault")
        }

        fn files(&mut self, _offer: &Offer) -> Result<Files, SourceError> {
            Ok(Files::new())
        }
    }

    #[test]
    fn a_look_that_breaks_off_is_a_failure_of_the_source_and_the_next_one_comes() {
        let (metrics, catalog) = (Arc::new(Metrics::new()), Arc::new(Catalog::new(None)));
        let tracer = Arc::new(Tracer::start(None, &metrics).expect("a tracer"));
        let settings = Arc::new(Settings { breaker_threshold: 2, ..Settings::default() });
        let (catalog_of, metrics_of) = (Arc::clone(&catalog), Arc::clone(&metrics));
        let reloader = Reloader::new(Box::new(Breaking(2)), catalog_of, settings, metrics_of, tracer, None);
        let reloads = reloader.spawn().expect("a thread");
        let ask = || reloads.ask().blocking_recv().expect("an answer");
        // The first look was that of the start.
        let Outcome::Failed { reason } = ask() else { panic!("it did not fail") };
        assert!(reason.contains("a look at the source broke off") && reason.contains("cannot access key"));
        let status = catalog.status();
        assert_eq!(
            (status.reachable, status.last_error, status.breaker),
            (Some(false), Some(reason), Breaker::Open)
        );
        assert!(metrics.text().contains("modelgate_reloads_total{outcome=\"failed\"} 2"));
        // A canary that breaks the look for it is not loaded, and that is all.
        let name = || "shop".parse().expect("a name");
        let loaded = reloads.canary(name(), "v002".to_owned(), Digest::of(b"two")).blocking_recv();
        assert!(matches!(loaded, Ok(Err(CanaryError::Source(SourceError::Unavailable(_))))));
        assert_eq!(ask(), Outcome::Failed { reason: "nothing; is there".to_owned() });
        let status = catalog.status();
        assert_eq!((status.reachable, status.breaker), (Some(true), Breaker::Closed));
    }
}
