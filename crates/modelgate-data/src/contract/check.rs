//! Checking data against a contract: one pass over the rows, and a second one only to show rows that stand twice.

mod found;
mod rounded;
mod structure;
mod whole;

use std::collections::{BTreeMap, HashMap, HashSet};

use found::{Broken, Found, labels};
use structure::{Doubt, Seen, missing_and_extra};
use whole::whole;

use crate::batch::{Batch, Cells};
use crate::contract::columns::{NamedCheck, compile as compile_column};
use crate::contract::expression::{self, Expression};
use crate::contract::{Contract, ContractReport, Layer, Offender, Severity, Tolerance, Violation};
use crate::dataset::{Dataset, Mixed, ReadColumn, ReadOptions};
use crate::error::{DataError, listed};
use crate::rows::hash_exactly;
use crate::source::SourceFile;
use crate::time;
use crate::types::ColumnType;

/// Offending rows shown of a rule.
const SHOWN: usize = 10;

/// A contract made ready.
pub(crate) struct Plan {
    columns: Vec<PlannedColumn>,
    rules: Vec<PlannedRule>,
    max_age: Option<i64>,
}

struct PlannedColumn {
    name: String,
    checks: Vec<NamedCheck>,
}

struct PlannedRule {
    id: String,
    expression: Expression,
}

/// Makes a contract ready, or says what in it makes no sense.
pub(crate) fn compile(contract: &Contract) -> Result<Plan, String> {
    if contract.columns.is_empty() {
        return Err("a contract names its `columns`".to_owned());
    }
    let known = |what: &str, name: &String| {
        if contract.columns.contains_key(name) {
            Ok(())
        } else {
            let names: Vec<&str> = contract.columns.keys().map(String::as_str).collect();
            Err(format!("{what}: the column `{name}` is not in `columns`; there is {}", listed(&names)))
        }
    };
    let columns = contract.columns.iter().map(|(name, column)| {
        Ok(PlannedColumn { name: name.clone(), checks: compile_column(name, column)? })
    });
    let columns = columns.collect::<Result<Vec<_>, String>>()?;
    let column_type = |name: &str| contract.columns.get(name).map(|column| column.column_type);
    let mut rules: Vec<PlannedRule> = Vec::new();
    for rule in &contract.rules {
        let id = rule.id.clone().unwrap_or_else(|| rule.check.clone());
        if rules.iter().any(|other| other.id == id) {
            return Err(format!("rules: the id `{id}` stands twice"));
        }
        let expression = expression::parse(&rule.check, &column_type)
            .map_err(|message| format!("rules: `{}`: {message}", rule.check))?;
        rules.push(PlannedRule { id, expression });
    }
    for (number, key) in contract.unique.iter().enumerate() {
        if key.columns.is_empty() {
            return Err(format!("unique[{number}]: it names no column"));
        }
        key.columns.iter().try_for_each(|name| known(&format!("unique[{number}]"), name))?;
    }
    let mut max_age = None;
    if let Some(freshness) = &contract.freshness {
        known("freshness.column", &freshness.column)?;
        if !column_type(&freshness.column).is_some_and(ColumnType::is_time) {
            return Err(format!("freshness.column: `{}` is not a date or timestamp", freshness.column));
        }
        max_age = Some(whole::age(&freshness.max_age).ok_or_else(|| {
            format!("freshness.max_age: `{}` is not a time such as `36h`, `30d` or `2w`", freshness.max_age)
        })?);
    }
    if let Some(label) = &contract.label {
        known("label.column", &label.column)?;
        if label.min_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err("label.min_share: a share is from 0 to 1".to_owned());
        }
        if label.classes.as_ref().is_some_and(Vec::is_empty) {
            return Err("label.classes: it names no class, so no row could keep it".to_owned());
        }
    }
    if let Some(rows) = &contract.rows
        && rows.min.zip(rows.max).is_some_and(|(min, max)| min > max)
    {
        return Err("rows: `min` is above `max`".to_owned());
    }
    Ok(Plan { columns, rules, max_age })
}

/// Checks files against a contract; `now` is in microseconds since 1970, for the freshness.
///
/// `options` says how text files are read; values are read by the types of the contract, and those that `options` or a
/// Parquet file have are to be of the same kind.
///
/// # Errors
/// Fails when the files cannot be read as rows at all.
pub fn check(
    files: Vec<SourceFile>,
    options: &ReadOptions,
    contract: &Contract,
    name: &str,
    now: i64,
) -> Result<ContractReport, DataError> {
    judge(files, options, contract, name, now, false)
}

