//! What the model in production learned from: on those rows it looks better than it is.
//!
//! The key type is [`SplitRecord`], which is attached to every version. A split by hash follows from its settings and the
//! row, so that of production is made again here. Where a split by time ends, and which groups one by group trains on, follows
//! from all rows there were, so [`TrainedOn`] is attached beside it.

mod elsewhere;

use std::collections::{BTreeMap, BTreeSet};

use modelgate_config::{PipelineConfig, SplitKindName};
use modelgate_core::schema::FeatureSchema;
use modelgate_core::{Digest, canonical};
use modelgate_data::split::{self, SplitAssignment, SplitKind, SplitSpec};
use modelgate_data::target::Target;
use modelgate_data::{DataSchema, DeclaredType, Table, is_recognised_form};
use modelgate_model::Package;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::PipelineError;
use crate::footing::Rows;
use crate::record;
use crate::runner::Runner;
use crate::stage::Stage;
use crate::stages::{data, dataset};
use crate::trained_on::{By, TrainedOn};

pub(crate) use elsewhere::Own;

/// How the rows of a version were split.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SplitRecord {
    kind: SplitKind,
    train: f64,
    validation: f64,
    test: f64,
    stratify: bool,
    seed: u64,
    /// The column that a row is known by; `None`: all of them.
    key: Option<String>,
    /// Name and type of each column, in order, where a row is known by all of them.
    columns: Vec<(String, String)>,
    /// The type of the column that a row is known by: of another type its values are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_type: Option<String>,
    /// How values are read; `None` where the version does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Read>,
}

/// What of the settings decides which value stands in a cell: a row is known by what was read.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Read {
    /// Words that are no value.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    nulls: BTreeSet<String>,
    /// The columns in which words such as `NA` are values.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    literal: BTreeSet<String>,
    /// The forms of dates, by column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    forms: BTreeMap<String, String>,
    /// What stands around values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quote: Option<String>,
}

impl Read {
    fn of(config: &PipelineConfig) -> Self {
        let declared = dataset::declared_types(&config.data);
        let form =
            |(name, declared): (&String, &DeclaredType)| Some((name.clone(), declared.format.clone()?));
        Self {
            nulls: config.data.nulls.clone(),
            forms: declared.iter().filter_map(form).collect(),
            literal: dataset::literal(&declared),
            quote: config.data.quote.clone(),
        }
    }

    /// Returns the setting by which one of all `columns` is read otherwise now.
    fn changed(&self, now: &Self, columns: &BTreeSet<&str>) -> Option<String> {
        if self.nulls != now.nulls {
            return Some("`data.nulls` changed".to_owned());
        }
        if self.quote != now.quote {
            return Some("`data.quote` changed".to_owned());
        }
        let mut literal = self.literal.symmetric_difference(&now.literal);
        let literal = literal.find(|name| columns.contains(name.as_str())).map(String::as_str);
        let changed =
            literal.or_else(|| columns.iter().find(|name| self.has_other_form(now, name)).copied())?;
        Some(format!("`data.types` of `{changed}` changed"))
    }

    /// Returns whether dates of the column are read by another form; one that is recognised need not be declared.
    fn has_other_form(&self, now: &Self, column: &str) -> bool {
        let form = |read: &Self| read.forms.get(column).filter(|form| !is_recognised_form(form)).cloned();
        form(self) != form(now)
    }
}

impl SplitRecord {
    /// Returns how this run splits.
    pub(crate) fn of(runner: &Runner<'_>) -> Result<Self, PipelineError> {
        let schema: DataSchema = runner.json(Stage::Snapshot, "schema")?;
        let spec = data::split_spec(runner.pipeline, schema.rows);
        Ok(Self::new(runner.pipeline.config, spec, &schema))
    }

