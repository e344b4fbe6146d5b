//! What canaries were told, kept in a file of the cache so that a restart gives each its share back.
//!
//! One lock is held over a record and what is served by it, so that the two never say different things; nothing is
//! loaded or written under it, since every look at the health takes it. Who changes something holds another one, over the
//! file too. An older order never undoes a newer one, and what was aborted comes back only by a new start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use modelgate_core::Digest;
use modelgate_core::rollout::Percent;
use modelgate_store::atomic;
use serde::{Deserialize, Serialize};

use super::Canary;
use super::wire::{Aborted, CanaryStanding, Order, Standing, VersionStanding};
use crate::catalog::{Catalog, Served};
use crate::news;
use crate::served::ServedModel;
use crate::telemetry::Metrics;
use crate::telemetry::talk::warn;

/// The file, beside `served.json`.
const FILE: &str = "rollout.json";

/// What the canary of a model was told last.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) version: String,
    pub(crate) digest: Digest,
    pub(crate) weight: Percent,
    pub(crate) shadow: Percent,
    pub(crate) sequence: u64,
    pub(crate) since: String,
    /// Why it was taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aborted: Option<String>,
    /// Whether it was taken out because the ledger of whoever asked did not know it, and not because it is bad.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unknown: bool,
    /// Why it is not loaded.
    #[serde(skip)]
    pub(crate) refused: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema_version: u32,
    models: BTreeMap<String, Record>,
}

/// Why an order is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Objection {
    /// It does not fit what was ordered before.
    Conflict(String),
    /// It cannot be kept.
    Kept(String),
}

/// The records of every model.
#[derive(Debug, Default)]
pub(crate) struct Rollouts {
    /// `None` without a cache: nothing is kept then.
    path: Option<PathBuf>,
    /// Held by whoever changes a record, until that is kept.
    changes: Mutex<()>,
    records: Mutex<BTreeMap<String, Record>>,
}

type Records<'a> = MutexGuard<'a, BTreeMap<String, Record>>;

