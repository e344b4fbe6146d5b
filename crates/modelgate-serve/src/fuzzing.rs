//! Any bytes as the body of a request, for the fuzzer: every reader refuses them, or gives rows that are whole.

use modelgate_core::schema::{Allowed, Feature, FeatureSchema, FeatureType, SCHEMA_VERSION, Task};

use crate::refusal::Refusal;
use crate::request::inputs::Inputs;
use crate::request::rows::{Batch, Rows};
use crate::request::{csv, mlflow, native, v2};
use crate::settings::Leniency;

const ROWS: usize = 50;

/// Reads `body` in each form that there is.
///
/// # Panics
/// When rows come out that are not whole, or a refusal that is none.
pub fn read(body: &[u8]) {
    let features = vec![
        Feature { range: Some((0.0, 1.0)), ..Feature::of("member", FeatureType::Int, false) },
        Feature {
            range: Some((18.0, 77.0)),
            allowed: Some(Allowed { min: Some(0.0), max: None }),
            ..Feature::of("age", FeatureType::Float, true)
        },
        Feature {
            categories: vec!["a".to_owned(), "é".to_owned()],
            ..Feature::of("sex", FeatureType::Text, true)
        },
    ];
    let types: Vec<FeatureType> = features.iter().map(|feature| feature.feature_type).collect();
    let schema = FeatureSchema {
        schema_version: SCHEMA_VERSION,
        task: Task::Regression,
        features,
        target: "y".to_owned(),
        classes: None,
        nulls: Vec::new(),
    };
    let inputs = Inputs::new(&schema);
    for lenient in [false, true] {
        let leniency = Leniency {
            reject_out_of_range: !lenient,
            reject_out_of_contract: !lenient,
            reject_unknown_category: !lenient,
            extra_features: lenient,
            missing_features: lenient,
        };
        let rows = || Rows::new(&inputs, leniency, ROWS);
        check(native::read(body, rows(), false));
        check(native::read(body, rows(), true));
        check(mlflow::read_json(body, rows()));
        check(csv::read_csv(body, &types, rows()));
        check(v2::read(body, &types, &["prediction"], rows()).map(|infer| infer.batch));
    }
}

fn check(read: Result<Batch, Refusal>) {
    match read {
        Ok(batch) => {
            assert!((1..=ROWS).contains(&batch.rows), "{} rows", batch.rows);
            assert!(
                batch.columns.iter().all(|column| column.len() == batch.rows),
                "columns of other lengths"
            );
        }
        Err(refusal) => {
            assert!(refusal.status.is_client_error() && !refusal.message.is_empty(), "{refusal:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_read() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/request");
        let mut count = 0;
        for entry in fs_err::read_dir(corpus).expect("a corpus").flatten() {
            super::read(&fs_err::read(entry.path()).expect("a body"));
            count += 1;
        }
        assert!(count >= 10, "{count}");
    }
}