    fn new(config: &PipelineConfig, spec: SplitSpec, schema: &DataSchema) -> Self {
        let key = match spec.kind {
            SplitKind::Time | SplitKind::Group => config.data.split.column.clone(),
            SplitKind::Exact | SplitKind::Stable => config.data.key.clone(),
        };
        let named = schema
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.declared.column_type.to_string()));
        let columns = if key.is_none() { named.collect() } else { Vec::new() };
        let key_type = key.as_ref().and_then(|key| type_of(schema, key));
        let read = Some(Read::of(config));
        let SplitSpec { kind, train, validation, test, stratify, seed } = spec;
        Self { kind, train, validation, test, stratify, seed, key, columns, key_type, read }
    }

    /// Says why today's values are not those that the version's rows were known by, where they are read otherwise. `now` is how
    /// this run splits.
    fn read_otherwise(&self, now: &Self, schema: &DataSchema) -> Option<String> {
        let (Some(before), Some(read)) = (&self.read, &now.read) else { return None };
        let Some(key) = &self.key else {
            let names: BTreeSet<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
            let changed = before.changed(read, &names)?;
            return Some(format!("{changed}, and a row is known by all its columns; {WITH_KEY}"));
        };
        let (before_type, now_type) = (self.key_type.as_deref()?, type_of(schema, key)?);
        let is_text = |kind: &str| matches!(kind, "string" | "category");
        // Before or after a moment is told of days too.
        let is_time = |kind: &str| self.kind == SplitKind::Time && matches!(kind, "date" | "timestamp");
        // What counts as null does not count here: a row without a key is told apart by none.
        let are_moments = is_time(before_type) && is_time(&now_type);
        let changed = if !are_moments && !are_alike(before_type, &now_type) {
            format!("column `{key}` was {before_type} and is {now_type}")
        } else if before.has_other_form(read, key) {
            format!("`data.types` of `{key}` changed")
        } else if is_text(before_type) && before.quote != read.quote {
            // What stood around a text may be part of it now, or the other way.
            "`data.quote` changed".to_owned()
        } else {
            return None;
        };
        Some(format!("{changed}, and a row is known by this column"))
    }

    /// Returns which rows this run trains on, where that does not follow from this record.
    pub(crate) fn trained_on(&self, runner: &mut Runner<'_>) -> Result<Option<TrainedOn>, PipelineError> {
        if !self.is_by_all_rows() {
            return Ok(None);
        }
        let schema: DataSchema = runner.json(Stage::Snapshot, "schema")?;
        let table = data::table(runner)?;
        let split = data::assignment(runner)?;
        Ok(self.by().and_then(|by| TrainedOn::of(&by, &table, &schema, &split)))
    }

    /// Returns whether the part of a row depends on which others there are, by more than a few at the edge.
    fn is_by_all_rows(&self) -> bool {
        matches!(self.kind, SplitKind::Time | SplitKind::Group)
    }

    fn by(&self) -> Option<By<'_>> {
        Some(By { column: self.key.as_deref()?, kind: self.kind, seed: self.seed })
    }

    fn spec(&self) -> SplitSpec {
        let Self { kind, train, validation, test, stratify, seed, .. } = *self;
        SplitSpec { kind, train, validation, test, stratify, seed }
    }

    /// Returns how a version was split that has no such record, by the settings that are attached to it.
    ///
    /// Its columns are taken for those of today when its features are: which others it had was not kept.
    fn of_settings(
        settings: &Value,
        features: &FeatureSchema,
        now: &Self,
        own: &[String],
        schema: &DataSchema,
    ) -> Option<Self> {
        let config: PipelineConfig = serde_json::from_value(settings.clone()).ok()?;
        let by_hash = |kind| matches!(kind, SplitKind::Exact | SplitKind::Stable);
        let kind = match config.data.split.kind {
            Some(SplitKindName::Exact) => SplitKind::Exact,
            Some(SplitKindName::Stable) => SplitKind::Stable,
            Some(SplitKindName::Time) => SplitKind::Time,
            Some(SplitKindName::Group) => SplitKind::Group,
            None if by_hash(now.kind) => now.kind,
            None => SplitKind::Exact,
        };
        let shares = &config.data.split;
        let spec = SplitSpec {
            kind,
            train: shares.train,
            validation: shares.validation,
            test: shares.test,
            stratify: shares.stratify,
            seed: config.seed,
        };
        let mut found = Self { key_type: None, ..Self::new(&config, spec, schema) };
        let before: BTreeSet<&String> = features.features.iter().map(|feature| &feature.name).collect();
        if before != own.iter().collect() {
            found.columns.clear();
        }
        Some(found)
    }

    /// Splits the rows of today as this record says; `now` is how this run does.
    fn again(
        &self,
        now: &Self,
        table: &Table,
        schema: &DataSchema,
        target: &Target,
    ) -> Result<SplitAssignment, String> {
        if let Some(reason) = self.read_otherwise(now, schema) {
            return Err(reason);
        }
        let made = |table: &Table| {
            split::split(table, self.key.as_deref(), target, &self.spec()).map_err(|error| error.to_string())
        };
        if self.key.is_some() {
            return made(table);
        }
        if self.columns.is_empty() {
            return Err(format!("it had other columns, and a row is known by all of them; {WITH_KEY}"));
        }
        let mut known = Table { columns: Vec::new(), rows: table.rows, ..Table::default() };
        let (by_name, places) = (table.by_name(), schema.places());
        for (name, kind) in &self.columns {
            let described = places.get(name.as_str()).and_then(|at| schema.columns.get(*at));
            let (Some(column), Some(described)) = (by_name.get(name.as_str()), described) else {
                return Err(format!(
                    "column `{name}` is gone, and a row is known by all its columns; {WITH_KEY}"
                ));
            };
            let now = described.declared.column_type.to_string();
            if !are_alike(kind, &now) {
                return Err(format!(
                    "column `{name}` was {kind} and is {now}, and a row is known by all its columns; {WITH_KEY}"
                ));
            }
            known.columns.push((*column).clone());
        }
        made(&known)
    }
}

