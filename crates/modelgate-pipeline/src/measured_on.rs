//! On which rows the figures of a version were measured: figures of other rows are not compared.

use modelgate_core::Digest;
use modelgate_core::ledger::Registration;
use modelgate_core::rule::Subset;
use modelgate_model::manifest::Manifest;
use modelgate_registry::Registry;

use crate::promotion::AttachedMetrics;

/// The rows of a version's figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MeasuredOn {
    /// The data set.
    pub(crate) data: Digest,
    /// The split; `None` where the version does not say.
    pub(crate) split: Option<Digest>,
    /// The subset of the gate with its number of rows; `None` where the version does not say.
    pub(crate) rows: Option<(Subset, u64)>,
}

impl MeasuredOn {
    /// Returns what `registration` says of it, and what is attached to the version, where that can be read.
    pub(crate) fn of(registry: &Registry, registration: &Registration) -> (Self, Option<AttachedMetrics>) {
        let file = |name: &str| registration.files.get(name).and_then(|digest| registry.object(digest).ok());
        let manifest =
            file("manifest.json").and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
        let attached: Option<AttachedMetrics> =
            file("metrics.json").and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let figures = &registration.metrics;
        // Which rows the gate looked at, its figures tell.
        let of_gate = attached.iter().flat_map(|attached| &attached.subsets).find(|(_, found)| {
            !figures.is_empty()
                && figures.iter().all(|(name, value)| found.metrics.get(name) == Some(&Some(*value)))
        });
        let found = Self {
            data: registration.lineage.dataset,
            split: manifest.map(|manifest| manifest.lineage.split),
            rows: of_gate.map(|(subset, found)| (*subset, found.rows)),
        };
        (found, attached)
    }

    /// Says why figures of these rows and of `other` are not compared; `None` where all rows are the same.
    pub(crate) fn differs(&self, other: &Self) -> Option<&'static str> {
        if self.data != other.data {
            return Some("different data");
        }
        if self.split.is_none() || self.rows.is_none() || other.split.is_none() || other.rows.is_none() {
            return Some("rows that one of them does not name");
        }
        if self.split != other.split {
            return Some("rows of different splits");
        }
        (self.rows != other.rows).then_some("different parts of the rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_same_when_data_split_and_part_are() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let one =
            MeasuredOn { data: digest("d"), split: Some(digest("s")), rows: Some((Subset::Validation, 100)) };
        let with = |change: fn(&mut MeasuredOn)| {
            let mut other = one.clone();
            change(&mut other);
            (one.differs(&other), other.differs(&one))
        };
        let both = |why| (Some(why), Some(why));
        assert_eq!(with(|_| ()), (None, None));
        assert_eq!(with(|other| other.data = Digest::of(b"e")), both("different data"));
        assert_eq!(with(|other| other.split = Some(Digest::of(b"t"))), both("rows of different splits"));
        let part = with(|other| other.rows = Some((Subset::Test, 100)));
        assert_eq!(part, both("different parts of the rows"));
        assert_eq!(with(|other| other.rows = None), both("rows that one of them does not name"));
    }
}
