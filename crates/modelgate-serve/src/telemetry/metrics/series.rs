//! The series that versions have, which are forgotten with them: with each version that comes there would be more.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::PoisonError;

use super::labels::{ClassLabels, RequestLabels, Route, RouteLabels, VersionLabels};
use super::{Metrics, every, named};
use crate::catalog::Served;
use crate::rollout::Track;

/// Versions that are gone and whose series stay: what was counted last has to be read once more.
const GONE: usize = 4;

/// The series that versions have, to be forgotten with them.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Model and version, with the classes.
    pub(super) served: BTreeMap<(String, String), Vec<String>>,
    /// The ones before, the latest last.
    pub(super) gone: VecDeque<((String, String), Vec<String>)>,
    pub(super) refused: HashSet<RequestLabels>,
}

impl Metrics {
    /// Forgets the series of versions that went some time ago: with each version that comes there would be more of them.
    pub(super) fn forget(&self, served: &Served) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeMap<(String, String), Vec<String>> =
            every(served).map(|model| (named(model), model.class_names.clone())).collect();
        let before = std::mem::replace(&mut known.served, now);
        for (version, classes) in before {
            if !known.served.contains_key(&version) {
                known.gone.push_back((version, classes));
            }
        }
        let known = &mut *known;
        known.gone.retain(|(version, _)| !known.served.contains_key(version));
        while known.gone.len() > GONE {
            let Some(((model, version), classes)) = known.gone.pop_front() else { return };
            for track in [Track::Stable.name(), Track::Canary.name()] {
                self.forget_track(&model, &version, track, &classes);
            }
            let refused = |labels: &RequestLabels| labels.model == model && labels.version == version;
            known.refused.iter().filter(|labels| refused(labels)).for_each(|labels| {
                self.requests.remove(labels);
            });
            known.refused.retain(|labels| !refused(labels));
        }
    }

    fn forget_track(&self, model: &str, version: &str, track: &'static str, classes: &[String]) {
        let labels = VersionLabels { model: model.to_owned(), version: version.to_owned(), track };
        self.predict_seconds.remove(&labels);
        self.rows.remove(&labels);
        self.batch_rows.remove(&labels);
        self.values.remove(&labels);
        self.values_below_zero.remove(&labels);
        for class in classes {
            let (model, version, class) = (model.to_owned(), version.to_owned(), class.clone());
            self.classes.remove(&ClassLabels { model, version, track, class });
        }
        for route in Route::ALL {
            let (model, version, route) = (model.to_owned(), version.to_owned(), route.name());
            let (name, number) = (model.clone(), version.clone());
            self.requests.remove(&RequestLabels { model: name, version: number, track, route, code: 200 });
            self.seconds.remove(&RouteLabels { model, version, track, route });
        }
    }
}
