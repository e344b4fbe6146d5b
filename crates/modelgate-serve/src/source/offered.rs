//! What a source says: models to serve, models that it has and cannot offer, and models that must not be served any more.

use std::collections::{BTreeMap, BTreeSet};

use super::Offer;
use crate::error::SourceError;

/// What a source has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Offered {
    /// What should be served, one version of a name.
    pub offers: Vec<Offer>,
    /// Models whose version cannot be offered, with the reason; what was served of them is served on.
    pub refused: BTreeMap<String, String>,
    /// Models of which nothing may be served any more, with the reason.
    pub withdrawn: BTreeMap<String, String>,
    /// By the name of a model that is offered, the other models that were offered at its place before.
    pub before: BTreeMap<String, BTreeSet<String>>,
}

impl Offered {
    /// Adds an offer that lies at `place`. Of two versions under one name neither is served: which one is meant, nobody said.
    pub(crate) fn add(&mut self, offer: Offer, place: &str) {
        let name = offer.name.to_string();
        if let Some(reason) = self.refused.get_mut(&name).filter(|reason| reason.starts_with(TWICE)) {
            reason.push_str(&format!(", {place}"));
            return;
        }
        match self.offers.iter().position(|one| one.name == offer.name) {
            // The same package twice is no question, whatever lies beside it: the first place is that of its files.
            Some(at) if self.offers[at] == Offer { attached: self.offers[at].attached, ..offer.clone() } => {}
            Some(at) => {
                let other = self.offers.remove(at);
                let sentence = format!(
                    "{TWICE} `{name}`, and one of them has to be named or removed: version {} and {place}",
                    other.version
                );
                self.refused.insert(name, sentence);
            }
            None => self.offers.push(offer),
        }
    }
}

const TWICE: &str = "more than one package is called";

/// The models that each place had, the last one first: what cannot be read any more is refused under the name it is served
/// by.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<String, Vec<String>>);

impl Places {
    /// Sorts what was found at each place into offers and refusals.
    ///
    /// # Errors
    /// Fails when no place could be read and one of them was not reached: then nothing is known of any.
    pub(crate) fn sort(
        &mut self,
        found: Vec<(String, Result<Offer, SourceError>)>,
    ) -> Result<Offered, SourceError> {
        let mut offered = Offered::default();
        let mut unreached = None;
        for (place, offer) in found {
            match offer {
                Ok(offer) => {
                    let (had, name) = (self.0.entry(place.clone()).or_default(), offer.name.to_string());
                    had.retain(|known| *known != name);
                    if !had.is_empty() {
                        offered.before.entry(name.clone()).or_default().extend(had.iter().cloned());
                    }
                    had.insert(0, name);
                    offered.add(offer, &place);
                }
                Err(error) => {
                    let name = self.0.get(&place).and_then(|had| had.first()).unwrap_or(&place).clone();
                    offered.refused.insert(name, error.to_string());
                    if matches!(error, SourceError::Unavailable(_)) {
                        unreached = Some(error);
                    }
                }
            }
        }
        match unreached {
            Some(error) if offered.offers.is_empty() => Err(error),
            _ => Ok(offered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str, version: &str) -> Offer {
        Offer {
            name: name.parse().expect("a name"),
            version: version.to_owned(),
            digest: modelgate_core::Digest::of(version.as_bytes()),
            stage: String::new(),
            metrics: BTreeMap::new(),
            attached: None,
        }
    }

    #[test]
    fn of_two_packages_with_one_name_neither_is_served() {
        let mut offered = Offered::default();
        for (version, place) in [("1", "a"), ("1", "b"), ("2", "c"), ("3", "d"), ("1", "e")] {
            offered.add(offer("shop", version), place);
        }
        offered.add(offer("other", "9"), "f");
        assert_eq!(offered.offers, [offer("other", "9")]);
        let reason = &offered.refused["shop"];
        assert!(reason.contains("version 1 and c, d, e"), "{reason}");
    }

    #[test]
    fn a_place_that_breaks_is_refused_under_the_name_it_had() {
        let mut places = Places::default();
        let missing = || SourceError::Missing("no manifest".to_owned());
        let gone = || SourceError::Unavailable("gone".to_owned());
        let all = |one, two| vec![("x".to_owned(), one), ("y".to_owned(), two)];
        let offered = places.sort(all(Ok(offer("shop", "1")), Err(missing()))).expect("one");
        assert_eq!(offered.refused.keys().collect::<Vec<_>>(), ["y"]);
        let offered = places.sort(all(Err(missing()), Err(missing()))).expect("reasons");
        assert_eq!(offered.refused.keys().collect::<Vec<_>>(), ["shop", "y"]);
        let offered = places.sort(all(Err(gone()), Ok(offer("other", "1")))).expect("one");
        assert_eq!((offered.offers.len(), offered.refused.len()), (1, 1));
        assert!(matches!(places.sort(all(Err(gone()), Err(missing()))), Err(SourceError::Unavailable(_))));
    }

    #[test]
    fn a_place_knows_the_models_that_it_had_before() {
        let mut places = Places::default();
        let mut before = |name: &str| {
            let found =
                vec![("x".to_owned(), Ok(offer(name, "1"))), ("y".to_owned(), Ok(offer("other", "1")))];
            let offered = places.sort(found).expect("offers");
            assert!(!offered.before.contains_key("other"));
            offered.before.get(name).into_iter().flatten().cloned().collect::<Vec<_>>()
        };
        assert!(before("shop").is_empty() && before("shop").is_empty());
        assert_eq!(before("house"), ["shop"]);
        assert_eq!(before("third"), ["house", "shop"]);
        assert_eq!(before("shop"), ["house", "third"]);
    }
}
