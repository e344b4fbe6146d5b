//! A start whose source lets one wait: what was served last comes from the cache meanwhile, and the source's answer wins.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use modelgate_core::Digest;
use modelgate_core::schema::{FeatureSchema, incompatibilities};

use crate::cache::Cache;
use crate::catalog::{Catalog, Served};
use crate::error::one_line;
use crate::news;
use crate::redaction::Redaction;
use crate::rollout::{Record, Track};
use crate::served::ServedModel;
use crate::settings::Settings;
use crate::source::{Bans, Files, Offer};
use crate::telemetry::Metrics;
use crate::telemetry::talk::warn;

/// How long the source may take before the cache is asked; half of the time for a start where that is less.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the source so far.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The packages that the source offered when it last answered; `None` while it does not.
    pub(crate) offered: Option<Vec<Digest>>,
    /// Whether the first look at the source is over.
    over: bool,
}

/// The cache, and who may change what is served: one at a time.
#[derive(Debug)]
pub(crate) struct Start {
    known: Mutex<Known>,
    ended: Condvar,
    pub(crate) cache: Option<Cache>,
    /// The source and what is asked of it.
    identity: String,
    redaction: Redaction,
    catalog: Arc<Catalog>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
}

impl Start {
    pub(crate) fn new(
        identity: String,
        catalog: Arc<Catalog>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let cache = settings.cache.clone().map(Cache::new);
        let (known, ended) = (Mutex::default(), Condvar::new());
        let redaction = Redaction::default();
        Self { known, ended, cache, identity, redaction, catalog, settings, metrics }
    }

    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Who holds this may change what is served.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves from the cache when the first look at the source takes too long; returns at once.
    /// What is `banned` is left out: the source is busy, and this is what lies on the disk of it.
    pub(crate) fn watch(self: &Arc<Self>, banned: Bans) -> std::io::Result<()> {
        if self.cache.is_none() {
            return Ok(());
        }
        let start = Arc::clone(self);
        let patience = PATIENCE.min(self.settings.startup_timeout / 2);
        let wait = move || {
            let known = start.lock();
            let waited = start.ended.wait_timeout_while(known, patience, |known| !known.over);
            let (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !known.over && start.load_cached(&known, banned) {
                warn("the source lets us wait: what is served comes from the cache until it answers");
            }
        };
        std::thread::Builder::new().name("start".to_owned()).spawn(wait).map(drop)
    }

    /// Ends the first look at the source, whatever came of it; serves from the cache when that was nothing, but for what is
    /// `banned`.
    pub(crate) fn over(&self, mut banned: impl FnMut(&Offer) -> Option<String>) {
        let mut known = self.lock();
        known.over = true;
        self.load_cached(&known, &mut banned);
        self.forget(&known, banned);
        self.ended.notify_all();
    }

    /// Forgets what a source that answered has taken out: a start without it must not bring that back.
    fn forget(&self, known: &Known, mut banned: impl FnMut(&Offer) -> Option<String>) {
        let (Some(cache), Some(offered)) = (&self.cache, &known.offered) else { return };
        if !self.catalog.served().models.is_empty() {
            return;
        }
        let mut left = cache.offers(&self.identity).unwrap_or_default();
        let before = left.len();
        // Of a source that has nothing at all nothing is left.
        left.retain(|offer| !offered.is_empty() && banned(offer).is_none());
        if left.len() == before {
            return;
        }
        let canaries = self.catalog.rollouts.wanted();
        if let Err(error) = cache.remember(&self.identity, left, |_| false, &canaries) {
            self.metrics.cache_failed();
            warn(&format!("the cache cannot be written: {error}"));
        }
    }

    /// Serves what was served last, unless something is served; returns whether it did.
    fn load_cached(&self, known: &Known, mut banned: impl FnMut(&Offer) -> Option<String>) -> bool {
        let Some(cache) = self.cache.as_ref().filter(|_| self.catalog.served().models.is_empty()) else {
            return false;
        };
        let mut served = Served::default();
        for offer in cache.offers(&self.identity).unwrap_or_default() {
            // What was served once may be quarantined by now: a source that answers has the last word.
            if !known.offered.as_ref().is_none_or(|offered| offered.contains(&offer.digest)) {
                continue;
            }
            // One that does not answer may say so of what it gave out before.
            if let Some(reason) = banned(&offer) {
                let (name, reason) = (offer.name.to_string(), one_line(&reason));
                warn(&format!("nothing of {name} is served from the cache: {reason}"));
                self.catalog.update(|status| drop(status.withdrawn.insert(name, reason)));
                continue;
            }
            let Some(files) = cache.files(&offer.digest) else {
                self.metrics.cache_misses.inc();
                continue;
            };
            let (settings, metrics) = (&self.settings, &self.metrics);
            match ServedModel::load(offer.clone(), Track::Stable, files, None, settings, metrics) {
                Ok(model) => {
                    self.metrics.cache_hits.inc();
                    served.models.insert(offer.name.to_string(), Arc::new(model));
                }
                Err(reason) => {
                    self.metrics.cache_misses.inc();
                    warn(&format!("not served from the cache: {} {}: {reason}", offer.name, offer.version));
                }
            }
        }
        if served.models.is_empty() {
            return false;
        }
        served.models.values().for_each(|model| news::changed(None, Some(model)));
        self.catalog.replace(&self.metrics, served.models);
        self.catalog.update(|status| status.from_cache = true);
        self.check_redaction();
        for (name, record) in self.catalog.rollouts.active() {
            if let Err(reason) = self.resume(&name, &record, &mut banned) {
                self.catalog.rollouts.refuse(&name, &record.digest, &reason);
            }
        }
        self.catalog.settled.store(true, Ordering::Release);
        self.show_cache();
        true
    }

    /// Verifies a canary like anything that is served, against what it stands beside.
    pub(crate) fn verify_canary(&self, offer: Offer, files: Files) -> Result<Arc<ServedModel>, String> {
        let served = self.catalog.served();
        let stable = served.models.get(offer.name.as_str()).ok_or("the model is not served")?;
        let (settings, metrics) = (&self.settings, &self.metrics);
        ServedModel::load(offer, Track::Canary, files, Some(stable), settings, metrics).map(Arc::new)
    }

    /// Warns of a model whose schema does not fit what was served under its name before this start. A service that goes on
    /// refuses such a one; a new start is how it is let in, and its callers may not know.
    pub(crate) fn compare_with_last(&self, model: &ServedModel) {
        let Some(cache) = &self.cache else { return };
        let offers = cache.offers(&self.identity).unwrap_or_default();
        let last = offers.iter().find(|last| last.name == model.offer.name);
        let Some(last) = last.filter(|last| last.digest != model.offer.digest) else { return };
        let Some(before) = cache.manifest(&last.digest) else { return };
        warn_if_unfit(model, &last.version, &before.schema);
    }

    /// Warns of a model that was served before this start and is offered no more, whatever else lies at its place now.
    pub(crate) fn compare_names_with_last(&self, offers: &[Offer], known: impl Fn(&str) -> bool) {
        let last = self.cache.as_ref().and_then(|cache| cache.offers(&self.identity)).unwrap_or_default();
        gone(&last, offers, known).iter().for_each(|sentence| warn(sentence));
    }

    /// Serves a canary from the cache again, while the source does not answer, unless it is `banned`.
    pub(crate) fn resume(
        &self,
        name: &str,
        record: &Record,
        banned: impl FnOnce(&Offer) -> Option<String>,
    ) -> Result<(), String> {
        let offer = Offer {
            name: name.parse().map_err(|_| "it has no name")?,
            version: record.version.clone(),
            digest: record.digest,
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        if let Some(reason) = banned(&offer) {
            return Err(reason);
        }
        let files = self.cache.as_ref().and_then(|cache| cache.files(&record.digest));
        let loaded = self.verify_canary(offer, files.ok_or("the cache has no package of it")?)?;
        self.catalog.rollouts.resume(&self.catalog, &self.metrics, name, loaded);
        Ok(())
    }

    /// Warns of what is to be kept out of the prediction log and is a feature of nothing that is served.
    pub(crate) fn check_redaction(&self) {
        self.redaction.check(&self.settings.log, &self.catalog);
    }

    /// Shows how large and how old the cache is.
    pub(crate) fn show_cache(&self) {
        if let Some((bytes, written)) = self.cache.as_ref().and_then(Cache::extent) {
            self.metrics.cached(bytes, written);
        }
    }
}

/// Warns of a model that is served although its schema does not fit that of `last`, the version before it.
pub(crate) fn warn_if_unfit(model: &ServedModel, last: &str, before: &FeatureSchema) {
    let reasons = incompatibilities(&model.package.manifest.schema, before);
    if !reasons.is_empty() {
        warn(&format!(
            "the schema of {} {} does not fit {last}, which was served last: {}; it is served, and callers of before may be \
             refused",
            model.name(),
            model.offer.version,
            reasons.join("; ")
        ));
    }
}

/// Returns what there is to say of models that were served last and of which nothing is known now.
fn gone(last: &[Offer], offers: &[Offer], known: impl Fn(&str) -> bool) -> Vec<String> {
    let said = |offer: &Offer| format!("{} {}", offer.name, offer.version);
    let now: Vec<String> = offers.iter().map(said).collect();
    let offered = |last: &Offer| offers.iter().any(|offer| offer.name == last.name);
    last.iter()
        .filter(|last| !known(last.name.as_str()) && !offered(last))
        .map(|last| {
            format!("{} was served last and is offered no more; offered are {}", said(last), now.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_served_any_more_does_not_come_from_the_cache() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { cache: Some(folder.path().to_owned()), ..Settings::default() };
        let (catalog, metrics) = (Arc::new(Catalog::new(None)), Arc::new(Metrics::new()));
        let start = Start::new("a folder".to_owned(), Arc::clone(&catalog), Arc::new(settings), metrics);
        let offer = Offer {
            name: "shop".parse().expect("a name"),
            version: "v001".to_owned(),
            digest: Digest::of(b"one"),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        let cache = start.cache.clone().expect("a cache");
        cache.keep(&offer.digest, &Files::new()).expect("kept");
        cache.remember(start.identity(), vec![offer], |_| false, &[]).expect("remembered");
        let mut asked = Vec::new();
        start.over(|offer| {
            asked.push(offer.version.clone());
            Some("it is quarantined".to_owned())
        });
        // A source that did not answer takes nothing out for good.
        assert_eq!(asked, ["v001"]);
        assert_eq!(cache.offers(start.identity()).map(|offers| offers.len()), Some(1));
        let withdrawn = BTreeMap::from([("shop".to_owned(), "it is quarantined".to_owned())]);
        assert_eq!(catalog.status().withdrawn, withdrawn);
        assert!(catalog.served().models.is_empty());
    }

    #[test]
    fn what_a_source_took_out_does_not_come_back_at_a_start_without_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Arc::new(Settings { cache: Some(folder.path().to_owned()), ..Settings::default() });
        let offer = |name: &str| Offer {
            name: name.parse().expect("a name"),
            version: "v001".to_owned(),
            digest: Digest::of(name.as_bytes()),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        for (offered, left) in [(vec![Digest::of(b"another")], &["house"][..]), (Vec::new(), &[])] {
            let (catalog, metrics) = (Arc::new(Catalog::new(None)), Arc::new(Metrics::new()));
            let start = Start::new("a place".to_owned(), catalog, Arc::clone(&settings), metrics);
            let cache = start.cache.clone().expect("a cache");
            let both = ["shop", "house"].map(offer).to_vec();
            cache.remember(start.identity(), both, |_| false, &[]).expect("remembered");
            start.lock().offered = Some(offered);
            start.over(|offer| (offer.name.as_str() == "shop").then(|| "it is quarantined".to_owned()));
            let offers = cache.offers(start.identity()).expect("offers");
            assert_eq!(offers.iter().map(|offer| offer.name.as_str()).collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn a_model_that_was_served_before_a_start_and_is_offered_no_more_is_told_of() {
        let offer = |name: &str| Offer {
            name: name.parse().expect("a name"),
            version: "1".to_owned(),
            digest: Digest::of(name.as_bytes()),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        };
        let last = ["iris", "house", "refused"].map(offer);
        let told = gone(&last, &["house", "new"].map(offer), |name| name == "refused");
        assert_eq!(told, ["iris 1 was served last and is offered no more; offered are house 1, new 1"]);
    }
}
