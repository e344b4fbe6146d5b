//! The models that are named, of a place that would offer every one it has.

use modelgate_core::ModelName;

use super::{Bans, Files, Offer, Offered, Source};
use crate::error::SourceError;

/// A source of which only some models are served.
pub struct NamedSource {
    source: Box<dyn Source>,
    names: Vec<ModelName>,
}

impl NamedSource {
    /// Serves the models `names` of `source`.
    pub fn new(source: Box<dyn Source>, names: Vec<ModelName>) -> Self {
        Self { source, names }
    }
}

impl Source for NamedSource {
    fn kind(&self) -> &'static str {
        self.source.kind()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }

    fn identity(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(ModelName::as_str).collect();
        format!("{} in {}", names.join(", "), self.source.identity())
    }

    fn server_version(&self) -> Option<String> {
        self.source.server_version()
    }

    fn offers(&mut self) -> Result<Offered, SourceError> {
        let mut found = self.source.offers()?;
        let mut offered = Offered { before: std::mem::take(&mut found.before), ..Offered::default() };
        for name in &self.names {
            let text = name.to_string();
            offered.offers.extend(found.offers.iter().find(|offer| offer.name == *name).cloned());
            if let Some(reason) = found.withdrawn.remove(&text) {
                offered.withdrawn.insert(text.clone(), reason);
            }
            // A folder in a bucket has its slash.
            let refused = found.refused.remove(&text).or_else(|| found.refused.remove(&format!("{text}/")));
            let there = offered.offers.iter().any(|offer| offer.name == *name);
            match refused {
                Some(reason) => offered.refused.insert(text, reason),
                None if there || offered.withdrawn.contains_key(&text) => None,
                None => {
                    let reason = format!("there is no package of `{text}` in {}", self.source.describe());
                    offered.refused.insert(text, reason)
                }
            };
        }
        Ok(offered)
    }

    fn banned(&mut self, served: &Offer) -> Option<String> {
        self.source.banned(served)
    }

    fn bans(&self) -> Bans {
        self.source.bans()
    }

    fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
        self.source.candidate(name, version)
    }

    fn files(&mut self, offer: &Offer) -> Result<Files, SourceError> {
        self.source.files(offer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use modelgate_core::Digest;

    use super::*;

    struct Place(Offered);

    impl Source for Place {
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
            Ok(self.0.clone())
        }

        fn candidate(&mut self, name: &ModelName, version: &str) -> Result<Offer, SourceError> {
            super::super::no_canary(self.kind(), name, version)
        }

        fn files(&mut self, _offer: &Offer) -> Result<Files, SourceError> {
            Ok(Files::new())
        }
    }

    fn offer(name: &str) -> Offer {
        let (name, digest) = (name.parse().expect("a name"), Digest::of(name.as_bytes()));
        let (version, stage, metrics) = ("1".to_owned(), String::new(), BTreeMap::new());
        Offer { name, version, digest, stage, metrics, attached: None }
    }

    #[test]
    fn of_a_place_with_many_models_only_those_that_are_named_are_offered() {
        let reasons = |names: &[&str]| -> BTreeMap<String, String> {
            names.iter().map(|name| ((*name).to_owned(), "broken".to_owned())).collect()
        };
        let place = Place(Offered {
            offers: ["shop", "stall", "other"].map(offer).to_vec(),
            refused: reasons(&["foreign", "kiosk/"]),
            withdrawn: reasons(&["gone", "old"]),
            ..Offered::default()
        });
        let names = ["shop", "kiosk", "gone", "nobody"].map(|name| name.parse().expect("a name"));
        let mut source = NamedSource::new(Box::new(place), names.to_vec());
        let offered = source.offers().expect("offers");
        assert_eq!(offered.offers, [offer("shop")]);
        assert_eq!(offered.withdrawn, reasons(&["gone"]));
        assert_eq!(offered.refused.keys().collect::<Vec<_>>(), ["kiosk", "nobody"]);
        assert_eq!(offered.refused["nobody"], "there is no package of `nobody` in a place");
        assert_eq!(source.identity(), "shop, kiosk, gone, nobody in a place");
    }
}
