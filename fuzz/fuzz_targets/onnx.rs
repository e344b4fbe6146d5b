//! Any bytes as an ONNX graph: refused, or a model that answers a row without a panic and in a bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelgate_core::schema::FeatureType;
use modelgate_model::{InputColumn, LoadedModel};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = LoadedModel::load(bytes) else { return };
    for extreme in [0.0, f32::NAN, f32::MAX] {
        let columns = model
            .inputs()
            .iter()
            .map(|(_, kind)| match kind {
                FeatureType::Int => InputColumn::Ints(vec![extreme as i64, i64::MIN]),
                FeatureType::Float => InputColumn::Floats(vec![extreme, -1.5]),
                FeatureType::Text => InputColumn::Texts(vec![String::new(), "é".to_owned()]),
            })
            .collect();
        let _ = model.predict_columns(columns, 2);
    }
});