fn type_of(schema: &DataSchema, name: &str) -> Option<String> {
    schema.column(name).map(|column| column.declared.column_type.to_string())
}

/// Returns whether values of both types are the same: of a whole number it does not count how it is kept.
fn are_alike(one: &str, other: &str) -> bool {
    let is_number = |kind: &str| matches!(kind, "int" | "float");
    one == other || (is_number(one) && is_number(other))
}

/// What to do about rows that are not known again.
const WITH_KEY: &str = "with `data.key` a row stays known whatever columns come and go";

/// What is known of the rows that a model learned from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Learned {
    /// Nothing speaks for its having learned from rows that are held back now.
    Apart,
    /// The rows that are, or by its split would be, its training rows; and how its split differs from this one.
    From(BTreeSet<u32>, String),
    /// It was split otherwise, and how is not known; why, in words.
    Unknown(String),
}

/// Returns the columns that `production` takes and was split by; `attached` is its `metrics.json`.
pub(crate) fn columns(production: &Package, attached: Option<&Value>) -> Vec<String> {
    let features = production.manifest.schema.features.iter().map(|feature| feature.name.clone());
    let split = recorded::<SplitRecord>(attached, "split");
    let split = split.into_iter().flat_map(|split| {
        let named = split.columns.into_iter().map(|(name, _)| name);
        named.chain(split.key).collect::<Vec<_>>()
    });
    features.chain(split).collect()
}

pub(crate) fn recorded<T: for<'a> Deserialize<'a>>(attached: Option<&Value>, name: &str) -> Option<T> {
    T::deserialize(attached?.get(name)?).ok()
}

