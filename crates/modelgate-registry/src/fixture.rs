//! What unit tests register.

use std::collections::BTreeMap;

use modelgate_core::ledger::{Lineage, Registration};
use modelgate_core::schema::Task;
use modelgate_core::{Digest, Verdict};

/// Returns a first version that passed, with one file of that digest.
pub(crate) fn registration(digest: Digest, time: &str) -> Registration {
    Registration {
        digest,
        verdict: Verdict::Passed,
        verdict_digest: digest,
        bootstrap: true,
        lineage: Lineage {
            run_id: "run-1".parse().expect("run"),
            config: digest,
            dataset: digest,
            task: Task::Classification,
            algorithm: "random_forest".to_owned(),
            seed: 42,
            trained_at: time.to_owned(),
            tool_version: "0.1.0".to_owned(),
        },
        metrics: BTreeMap::new(),
        files: BTreeMap::from([("model.onnx".to_owned(), digest)]),
        checks: BTreeMap::new(),
    }
}
