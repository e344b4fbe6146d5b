//! On which rows the figures of a version were measured: figures of other rows are not compared.

use modelgate_core::Digest;
use modelgate_core::ledger::Registration;
use modelgate_core::rule::Subset;
use modelgate_model::manifest::Manifest;
use modelgate_registry::Registry;
use serde::{Deserialize, Serialize};

use crate::averaged;
use crate::error::PipelineError;
use crate::promotion::AttachedMetrics;
use crate::runner::Runner;
use crate::stage::Stage;

/// The rows that figures were measured on, as it is attached to a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MeasuredRows {
    data: Digest,
    split: Digest,
}

impl MeasuredRows {
    /// Returns the rows of a run that has split them.
    pub(crate) fn of(runner: &Runner<'_>) -> Result<Self, PipelineError> {
        let (data, split) = (runner.output(Stage::Snapshot, "data")?, runner.output(Stage::Split, "split")?);
        Ok(Self { data, split })
    }
}

/// The rows of a version's figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MeasuredOn {
    /// The data set; `None` where the version does not say.
    pub(crate) data: Option<Digest>,
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
        // Which rows the gate looked at, its figures tell.
        let of_gate = attached
            .iter()
            .flat_map(|attached| &attached.subsets)
            .find(|(_, found)| averaged::is_of(found, registration));
        let told = attached.as_ref().and_then(|attached| attached.measured_on);
        // A version of a run was measured on the rows that it was trained beside. One from elsewhere has no settings of this
        // project, and its lineage tells of rows that lie elsewhere.
        let is_of_run = attached.as_ref().is_none_or(|attached| attached.configuration.is_some());
        let lineage = manifest.filter(|_| is_of_run).map(|manifest| manifest.lineage);
        let found = Self {
            data: told.map(|told| told.data).or(is_of_run.then_some(registration.lineage.dataset)),
            split: told.map(|told| told.split).or(lineage.map(|lineage| lineage.split)),
            rows: of_gate.map(|(subset, found)| (*subset, found.rows)),
        };
        (found, attached)
    }

    /// Says why figures of these rows and of `other` are not compared; `None` where all rows are the same.
    pub(crate) fn differs(&self, other: &Self) -> Option<&'static str> {
        if self.data.zip(other.data).is_some_and(|(own, other)| own != other) {
            return Some("different data");
        }
        let is_named = |rows: &Self| rows.data.is_some() && rows.split.is_some() && rows.rows.is_some();
        if !is_named(self) || !is_named(other) {
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
        let one = MeasuredOn {
            data: Some(digest("d")),
            split: Some(digest("s")),
            rows: Some((Subset::Validation, 100)),
        };
        let with = |change: fn(&mut MeasuredOn)| {
            let mut other = one.clone();
            change(&mut other);
            (one.differs(&other), other.differs(&one))
        };
        let both = |why| (Some(why), Some(why));
        assert_eq!(with(|_| ()), (None, None));
        assert_eq!(with(|other| other.data = Some(Digest::of(b"e"))), both("different data"));
        let unnamed = both("rows that one of them does not name");
        assert_eq!(with(|other| other.data = None), unnamed);
        assert_eq!(with(|other| other.split = Some(Digest::of(b"t"))), both("rows of different splits"));
        let part = with(|other| other.rows = Some((Subset::Test, 100)));
        assert_eq!(part, both("different parts of the rows"));
        assert_eq!(with(|other| other.rows = None), unnamed);
    }
}