/// As [`check`], for data that a run reads by `options`: a column of a text file which the contract has as text and a run as
/// something else, by what its values look like, is of another type too, unless it is dropped.
///
/// # Errors
/// As [`check`].
pub fn check_for_run(
    files: Vec<SourceFile>,
    options: &ReadOptions,
    contract: &Contract,
    name: &str,
    now: i64,
) -> Result<ContractReport, DataError> {
    judge(files, options, contract, name, now, true)
}

fn judge(
    files: Vec<SourceFile>,
    reads: &ReadOptions,
    contract: &Contract,
    name: &str,
    now: i64,
    is_run: bool,
) -> Result<ContractReport, DataError> {
    let plan =
        compile(contract).map_err(|message| DataError::File { source_name: name.to_owned(), message })?;
    // Each file is read by the contract's columns and types, whatever it or the project says of them.
    let named = contract.columns.keys().cloned().collect();
    let options = ReadOptions { drop: Vec::new(), types: BTreeMap::new(), named, ..reads.clone() };
    let dataset = Dataset::without_types(files, &options, Mixed::AsText)?;
    let mut violations = missing_and_extra(&dataset, contract);
    let doubt = |name: &str| structure::doubt(&dataset, name, contract.columns.get(name)?, reads, is_run);
    let check = Check {
        doubts: plan.columns.iter().map(|column| doubt(&column.name)).collect(),
        ..Check::new(&dataset, contract, &plan, now)
    };
    let mut found = Found::default();
    let files = dataset.files();
    dataset.scan(
        &check.read,
        |mut batch| {
            check.settle(&mut batch, 0..check.read.len());
            Ok::<_, DataError>(check.look(&batch))
        },
        |batch, position| {
            found.merge(batch, files[position.file], position);
            Ok(())
        },
    )?;
    if found.rows == 0 && contract.rows.is_none() {
        return Err(DataError::File {
            source_name: files[0].to_owned(),
            message: "the file has no rows".to_owned(),
        });
    }
    violations.extend(check.wrong_types(&found));
    let content_checked =
        violations.is_empty() || violations.iter().all(|found| found.severity == Severity::Warning);
    let mut holds_until = None;
    if content_checked {
        violations.extend(check.values(&found));
        violations.extend(check.relations(&found));
        violations.extend(check.duplicates(&found)?);
        violations.extend(whole(contract, &plan, &found, now));
        holds_until = whole::holds_until(&plan, &found, now).map(time::show_timestamp);
    }
    violations.sort_by_key(|violation| (violation.layer, violation.severity));
    Ok(ContractReport {
        schema_version: 1,
        contract: contract.name.clone().unwrap_or_else(|| name.to_owned()),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        rows: found.rows,
        checks: check.number_of_checks(),
        content_checked,
        holds_until,
        notes: if content_checked { check.rounded(&found) } else { Vec::new() },
        violations,
    })
}

/// A contract beside the columns that a data set has.
struct Check<'a> {
    dataset: &'a Dataset,
    contract: &'a Contract,
    plan: &'a Plan,
    read: Vec<ReadColumn>,
    /// By planned column: its place in `read`.
    columns: Vec<Option<usize>>,
    /// By planned column: how it may be of another kind.
    doubts: Vec<Option<Doubt>>,
    /// By place in `read`: the type that the contract asks for.
    asked: Vec<ColumnType>,
    /// By rule: the places of its columns.
    rules: Vec<Option<Vec<usize>>>,
    /// Unique keys whose columns are there.
    unique: Vec<(Vec<String>, Vec<usize>, Severity)>,
    label: Option<usize>,
    fresh: Option<usize>,
    /// The last moment that a row may be of.
    latest: i64,
}

