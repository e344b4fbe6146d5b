//! What the tests of a registry register.

use std::collections::BTreeMap;

use modelgate_core::ledger::{Lineage, Registration};
use modelgate_core::schema::Task;
use modelgate_core::{Digest, ModelName, Verdict};
use modelgate_registry::Objects;

pub(crate) const TIME: &str = "2026-01-01T00:00:00.000Z";

pub(crate) fn name() -> ModelName {
    "churn".parse().expect("name")
}

/// A version whose package follows from its number, with a file of `bytes`.
pub(crate) fn registration_with(number: u32, bytes: &[u8]) -> (Registration, Objects) {
    let digest = Digest::of(bytes);
    let registration = Registration {
        digest: Digest::of(&number.to_le_bytes()),
        verdict: Verdict::Passed,
        verdict_digest: digest,
        bootstrap: number == 1,
        lineage: Lineage {
            run_id: format!("run-{number}").parse().expect("run"),
            config: digest,
            dataset: digest,
            task: Task::Classification,
            algorithm: "random_forest".to_owned(),
            seed: 42,
            trained_at: TIME.to_owned(),
            tool_version: "0.1.0".to_owned(),
        },
        metrics: BTreeMap::from([("f1".to_owned(), 0.9)]),
        files: BTreeMap::from([("model.onnx".to_owned(), digest)]),
        checks: BTreeMap::new(),
    };
    (registration, Objects::from([(digest, bytes.to_vec())]))
}
