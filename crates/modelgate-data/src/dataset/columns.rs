//! Whether the columns of a file are those that are asked for, and those of the files before it.

use std::collections::HashMap;

use super::{DataSchema, Mixed, ReadOptions};
use crate::error::{DataError, listed, names_unknown};
use crate::parquet;
use crate::source::SourceFile;
use crate::types::DeclaredType;

/// Refuses names that are empty or stand twice, and settings that name a column that is not there.
pub(super) fn check_names(file: &SourceFile, names: &[&str], options: &ReadOptions) -> Result<(), DataError> {
    // Each name is looked up once: a header may have a hundred thousand.
    let mut seen = HashMap::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            let is_index = index == 0 && names.len() > 1;
            let advice = if is_index {
                "; pandas writes its index so: write the file with `to_csv(…, index=False)`, or name the column"
            } else {
                "; name it"
            };
            return Err(file.error(format!("column {} has no name in the header line{advice}", index + 1)));
        }
        if let Some(first) = seen.insert(*name, index) {
            let (first, second) = (first + 1, index + 1);
            return Err(file.error(format!(
                "the column name `{name}` stands twice, at {first} and {second}; rename one"
            )));
        }
    }
    let dropped = options.drop.iter().map(|name| ("preprocess.drop", name));
    let typed = options.types.keys().map(|name| ("data.types", name));
    for (what, name) in dropped.chain(typed) {
        if !seen.contains_key(name.as_str()) {
            return Err(file.error(names_unknown(what, name, names)));
        }
    }
    Ok(())
}

/// Takes the nameless index of pandas out of the columns of a Parquet file, and says so; one that is named or whose type is
/// declared stays.
pub(super) fn leave_out_index(
    kept: &mut Vec<usize>,
    names: &[&str],
    options: &ReadOptions,
    notes: &mut Vec<String>,
) {
    kept.retain(|at| {
        let name = names[*at];
        let is_wanted = || options.named.contains(name) || options.types.contains_key(name);
        if !parquet::is_index(name) || is_wanted() {
            return true;
        }
        let note = format!(
            "column `{name}` is the index of pandas and is left out; `to_parquet(…, index=False)` does not write it"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
        false
    });
}

/// Returns where the schema's columns stand in a further file; with [`Mixed::AsText`] a type that differs is widened.
pub(super) fn same_columns(
    file: &SourceFile,
    schema: &mut DataSchema,
    found: &[(String, DeclaredType)],
    kept: &[usize],
    first: &str,
    options: &ReadOptions,
    mixed: Mixed,
) -> Result<Vec<usize>, DataError> {
    let here: HashMap<&str, usize> = kept.iter().map(|at| (found[*at].0.as_str(), *at)).collect();
    let known = schema.places();
    let names = kept.iter().map(|at| found[*at].0.as_str());
    let new: Vec<&str> = names.filter(|name| !known.contains_key(name)).collect();
    let missing: Vec<&str> = schema.names().into_iter().filter(|name| !here.contains_key(name)).collect();
    if !new.is_empty() || !missing.is_empty() {
        let mut parts = Vec::new();
        if !missing.is_empty() {
            parts.push(format!("lacks {}", listed(&missing)));
        }
        if !new.is_empty() {
            parts.push(format!("has {} besides", listed(&new)));
        }
        return Err(file.error(format!("its columns are not those of `{first}`: it {}", parts.join(" and "))));
    }
    let mut positions = Vec::with_capacity(schema.columns.len());
    for column in &mut schema.columns {
        let Some(at) = here.get(column.name.as_str()) else { continue };
        let (name, declared) = &found[*at];
        let (here, there) = (declared.column_type, column.declared.column_type);
        if !options.types.contains_key(name) && *declared != column.declared {
            let what = format!("column `{name}` is {here} and in `{first}` it is {there}");
            if mixed == Mixed::Refuse {
                return Err(file.error(format!("{what}; write both alike, or declare `data.types`")));
            }
            column.declared = here.widened(there).into();
            schema.notes.push(format!("{}: {what}; taken as {}", file.name, column.declared.column_type));
        }
        positions.push(*at);
    }
    Ok(positions)
}
