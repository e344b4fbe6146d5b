//! The seal of a model's rows in the index: their digest, which is written together with them. Rows that another hand or a
//! disk has changed do not fit it, and are made anew from the ledger before anything is answered by them. Who writes a seal
//! that fits is found out when something is to be done by it (`registry/belief.rs`).

use std::collections::BTreeMap;

use modelgate_core::ledger::RegistryState;
use modelgate_core::lifecycle::ModelState;
use modelgate_core::{Digest, ModelName};
use rayon::prelude::*;
use rusqlite::Connection;

use crate::index_state::parsed;

/// What a seal is the digest of. Each part has its length before it, so that no two states read the same.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    fn add_text(&mut self, text: &str) {
        self.add(text.as_bytes());
    }

    fn add_if<T: AsRef<[u8]>>(&mut self, part: Option<T>) {
        self.0.push(u8::from(part.is_some()));
        if let Some(part) = part {
            self.add(part.as_ref());
        }
    }
}

/// Returns the seal of a model that stands like this.
pub(crate) fn seal(model: &ModelName, state: &ModelState) -> Digest {
    let mut parts = Parts::default();
    parts.add_text(model.as_str());
    parts.0.extend_from_slice(&(state.versions.len() as u64).to_le_bytes());
    for (version, one) in &state.versions {
        parts.0.extend_from_slice(&version.0.to_le_bytes());
        parts.0.push(u8::from(one.quarantined));
        parts.add_text(&one.stage.to_string());
        parts.add_text(&one.verdict.to_string());
        parts.add(one.digest.as_bytes());
        parts.add(one.verdict_digest.as_bytes());
        parts.add_if(one.signature.as_ref().map(Digest::as_bytes));
        parts.0.push(u8::from(one.approval.is_some()));
        if let Some(approval) = &one.approval {
            parts.add(approval.digest.as_bytes());
            for text in [&approval.actor, &approval.reason, &approval.time] {
                parts.add_text(text);
            }
        }
    }
    parts.0.extend_from_slice(&(state.aliases.len() as u64).to_le_bytes());
    for (alias, version) in &state.aliases {
        parts.add_text(alias.as_str());
        parts.0.extend_from_slice(&version.0.to_le_bytes());
    }
    parts.add_if(state.pending.as_ref().and_then(|pending| serde_json::to_vec(pending).ok()));
    parts.add_if(state.rollout.as_ref().and_then(|rollout| serde_json::to_vec(rollout).ok()));
    Digest::of(&parts.0)
}

/// Returns a model whose rows do not fit their seal, if there is one: one that is there alone, without the other, too.
pub(crate) fn broken(
    connection: &Connection,
    home: &str,
    state: &RegistryState,
) -> rusqlite::Result<Option<ModelName>> {
    let mut seals: BTreeMap<ModelName, Digest> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT model, seal FROM seals WHERE home = ?1")?;
    let mut rows = statement.query([home])?;
    while let Some(row) = rows.next()? {
        seals.insert(parsed(row, 0)?, parsed(row, 1)?);
    }
    let alone = seals.keys().find(|model| !state.models.contains_key(*model)).cloned();
    let changed = || {
        let fits =
            |(model, found): &(&ModelName, &ModelState)| seals.get(*model) == Some(&seal(model, found));
        state.models.par_iter().find_first(|one| !fits(one)).map(|(model, _)| model.clone())
    };
    Ok(alone.or_else(changed))
}

#[cfg(test)]
mod tests {
    use modelgate_core::VersionNumber;
    use modelgate_core::lifecycle::{Approval, Stage, VersionState};
    use modelgate_core::verdict::Verdict;

    use super::*;

    fn state(change: impl Fn(&mut VersionState)) -> ModelState {
        let digest = Digest::of(b"package");
        let text = || "x".to_owned();
        let mut one = VersionState {
            stage: Stage::Approved,
            verdict: Verdict::Passed,
            digest,
            approval: Some(Approval { digest, actor: text(), reason: text(), time: text() }),
            verdict_digest: digest,
            signature: None,
            quarantined: false,
        };
        change(&mut one);
        let aliases = BTreeMap::from([("best".parse().expect("an alias"), VersionNumber(1))]);
        ModelState::from_parts(BTreeMap::from([(VersionNumber(1), one)]), aliases, None, None)
    }

    #[test]
    fn whatever_decides_is_part_of_the_seal() {
        let model: ModelName = "churn".parse().expect("a name");
        let other = Digest::of(b"another");
        let mut seals = vec![
            seal(&"other".parse().expect("a name"), &state(|_| ())),
            seal(&model, &state(|_| ())),
            seal(&model, &state(|one| one.stage = Stage::Candidate)),
            seal(&model, &state(|one| one.verdict = Verdict::Failed)),
            seal(&model, &state(|one| one.digest = other)),
            seal(&model, &state(|one| one.verdict_digest = other)),
            seal(&model, &state(|one| one.signature = Some(other))),
            seal(&model, &state(|one| one.approval = None)),
            seal(&model, &state(|one| one.quarantined = true)),
        ];
        let mut without = state(|_| ());
        without.aliases.clear();
        seals.push(seal(&model, &without));
        seals.sort();
        seals.dedup();
        assert_eq!(seals.len(), 10);
        assert_eq!(seal(&model, &state(|_| ())), seal(&model, &state(|_| ())));
    }
}
