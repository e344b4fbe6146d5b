//! Any bytes as an ONNX graph, a package's or another's: refused, or a model that answers rows without a panic and in a
//! bounded time.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = modelgate_model::LoadedModel::load(bytes) {
        modelgate_fuzz::answers(&model);
    }
    modelgate_fuzz::foreign(bytes);
});
