//! The JSON schema of the project file, generated from the types.

use crate::project::ProjectConfig;

/// Returns the JSON schema of `modelgate.yaml`, draft 2020-12, with a final newline.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(ProjectConfig);
    // A schema is plain JSON: strings, numbers, lists and maps with text keys.
    modelgate_core::canonical::to_pretty(&schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/modelgate.schema.json");
        let stored = fs_err::read_to_string(path).expect("schemas/modelgate.schema.json");
        assert!(
            stored.replace("\r\n", "\n") == super::json_schema(),
            "schemas/modelgate.schema.json is stale: run `cargo run -- config schema > schemas/modelgate.schema.json`"
        );
    }
}
