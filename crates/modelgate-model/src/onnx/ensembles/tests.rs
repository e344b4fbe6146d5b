use super::*;
use crate::predict::Prediction;

/// x ≤ 0.5 with values of the left and the right leaf for each class of `ids`.
fn stump(ids: &[i64], values: &[f32], transform: &str, base: &[f32]) -> Result<Vec<f32>, String> {
    let mut node = Node { op_type: "TreeEnsembleClassifier".to_owned(), ..Node::default() };
    let leaves: Vec<i64> = ids.iter().map(|_| 1).chain(ids.iter().map(|_| 2)).collect();
    let modes = [&b"BRANCH_LEQ"[..], b"LEAF", b"LEAF"].map(<[u8]>::to_vec).to_vec();
    node.ints("classlabels_int64s", vec![0, 1])
        .text("post_transform", transform)
        .ints("nodes_treeids", vec![0; 3])
        .ints("nodes_nodeids", vec![0, 1, 2])
        .ints("nodes_featureids", vec![0; 3])
        .floats("nodes_values", vec![0.5, 0.0, 0.0])
        .strings("nodes_modes", modes)
        .ints("nodes_truenodeids", vec![1, 0, 0])
        .ints("nodes_falsenodeids", vec![2, 0, 0])
        .ints("class_treeids", vec![0; leaves.len()])
        .ints("class_nodeids", leaves)
        .ints("class_ids", ids.repeat(2))
        .floats("class_weights", values.to_vec());
    if !base.is_empty() {
        node.floats("base_values", base.to_vec());
    }
    let (estimator, _) = read(&node, 1).map_err(|error| error.to_string())?;
    match estimator.predict(&[0.0, 1.0], 2) {
        Ok(Prediction::Classes { probabilities, .. }) => Ok(probabilities),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn ensembles_of_two_classes_answer_as_onnx_runtime_or_are_refused() {
    // What ONNX Runtime 1.31 answers.
    let agrees = |found: Result<Vec<f32>, String>, expected: [f32; 4]| {
        let found = found.expect("answers");
        let near = found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-4);
        assert!(near && found.len() == 4, "{found:?} and not {expected:?}");
    };
    agrees(stump(&[0], &[0.2, 0.9], "NONE", &[]), [0.8, 0.2, 0.1, 0.9]);
    agrees(stump(&[0, 1], &[0.7, 0.3, 0.2, 0.8], "NONE", &[]), [0.7, 0.3, 0.2, 0.8]);
    agrees(stump(&[0], &[-0.2, 0.9], "LOGISTIC", &[]), [0.5498, 0.4502, 0.2891, 0.7109]);
    agrees(stump(&[0], &[-0.2, 0.9], "LOGISTIC", &[0.3]), [0.475, 0.525, 0.2315, 0.7685]);

    // Where its answers are no probabilities of the two.
    let refused = |ids: &[i64], values: &[f32], transform: &str, base: &[f32]| {
        stump(ids, values, transform, base).expect_err("refused")
    };
    let both = [-0.2, 0.6, 0.9, -1.3];
    assert!(refused(&[1], &[0.6, 0.3], "NONE", &[]).contains("second of two classes only"));
    assert!(refused(&[1], &[0.6, -1.3], "LOGISTIC", &[0.3]).contains("second of two classes only"));
    assert!(refused(&[0], &[-0.2, 0.9], "LOGISTIC", &[0.1, 0.7]).contains("two base values"));
    assert!(refused(&[0, 1], &both, "SOFTMAX", &[0.1, 0.7]).contains("two base values"));
    assert!(refused(&[0, 1], &[0.5, 0.5, 0.5, 0.5], "NONE", &[0.0, 0.0]).contains("two base values"));
    assert!(refused(&[0, 1], &[0.2, 0.6, 0.9, 0.3], "NONE", &[]).contains("do not sum to one"));
    assert!(refused(&[0, 1], &both, "NONE", &[]).contains("below zero"));
    assert!(refused(&[0, 1], &both, "LOGISTIC", &[]).contains("post transform LOGISTIC"));
    assert!(refused(&[0], &[-0.2, 0.9], "SOFTMAX", &[]).contains("post transform SOFTMAX"));
}