impl<'a> Check<'a> {
    fn new(dataset: &'a Dataset, contract: &'a Contract, plan: &'a Plan, now: i64) -> Self {
        let (mut read, mut asked) = (Vec::new(), Vec::new());
        let places = dataset.schema.places();
        let mut place = |name: &str| {
            let position = places.get(name).copied()?;
            let column = contract.columns.get(name)?;
            read.push(ReadColumn { position, declared: structure::read_as(column) });
            asked.push(column.column_type);
            Some(read.len() - 1)
        };
        let columns: Vec<Option<usize>> = plan.columns.iter().map(|column| place(&column.name)).collect();
        let planned = plan.columns.iter().map(|column| column.name.as_str());
        let planned: HashMap<&str, Option<usize>> = planned.zip(columns.iter().copied()).collect();
        let find = |name: &str| planned.get(name).copied().flatten();
        let rules =
            plan.rules.iter().map(|rule| rule.expression.columns.iter().map(|name| find(name)).collect());
        let rules = rules.collect();
        let single = contract.columns.iter().filter(|(_, column)| column.unique);
        let single = single.map(|(name, column)| (vec![name.clone()], column.severity));
        let several = contract.unique.iter().map(|key| (key.columns.clone(), key.severity));
        let unique = single.chain(several).filter_map(|(names, severity)| {
            let places = names.iter().map(|name| find(name)).collect::<Option<Vec<usize>>>()?;
            Some((names, places, severity))
        });
        let unique = unique.collect();
        let label = contract.label.as_ref().and_then(|label| find(&label.column));
        let fresh = contract.freshness.as_ref().and_then(|freshness| find(&freshness.column));
        let latest = now.saturating_add(whole::AHEAD);
        Self {
            dataset,
            contract,
            plan,
            read,
            columns,
            doubts: Vec::new(),
            asked,
            rules,
            unique,
            label,
            fresh,
            latest,
        }
    }

    fn number_of_checks(&self) -> u64 {
        let values: usize = self.plan.columns.iter().map(|column| column.checks.len() + 1).sum();
        let whole = [self.contract.rows.is_some(), self.label.is_some(), self.fresh.is_some()];
        (values + self.rules.len() + self.unique.len() + whole.iter().filter(|asked| **asked).count()) as u64
    }

    fn column_type(&self, place: usize) -> ColumnType {
        self.asked[place]
    }

    fn name(&self, place: usize) -> &str {
        &self.dataset.schema.columns[self.read[place].position].name
    }

    fn offender(&self, batch: &Batch, row: usize, places: &[usize]) -> Offender {
        let value = |place: &usize| {
            (self.name(*place).to_owned(), batch.columns[*place].show(row, self.column_type(*place)))
        };
        Offender {
            file: String::new(),
            row: row as u64 + 1,
            line: batch.line(row),
            values: places.iter().map(value).collect(),
        }
    }

    fn look(&self, batch: &Batch) -> Found {
        let mut found = Found { rows: batch.rows as u64, ..Found::default() };
        for ((planned, place), doubt) in self.plan.columns.iter().zip(&self.columns).zip(&self.doubts) {
            let (mut types, mut checks) = (Broken::default(), vec![Broken::default(); planned.checks.len()]);
            if let Some(place) = *place {
                let column = &batch.columns[place];
                types.count = column.bad_count;
                types.rows.extend(column.bad.iter().map(|bad| Offender {
                    values: BTreeMap::from([(planned.name.clone(), bad.value.trim_matches('`').to_owned())]),
                    ..self.offender(batch, bad.row, &[])
                }));
                for (check, broken) in planned.checks.iter().zip(&mut checks) {
                    check.check.each_broken(column, batch.rows, |row| {
                        broken.count += 1;
                        if broken.rows.len() < SHOWN {
                            broken.rows.push(self.offender(batch, row, &[place]));
                        }
                    });
                }
            }
            let seen = place.map(|place| Seen::of(&batch.columns[place], batch.rows, *doubt));
            found.seen.push(seen.unwrap_or_default());
            found.rounded.push(place.map_or(0, |place| batch.columns[place].rounded.len() as u64));
            found.types.push(types);
            found.values.push(checks);
        }
        for (rule, places) in self.plan.rules.iter().zip(&self.rules) {
            let mut broken = Broken::default();
            if let Some(places) = places {
                let columns: Vec<_> = places.iter().map(|place| &batch.columns[*place]).collect();
                let rows = rule.expression.broken(&columns, batch.rows);
                broken.count = rows.len() as u64;
                broken.rows = rows.iter().take(SHOWN).map(|row| self.offender(batch, *row, places)).collect();
            }
            found.rules.push(broken);
        }
        for (_, places, _) in &self.unique {
            let mut hashes = hash_exactly(batch, places);
            for (row, hash) in hashes.iter_mut().enumerate() {
                // A key with a null is no key; the zero says so.
                *hash =
                    if places.iter().any(|place| batch.columns[*place].is_null(row)) { 0 } else { *hash | 1 };
            }
            found.unique.push(hashes);
        }
        if let Some(place) = self.label {
            found.labels = labels(&batch.columns[place], self.column_type(place));
        }
        if let Some(place) = self.fresh
            && let Cells::Int(values) = &batch.columns[place].cells
        {
            let is_day = self.column_type(place) == ColumnType::Date;
            let micros = |value: i64| if is_day { time::as_micros(time::Moment::Day(value)) } else { value };
            for (row, value) in values.iter().enumerate() {
                let Some(moment) = value.map(micros) else { continue };
                if moment <= self.latest {
                    found.newest = found.newest.max(Some(moment));
                    continue;
                }
                found.first_ahead = Some(found.first_ahead.map_or(moment, |first| first.min(moment)));
                found.ahead.count += 1;
                if found.ahead.rows.len() < SHOWN {
                    found.ahead.rows.push(self.offender(batch, row, &[place]));
                }
            }
        }
        found
    }

