//! Whether the columns of a file are those that are asked for, and those of the files before it.

use std::collections::{BTreeSet, HashMap};

use super::{DataSchema, Mixed, ReadOptions};
use crate::error::{DataError, listed, names_unknown};
use crate::source::{Format, SourceFile};
use crate::types::DeclaredType;

/// Refuses names that are empty or stand twice, and settings that name a column that is not there.
pub(super) fn check_names(file: &SourceFile, names: &[&str], options: &ReadOptions) -> Result<(), DataError> {
    let old_lines = |message: String| of_old_lines(names).map_or(message, str::to_owned);
    // Each name is looked up once: a header may have a hundred thousand.
    let mut seen = HashMap::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            let is_index = index == 0 && names.len() > 1;
            let is_end = index > 0 && names[index..].iter().all(|name| name.trim().is_empty());
            let advice = if is_index {
                "; pandas writes its index so: write the file with `to_csv(…, index=False)`, or name the column"
            } else if is_end {
                "; name it, or remove the delimiters at the ends of the lines"
            } else {
                "; name it"
            };
            let message = format!("column {} has no name in the header line{advice}", index + 1);
            return Err(file.error(old_lines(message)));
        }
        if let Some(first) = seen.insert(*name, index) {
            let (first, second) = (first + 1, index + 1);
            let message =
                format!("the column name `{name}` stands twice, at {first} and {second}; rename one");
            return Err(file.error(old_lines(message)));
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

/// Says of a header with which something is wrong that it is the whole file, if it looks so: lines that end in CR alone are one.
pub(super) fn of_old_lines(names: &[&str]) -> Option<&'static str> {
    let has_several = names.iter().filter(|name| name.contains('\r')).count() > 1;
    has_several.then_some("its lines end in CR alone, which no line ends in here; write it with LF or CRLF")
}

/// Returns whether a column is one that pandas made of an index without a name, the numbers of the rows that a filter left:
/// `__index_level_0__` in Parquet; `Unnamed: 0` where it has read a CSV file with its index, and `Unnamed: 0.1` where it did so
/// once more.
pub fn is_index(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let level = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    let again = name.strip_prefix("Unnamed: 0.");
    name == "Unnamed: 0" || level.is_some_and(is_number) || again.is_some_and(is_number)
}

/// Takes the nameless index of pandas out of the columns of a file, and says so; one that is named or whose type is declared
/// stays.
pub(super) fn leave_out_index(
    kept: &mut Vec<usize>,
    names: &[&str],
    format: Format,
    options: &ReadOptions,
    notes: &mut Vec<String>,
) {
    kept.retain(|at| {
        let name = names[*at];
        let is_wanted = || options.named.contains(name) || options.types.contains_key(name);
        if !is_index(name) || is_wanted() {
            return true;
        }
        let (method, declared) = match format {
            Format::Csv => ("to_csv", format!("\"{name}\"")),
            Format::Parquet => ("to_parquet", name.to_owned()),
        };
        let note = format!(
            "column `{name}` is the index of pandas and is left out; `{method}(…, index=False)` does not write it, and \
             `data.types: {{{declared}: int}}` keeps it"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
        false
    });
}

/// Returns the names that folders say a value of, as in `kind=a/part-0.parquet`.
pub(super) fn partitions<'a>(files: impl Iterator<Item = &'a SourceFile>) -> impl Iterator<Item = String> {
    let mut found = BTreeSet::new();
    for file in files {
        let folders = file.name.rsplit_once('/').map_or("", |(folders, _)| folders);
        let names = folders.split('/').filter_map(|folder| folder.split_once('='));
        found.extend(
            names.filter(|(name, value)| !name.is_empty() && !value.is_empty()).map(|(name, _)| name),
        );
    }
    found.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn lines_that_end_in_cr_alone_are_named() {
        for text in ["a,b\r1,2\r3,4\r5,6\r", "a,b\r1,\r,4\r", "a,b,a\r1,2,a\r1,2,3\r"] {
            let file = SourceFile::bytes("a.csv", text.as_bytes());
            let error = Dataset::open(vec![file], &ReadOptions::default(), Mixed::Refuse).expect_err(text);
            assert!(error.to_string().contains("its lines end in CR alone"), "{error}");
        }
    }
}