/// Returns what `production` learned from among the rows of this run; `attached` is its `metrics.json`.
pub(crate) fn learned(
    runner: &Runner<'_>,
    production: &Package,
    attached: Option<&Value>,
    rows: &Rows<'_>,
) -> Result<Learned, PipelineError> {
    let lineage = &production.manifest.lineage;
    // What an imported model was trained on, no split of ours says.
    if lineage.algorithm == "import" {
        return Ok(Learned::Apart);
    }
    let now = SplitRecord::of(runner)?;
    let settings = attached.and_then(|attached| attached.get("configuration"));
    let from_settings = || {
        let schema: DataSchema = runner.json(Stage::Snapshot, "schema").ok()?;
        let own = data::features(runner.pipeline, &schema);
        SplitRecord::of_settings(settings?, &production.manifest.schema, &now, &own, &schema)
    };
    // A package that was made elsewhere tells nothing of its split, but for its digest.
    let Some(mut before) = recorded::<SplitRecord>(attached, "split").or_else(from_settings) else {
        return Ok(elsewhere::of_same_rows(runner, lineage, &now, rows)?.unwrap_or(Learned::Apart));
    };
    // A version that does not say how its values were read has its settings, and counts as read like these where it has none.
    if before.read.is_none() {
        let config = settings.and_then(|settings| PipelineConfig::deserialize(settings).ok());
        before.read = config.map_or_else(|| now.read.clone(), |config| Some(Read::of(&config)));
    }
    if before.key_type.is_none() && before.key == now.key {
        before.key_type.clone_from(&now.key_type);
    }
    let same_rows = runner.output(Stage::Snapshot, "data")? == lineage.dataset;
    let is_whole = runner.options.sample.is_none();
    let same_split = runner.output(Stage::Split, "split")? == lineage.split;
    let is_known = if before.is_by_all_rows() { same_split } else { same_split || !(same_rows && is_whole) };
    // The same rows in the same parts are apart whatever settings made them so.
    if (same_rows && same_split) || (before == now && is_known) {
        return Ok(Learned::Apart);
    }
    let how = difference(&before, &now, same_rows)?;
    // Of the same rows the split itself may still lie here.
    let kept = runner.store.get(&lineage.split).ok().filter(|_| same_rows);
    let kept = kept.and_then(|bytes| serde_json::from_slice::<SplitAssignment>(&bytes).ok());
    if let Some(kept) = kept {
        return Ok(Learned::From(kept.train.into_iter().collect(), how));
    }
    if let (Some(by), Some(trained)) = (before.by(), recorded::<TrainedOn>(attached, "trained_on")) {
        let known = match before.read_otherwise(&now, rows.schema) {
            Some(reason) => Err(reason),
            None => trained.among(&by, rows.table, rows.schema),
        };
        return Ok(match known {
            Ok(known) => Learned::From(known, how),
            Err(reason) => Learned::Unknown(format!("{reason} ({how})")),
        });
    }
    if before.is_by_all_rows() && !same_rows {
        return Ok(Learned::Unknown(format!(
            "the data are others, and it does not say where its split by `{}` cut, as versions do that are registered \
             from now on ({how})",
            before.kind.as_str()
        )));
    }
    Ok(match before.again(&now, rows.table, rows.schema, rows.target) {
        Ok(made) if same_rows && Digest::of(canonical::to_string(&made)?.as_bytes()) != lineage.split => {
            Learned::Unknown(format!("another version of modelgate split its rows ({how})"))
        }
        Ok(made) => Learned::From(made.train.into_iter().collect(), how),
        Err(reason) => Learned::Unknown(format!("{reason} ({how})")),
    })
}