impl Rollouts {
    /// Reads what was kept. A file that cannot be read is told of: then everything goes to production.
    pub(crate) fn open(cache: Option<&Path>) -> Self {
        let path = cache.map(|cache| cache.join(FILE));
        let read = match path.as_ref().map(fs_err::read) {
            None => Ok(BTreeMap::new()),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(bytes)) => match serde_json::from_slice::<Kept>(&bytes) {
                Ok(kept) if kept.schema_version == 1 => Ok(kept.models),
                Ok(kept) => Err(format!("it is of schema version {}", kept.schema_version)),
                Err(error) => Err(error.to_string()),
            },
        };
        let records = read.unwrap_or_else(|reason| {
            warn(&format!(
                "the cache's {FILE} cannot be read: no canary is served until one is started again ({reason})"
            ));
            BTreeMap::new()
        });
        Self { path, changes: Mutex::default(), records: Mutex::new(records) }
    }

    fn lock(&self) -> Records<'_> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nobody else change a record meanwhile.
    fn alone(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, records: &BTreeMap<String, Record>) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let kept = Kept { schema_version: 1, models: records.clone() };
        let bytes = serde_json::to_vec_pretty(&kept).map_err(|error| error.to_string())?;
        atomic::write(path, &bytes).map_err(|error| error.to_string())
    }

    /// Returns the packages of canaries that may answer.
    pub(crate) fn wanted(&self) -> Vec<Digest> {
        let records = self.lock();
        records.values().filter(|record| record.aborted.is_none()).map(|record| record.digest).collect()
    }

    /// Returns the records of canaries that may answer.
    pub(crate) fn active(&self) -> Vec<(String, Record)> {
        let records = self.lock();
        let active = records.iter().filter(|(_, record)| record.aborted.is_none());
        active.map(|(model, record)| (model.clone(), record.clone())).collect()
    }

    /// Returns a model's record.
    #[cfg(test)]
    fn of(&self, model: &str) -> Option<Record> {
        self.lock().get(model).cloned()
    }

    /// Returns whether an order fits what was ordered before.
    pub(crate) fn admits(&self, model: &str, order: &Order) -> Result<(), Objection> {
        admits(self.lock().get(model), order)
    }

    /// Takes an order: keeps it, then serves by it. `loaded` is the canary, where it was not served before.
    pub(crate) fn place(
        &self,
        catalog: &Catalog,
        metrics: &Metrics,
        model: &str,
        order: &Order,
        loaded: Option<Arc<ServedModel>>,
    ) -> Result<(), Objection> {
        let _alone = self.alone();
        let mut after = self.lock().clone();
        admits(after.get(model), order)?;
        let record = Record {
            version: order.version.clone(),
            digest: order.digest,
            weight: order.weight,
            shadow: order.shadow,
            sequence: order.sequence,
            since: now(),
            aborted: None,
            unknown: false,
            refused: None,
        };
        let before = after.insert(model.to_owned(), record.clone());
        self.keep(&after).map_err(Objection::Kept)?;
        news::ordered(model, before.as_ref(), &record);
        let mut records = self.lock();
        *records = after;
        let (digest, weight, shadow) = (order.digest, order.weight, order.shadow);
        catalog.edit(metrics, |served| serve(served, model, &digest, weight, shadow, loaded));
        Ok(())
    }

    /// Serves a canary by its record again, if that still stands.
    pub(crate) fn resume(&self, catalog: &Catalog, metrics: &Metrics, model: &str, loaded: Arc<ServedModel>) {
        let _alone = self.alone();
        let mut records = self.lock();
        let digest = loaded.offer.digest;
        let own = records.get_mut(model).filter(|record| record.digest == digest && record.aborted.is_none());
        let Some(record) = own else { return };
        record.refused = None;
        news::resumed(model, record);
        let (weight, shadow) = (record.weight, record.shadow);
        catalog.edit(metrics, |served| serve(served, model, &digest, weight, shadow, Some(loaded)));
    }

    /// Notes why a canary is not loaded; told once.
    pub(crate) fn refuse(&self, model: &str, digest: &Digest, reason: &str) {
        let _alone = self.alone();
        let mut records = self.lock();
        let Some(record) = records.get_mut(model).filter(|record| record.digest == *digest) else { return };
        if record.refused.as_deref() != Some(reason) {
            warn(&format!("the canary {model} {} is not served: {reason}", record.version));
            record.refused = Some(reason.to_owned());
        }
    }

    /// Takes a canary out at once, whatever was ordered: what is served first, then the file.
    ///
    /// # Errors
    /// Fails when that cannot be kept; everything goes to production all the same.
    pub(crate) fn abort(
        &self,
        catalog: &Catalog,
        metrics: &Metrics,
        model: &str,
        reason: &str,
        sequence: Option<u64>,
    ) -> Result<(), String> {
        let _alone = self.alone();
        let mut records = self.lock();
        catalog.edit(metrics, |served| drop(served.canaries.remove(model)));
        let Some(record) = records.get_mut(model) else { return Ok(()) };
        record.sequence = record.sequence.max(sequence.unwrap_or_default());
        // Who says that it is bad has the last word over who only did not know it.
        if record.aborted.is_none() || record.unknown {
            take_out(model, record, reason);
        }
        record.unknown = false;
        let after = records.clone();
        drop(records);
        self.keep(&after)
    }

    /// Takes out a canary that the ledger of whoever asks does not know, as of the order `seen`. A newer order stands: it says
    /// that the ledger knows it by now.
    pub(crate) fn take_out_unknown(
        &self,
        catalog: &Catalog,
        metrics: &Metrics,
        model: &str,
        reason: &str,
        seen: u64,
    ) -> Result<(), Objection> {
        let _alone = self.alone();
        let mut records = self.lock();
        let Some(record) = records.get_mut(model).filter(|record| record.aborted.is_none()) else {
            return Ok(());
        };
        if record.sequence > seen {
            let newer = record.sequence;
            return Err(Objection::Conflict(format!(
                "order {newer}, which was taken, is newer than {seen}, which was seen: look again"
            )));
        }
        catalog.edit(metrics, |served| drop(served.canaries.remove(model)));
        take_out(model, record, reason);
        record.unknown = true;
        let after = records.clone();
        drop(records);
        self.keep(&after).map_err(Objection::Kept)
    }

    /// Forgets the record of a canary that is production now.
    pub(crate) fn promoted(&self, catalog: &Catalog, metrics: &Metrics, model: &str, digest: &Digest) {
        let _alone = self.alone();
        let mut records = self.lock();
        if records.get(model).is_none_or(|record| record.digest != *digest || record.aborted.is_some()) {
            return;
        }
        if let Some(record) = records.remove(model) {
            news::promoted(model, &record.version);
        }
        catalog.edit(metrics, |served| drop(served.canaries.remove(model)));
        let after = records.clone();
        drop(records);
        if let Err(error) = self.keep(&after) {
            warn(&format!("the cache cannot be written: {error}"));
        }
    }

    /// Returns where the rollout of a model stands; `None` for a model that is not served.
    pub(crate) fn standing(&self, catalog: &Catalog, model: &str) -> Option<Standing> {
        let records = self.lock();
        let served = catalog.served();
        let stable = served.models.get(model)?;
        let canary = served.canaries.get(model);
        let record = records.get(model);
        let standing = |record: &Record| CanaryStanding {
            version: record.version.clone(),
            digest: record.digest,
            weight: record.weight,
            shadow: record.shadow,
            loaded: canary.is_some(),
            refused: record.refused.clone(),
            since: record.since.clone(),
        };
        let aborted = |record: &Record| {
            Some(Aborted {
                version: record.version.clone(),
                digest: record.digest,
                reason: record.aborted.clone()?,
                time: record.since.clone(),
                unknown: record.unknown,
            })
        };
        Some(Standing {
            schema_version: 1,
            model: model.to_owned(),
            stable: VersionStanding { version: stable.offer.version.clone(), digest: stable.offer.digest },
            canary: record.filter(|record| record.aborted.is_none()).map(standing),
            aborted: record.and_then(aborted),
            sequence: record.map_or(0, |record| record.sequence),
            counted: canary.map(|canary| canary.tallies.counted()),
        })
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Notes that a canary answers no more.
fn take_out(model: &str, record: &mut Record, reason: &str) {
    record.weight = Percent::ZERO;
    record.shadow = Percent::ZERO;
    record.refused = None;
    record.aborted = Some(reason.to_owned());
    record.since = now();
    warn(&format!("the canary {model} {} was taken out: {reason}", record.version));
}

fn admits(record: Option<&Record>, order: &Order) -> Result<(), Objection> {
    let conflict = |sentence: String| Err(Objection::Conflict(sentence));
    let Some(record) = record else {
        if order.start {
            return Ok(());
        }
        return conflict(format!("{} is no canary here: start it", order.version));
    };
    let Record { version, sequence, .. } = record;
    match &record.aborted {
        _ if order.sequence < *sequence && order.supersedes != Some(*sequence) => {
            conflict(format!("order {} is older than {sequence}, which was taken", order.sequence))
        }
        _ if order.start => Ok(()),
        Some(reason) => conflict(format!("{version} was taken out: {reason}")),
        None if record.digest != order.digest => conflict(format!("{version} is the canary here")),
        None => Ok(()),
    }
}

/// Makes the canary of a model this one, with this share; one that goes on keeps its counts.
fn serve(
    served: &mut Served,
    model: &str,
    digest: &Digest,
    weight: Percent,
    shadow: Percent,
    loaded: Option<Arc<ServedModel>>,
) {
    let before = served.canaries.get(model).filter(|canary| canary.model.offer.digest == *digest);
    let canary = match (before, loaded) {
        (Some(before), _) => Canary { weight, shadow, ..Canary::clone(before) },
        (None, Some(loaded)) => Canary::new(loaded, weight, shadow),
        (None, None) => {
            served.canaries.remove(model);
            return;
        }
    };
    served.canaries.insert(model.to_owned(), Arc::new(canary));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(package: &[u8], sequence: u64, start: bool) -> Order {
        let share = |share| Percent::new(share).expect("a share");
        let digest = Digest::of(package);
        let (weight, shadow) = (share(5), share(0));
        Order { version: "v002".to_owned(), digest, weight, shadow, sequence, start, supersedes: None }
    }

    fn place(rollouts: &Rollouts, order: &Order) -> Result<(), Objection> {
        rollouts.place(&Catalog::default(), &Metrics::new(), "shop", order, None)
    }

    #[test]
    fn an_older_order_never_undoes_a_newer_one_and_an_abort_stands() {
        let rollouts = Rollouts::default();
        assert!(
            matches!(place(&rollouts, &order(b"two", 3, false)), Err(Objection::Conflict(why)) if why.contains("start it"))
        );
        place(&rollouts, &order(b"two", 3, true)).expect("taken");
        place(&rollouts, &order(b"two", 5, false)).expect("taken");
        assert!(
            matches!(place(&rollouts, &order(b"two", 4, false)), Err(Objection::Conflict(why)) if why.contains("older than 5"))
        );
        assert!(place(&rollouts, &order(b"three", 4, true)).is_err());
        assert!(
            matches!(place(&rollouts, &order(b"three", 6, false)), Err(Objection::Conflict(why)) if why.contains("is the canary here"))
        );
        let (catalog, metrics) = (Catalog::default(), Metrics::new());
        rollouts.abort(&catalog, &metrics, "shop", "worse", None).expect("kept");
        let late = order(b"two", 6, false);
        assert!(
            matches!(place(&rollouts, &late), Err(Objection::Conflict(why)) if why.contains("was taken out: worse"))
        );
        rollouts.abort(&catalog, &metrics, "shop", "again", Some(9)).expect("kept");
        assert!(place(&rollouts, &order(b"two", 8, true)).is_err());
        assert_eq!(rollouts.of("shop").and_then(|record| record.aborted), Some("worse".to_owned()));
        place(&rollouts, &order(b"two", 10, true)).expect("started anew");
        place(&rollouts, &order(b"three", 11, true)).expect("the ledger says another one");
        // A ledger that was restored from an older copy has no event 11: who has looked takes the place of just that.
        let instead_of = |supersedes| Order { supersedes: Some(supersedes), ..order(b"two", 4, true) };
        assert!(place(&rollouts, &instead_of(10)).is_err());
        place(&rollouts, &instead_of(11)).expect("taken");
        assert_eq!(rollouts.of("shop").map(|record| record.sequence), Some(4));
    }

    #[test]
    fn a_canary_that_a_ledger_does_not_know_goes_unless_a_newer_order_came_and_is_not_called_bad() {
        let folder = tempfile::tempdir().expect("folder");
        let rollouts = Rollouts::open(Some(folder.path()));
        let (catalog, metrics) = (Catalog::default(), Metrics::new());
        let take_out = |seen| rollouts.take_out_unknown(&catalog, &metrics, "shop", "not known", seen);
        let stands = |record: &Record| (record.aborted.clone(), record.unknown, record.sequence);
        let of = |rollouts: &Rollouts| rollouts.of("shop").as_ref().map(stands);
        assert_eq!(take_out(0), Ok(()));
        place(&rollouts, &order(b"two", 3, true)).expect("taken");
        place(&rollouts, &order(b"two", 5, true)).expect("the ledger knows it");
        let sentence = "order 5, which was taken, is newer than 3, which was seen: look again".to_owned();
        assert_eq!(take_out(3), Err(Objection::Conflict(sentence)));
        assert_eq!(of(&rollouts), Some((None, false, 5)));
        take_out(5).expect("taken out");
        assert_eq!(of(&rollouts), Some((Some("not known".to_owned()), true, 5)));
        assert_eq!(of(&Rollouts::open(Some(folder.path()))), of(&rollouts));
        // Told again by who knows it, it is back.
        place(&rollouts, &order(b"two", 5, true)).expect("taken");
        assert_eq!(of(&rollouts), Some((None, false, 5)));
        take_out(6).expect("taken out");
        rollouts.abort(&catalog, &metrics, "shop", "worse", None).expect("kept");
        assert_eq!(of(&rollouts), Some((Some("worse".to_owned()), false, 5)));
        // What a person said stands.
        take_out(9).expect("nothing to do");
        assert_eq!(of(&rollouts), Some((Some("worse".to_owned()), false, 5)));
    }

    #[test]
    fn who_looks_does_not_wait_for_a_file_that_is_written() {
        let rollouts = Arc::new(Rollouts::default());
        // As if the disk took its time.
        let alone = rollouts.alone();
        let (of, (sender, placed)) = (Arc::clone(&rollouts), std::sync::mpsc::channel());
        let work = std::thread::spawn(move || sender.send(place(&of, &order(b"two", 3, true))));
        assert_eq!(rollouts.active(), []);
        assert_eq!(rollouts.admits("shop", &order(b"two", 3, true)), Ok(()));
        assert!(rollouts.standing(&Catalog::default(), "shop").is_none());
        assert!(placed.try_recv().is_err(), "an order was taken while another one was written");
        drop(alone);
        work.join().expect("no panic").expect("sent");
        assert_eq!(rollouts.active().len(), 1);
    }

    #[test]
    fn what_was_ordered_is_there_after_a_restart_and_garbage_is_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        place(&Rollouts::open(Some(folder.path())), &order(b"two", 3, true)).expect("taken");
        let found = Rollouts::open(Some(folder.path())).of("shop").expect("a record");
        assert_eq!((found.weight.get(), found.sequence), (5, 3));
        for garbage in
            ["", "{}", r#"{"schema_version":2,"models":{}}"#, r#"{"schema_version":1,"models":{"a":{}}}"#]
        {
            fs_err::write(folder.path().join(FILE), garbage).expect("written");
            assert!(Rollouts::open(Some(folder.path())).active().is_empty(), "{garbage}");
        }
    }
}