    fn values(&self, found: &Found) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (planned, checks) in self.plan.columns.iter().zip(&found.values) {
            let column = &self.contract.columns[&planned.name];
            for (check, broken) in planned.checks.iter().zip(checks) {
                let sentence = format!("`{}` {}", planned.name, check.sentence);
                let id = format!("{}.{}", planned.name, check.name);
                violations.extend(self.content(
                    id,
                    vec![planned.name.clone()],
                    &sentence,
                    broken,
                    found.rows,
                    column.allow,
                    column.severity,
                ));
            }
        }
        violations
    }

    fn relations(&self, found: &Found) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ((rule, planned), broken) in self.contract.rules.iter().zip(&self.plan.rules).zip(&found.rules) {
            violations.extend(self.content(
                planned.id.clone(),
                planned.expression.columns.clone(),
                &format!("`{}`", rule.check),
                broken,
                found.rows,
                rule.allow,
                rule.severity,
            ));
        }
        violations
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the violation that is made")]
    fn content(
        &self,
        id: String,
        columns: Vec<String>,
        sentence: &str,
        broken: &Broken,
        rows: u64,
        allow: Option<Tolerance>,
        severity: Severity,
    ) -> Option<Violation> {
        let allowed = allow.map_or(0, |allow| allow.of(rows));
        if broken.count <= allowed {
            return None;
        }
        let limit = allow.map_or_else(String::new, |allow| format!(", and {allow} may"));
        let (count, of) = (broken.count, if rows == 1 { "row" } else { "rows" });
        let verb = if count == 1 { "does" } else { "do" };
        let message = format!("{sentence}: {count} of {rows} {of} {verb} not keep this{limit}");
        Some(Violation {
            id,
            layer: Layer::Content,
            severity,
            columns,
            message,
            count: broken.count,
            rows: broken.rows.clone(),
        })
    }

    fn duplicates(&self, found: &Found) -> Result<Vec<Violation>, DataError> {
        let mut violations = Vec::new();
        for ((names, places, severity), hashes) in self.unique.iter().zip(&found.unique) {
            let mut sorted = hashes.clone();
            sorted.sort_unstable();
            let twice: HashSet<u64> = sorted
                .windows(2)
                .filter(|pair| pair[0] == pair[1] && pair[0] != 0)
                .map(|pair| pair[0])
                .collect();
            if twice.is_empty() {
                continue;
            }
            let mut seen = HashSet::new();
            let again =
                hashes.iter().enumerate().filter(|(_, hash)| twice.contains(hash) && !seen.insert(**hash));
            let rows: Vec<u64> = again.map(|(row, _)| row as u64).collect();
            let shown = self.fetch(&rows[..rows.len().min(SHOWN)], places)?;
            let sentence = format!("`{}` has no value twice", names.join("`, `"));
            let broken = Broken { count: rows.len() as u64, rows: shown };
            let id = format!("{}.unique", names.join("+"));
            violations.extend(self.content(
                id,
                names.clone(),
                &sentence,
                &broken,
                found.rows,
                None,
                *severity,
            ));
        }
        Ok(violations)
    }

    /// Reads some rows again, to show their values.
    fn fetch(&self, rows: &[u64], places: &[usize]) -> Result<Vec<Offender>, DataError> {
        let read: Vec<ReadColumn> = places.iter().map(|place| self.read[*place].clone()).collect();
        let files = self.dataset.files();
        let mut found = Vec::new();
        self.dataset.scan(&read, Ok::<_, DataError>, |mut batch, position| {
            self.settle(&mut batch, places.iter().copied());
            let end = position.row + batch.rows as u64;
            for row in rows.iter().filter(|row| (position.row..end).contains(row)) {
                let at = (row - position.row) as usize;
                let values = places.iter().enumerate().map(|(column, place)| {
                    let shown = batch.columns[column].show(at, self.column_type(*place));
                    (self.name(*place).to_owned(), shown)
                });
                found.push(Offender {
                    file: files[position.file].to_owned(),
                    row: position.row_in_file + at as u64 + 1,
                    line: batch.line(at),
                    values: values.collect(),
                });
            }
            Ok(())
        })?;
        Ok(found)
    }
}