/// Returns how two splits differ, in words.
fn difference(before: &SplitRecord, now: &SplitRecord, same_rows: bool) -> Result<String, PipelineError> {
    let fields = |record: &SplitRecord| -> Result<record::Inputs, PipelineError> {
        let Value::Object(mut fields) = serde_json::to_value(record)? else {
            return Ok(record::Inputs::new());
        };
        // How values are read is told under the name that its settings have.
        let read = fields.remove("read").into_iter();
        Ok(fields.into_iter().chain(read.map(|read| ("data".to_owned(), read))).collect())
    };
    let found = record::changes(&fields(before)?, &fields(now)?);
    Ok(match found.is_empty() {
        true if same_rows => "the settings are the same".to_owned(),
        true => "the settings are the same and the data are others".to_owned(),
        false => found.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, &str)]) -> DataSchema {
        let columns = columns.iter().map(|(name, kind)| serde_json::json!({"name": name, "type": kind}));
        let schema = serde_json::json!({"columns": columns.collect::<Vec<_>>(), "rows": 3, "notes": []});
        serde_json::from_value(schema).expect("a schema")
    }

    fn record(data: &str, schema: &DataSchema) -> SplitRecord {
        let text = format!(
            "{{\"task\": \"classification\", \"data\": {{\"source\": \"d.csv\", \"target\": \"y\"{data}}}}}"
        );
        let config: PipelineConfig = serde_json::from_str(&text).expect("a configuration");
        let spec = SplitSpec {
            kind: SplitKind::Stable,
            train: 0.7,
            validation: 0.15,
            test: 0.15,
            stratify: true,
            seed: 1,
        };
        SplitRecord::new(&config, spec, schema)
    }

    #[test]
    fn rows_whose_values_are_read_otherwise_are_not_known_again() {
        let plain = schema(&[("id", "int"), ("note", "string"), ("day", "date"), ("y", "int")]);
        let of_text = schema(&[("id", "string"), ("note", "string"), ("day", "date"), ("y", "int")]);
        let of_float = schema(&[("id", "float"), ("note", "string"), ("day", "date"), ("y", "int")]);
        let keyed = ", \"key\": \"id\"";
        let and_keyed = |more: &str| format!("{keyed}, {more}");
        let nulls = "\"nulls\": [\"-\"]";
        let text = "\"types\": {\"note\": \"string\"}";
        let form = "\"types\": {\"day\": \"date:%d.%m.%Y\"}";
        let quote = "\"quote\": \"none\"";
        let with = |more: &str| format!(", {more}");
        let redundant = "\"types\": {\"day\": \"date:%Y-%m-%d\"}";
        let keyed_by_text = ", \"key\": \"note\"";
        for (before, now, schema_now, reason) in [
            (String::new(), with(redundant), &plain, None),
            (keyed.to_owned(), and_keyed(quote), &plain, None),
            (
                keyed_by_text.to_owned(),
                format!("{keyed_by_text}, {quote}"),
                &plain,
                Some("`data.quote` changed, and a row is known by this column"),
            ),
            (String::new(), String::new(), &plain, None),
            (String::new(), with(nulls), &plain, Some("`data.nulls` changed, and a row is known by all")),
            (with(nulls), String::new(), &plain, Some("`data.key`")),
            (String::new(), with(text), &plain, Some("`data.types` of `note` changed")),
            (String::new(), with(form), &plain, Some("`data.types` of `day` changed")),
            (String::new(), with(quote), &plain, Some("`data.quote` changed")),
            (keyed.to_owned(), and_keyed(nulls), &plain, None),
            (keyed.to_owned(), and_keyed(text), &plain, None),
            (
                keyed.to_owned(),
                and_keyed("\"types\": {\"id\": \"string\"}"),
                &of_text,
                Some("column `id` was int"),
            ),
            (keyed.to_owned(), keyed.to_owned(), &of_float, None),
            (keyed.to_owned(), keyed.to_owned(), &of_text, Some("column `id` was int and is string")),
            (keyed.to_owned(), String::new(), &of_text, Some("column `id` was int and is string")),
        ] {
            let (before, now) = (record(&before, &plain), record(&now, schema_now));
            // It comes from a file.
            let text = serde_json::to_string(&before).expect("json");
            let before: SplitRecord = serde_json::from_str(&text).expect("read back");
            let found = before.read_otherwise(&now, schema_now);
            let is_it = match (reason, &found) {
                (Some(reason), Some(found)) => found.contains(reason),
                (reason, found) => reason.is_none() && found.is_none(),
            };
            assert!(is_it, "{reason:?} and {found:?}");
        }
    }

    #[test]
    fn a_split_by_time_is_known_again_by_moments() {
        let days = schema(&[("day", "date"), ("y", "int")]);
        let moments = schema(&[("day", "timestamp"), ("y", "int")]);
        let by_day = |schema: &DataSchema| {
            let mut record = record(", \"split\": {\"column\": \"day\"}", schema);
            record.kind = SplitKind::Time;
            record.key = Some("day".to_owned());
            record.key_type = type_of(schema, "day");
            record
        };
        let before = by_day(&days);
        assert_eq!(before.read_otherwise(&by_day(&moments), &moments), None);
        let of_groups = SplitRecord { kind: SplitKind::Group, ..before };
        assert!(of_groups.read_otherwise(&by_day(&moments), &moments).is_some());
    }

    #[test]
    fn a_version_that_does_not_say_how_it_read_is_read_all_the_same() {
        let schema = schema(&[("id", "int"), ("y", "int")]);
        let now = record(", \"key\": \"id\"", &schema);
        let mut text = serde_json::to_value(&now).expect("json");
        let fields = text.as_object_mut().expect("an object");
        assert!(fields.remove("read").is_some() && fields.remove("key_type").is_some());
        let before: SplitRecord = serde_json::from_value(text).expect("read back");
        assert_eq!(before.read_otherwise(&now, &schema), None);
    }
}
