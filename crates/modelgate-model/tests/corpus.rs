//! The seeds of the fuzz targets: models are answered, hostile ones are refused.

use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is a library, of which the fuzz targets use more")]
mod way;

#[test]
fn every_seed_is_refused_or_answers_and_every_hostile_one_is_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let (mut read, mut other, mut hostile) = (0, 0, 0);
    for target in ["onnx", "lightgbm", "xgboost"] {
        for entry in fs_err::read_dir(corpus.join(target)).expect("a corpus") {
            let path = entry.expect("an entry").path();
            let bytes = fs_err::read(&path).expect("a seed");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let answered = way::graphs(&bytes);
            if name.starts_with("hostile_") {
                assert_eq!(answered, 0, "{target}/{name} was taken");
                hostile += 1;
            } else if name.starts_with("other_") && std::env::var_os("ORT_DYLIB_PATH").is_none() {
                // Brought into the form of a package, and then for ONNX Runtime alone.
                assert_eq!(answered, 0, "{target}/{name} was taken");
                other += 1;
            } else {
                let own = modelgate_model::LoadedModel::load(&bytes);
                if let Ok(own) = &own {
                    way::answers(own);
                }
                assert!(answered > 0 || own.is_ok(), "{target}/{name} was refused");
                read += 1;
            }
        }
    }
    assert!(
        read >= 20 && other >= 2 && hostile >= 19,
        "{read} models, {other} others and {hostile} hostile ones"
    );
}
