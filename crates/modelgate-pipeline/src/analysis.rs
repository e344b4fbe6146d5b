//! What a model looks at: permutation importance and partial dependence; what `analysis.json` holds.

use modelgate_core::rule::Subset;
use modelgate_data::target::Target;
use modelgate_data::{Column, Table, Values};
use modelgate_evaluate::{Average, Importance, PartialDependence, permutation_importance};
use modelgate_model::LoadedModel;
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, answers};
use crate::error::PipelineError;

/// What a model looks at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Analysis {
    /// The version of this form.
    pub schema_version: u32,
    /// The rows it was measured on.
    pub on: Subset,
    /// How many of them.
    pub rows: u64,
    /// The figure that shuffling a column makes worse: `brier` or `mae`.
    pub loss: String,
    /// Repeats of each shuffle.
    pub repeats: u32,
    /// The features, the most important first.
    pub importance: Vec<Importance>,
    /// The answer over the values of the most important features.
    pub dependence: Vec<PartialDependence>,
    /// What each preprocessed feature adds to the score, the largest first; empty for a model that does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<crate::contributions::Contribution>,
    /// What contributions are measured in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

impl Analysis {
    /// Returns what contributions are measured in.
    pub fn contribution_unit(&self) -> &str {
        // Files of earlier versions name none and are of scores.
        if !self.unit.is_empty() {
            &self.unit
        } else if self.loss == "mae" {
            "units of the target"
        } else {
            "log-odds"
        }
    }
}

/// At most so many rows are asked about for importance, and for dependence.
const MAX_ROWS: usize = 2000;
const MAX_DEPENDENCE_ROWS: usize = 300;
/// At most so many predictions are made in all; a wide model gets fewer rows.
const MAX_PREDICTIONS: usize = 4_000_000;
/// So many features get a dependence, over at most so many values.
const DEPENDENT_FEATURES: usize = 3;
const VALUES: usize = 12;

/// Looks at `rows` of `table`; the same for any number of threads.
///
/// # Errors
/// Fails when the model cannot be asked about these rows.
pub fn analyse(
    model: &LoadedModel,
    table: &Table,
    target: &Target,
    rows: &[u32],
    on: Subset,
    repeats: u32,
    seed: u64,
) -> Result<Analysis, PipelineError> {
    let features: Vec<String> = model.inputs().iter().map(|(name, _)| name.clone()).collect();
    let affordable = MAX_PREDICTIONS / (features.len().max(1) * repeats.max(1) as usize);
    let some = evenly(rows, MAX_ROWS.min(affordable.max(50)));
    let known = target_of(target, &some);
    let whole = table.take(&some);
    let everything: Vec<u32> = (0..some.len() as u32).collect();
    let name = if matches!(target, Target::Classes { .. }) { "brier" } else { "mae" };
    let loss = |table: &Table| -> Result<f64, PipelineError> {
        let found = answers(model, table, &known, &everything)?.figures(Average::Weighted)?;
        Ok(found.metrics.get(name).copied().flatten().unwrap_or(f64::NAN))
    };
    let importance = if repeats == 0 || some.is_empty() {
        Vec::new()
    } else {
        permutation_importance(&features, some.len(), repeats, seed, |asked| match asked {
            None => loss(&whole),
            Some((feature, order)) => {
                loss(&with(&whole, &features[feature], |column| shuffled(column, order)))
            }
        })?
    };
    let finite = importance.iter().all(|feature| feature.mean.is_finite());
    let importance = if finite { importance } else { Vec::new() };
    let few = whole.take(&evenly(&everything, MAX_DEPENDENCE_ROWS));
    let mut dependence = Vec::new();
    for feature in importance.iter().take(DEPENDENT_FEATURES) {
        dependence.extend(depends(model, &few, &known, &feature.feature)?);
    }
    let rows = some.len() as u64;
    Ok(Analysis {
        schema_version: 1,
        on,
        rows,
        loss: name.to_owned(),
        repeats,
        importance,
        dependence,
        contributions: Vec::new(),
        unit: String::new(),
    })
}

fn evenly(rows: &[u32], most: usize) -> Vec<u32> {
    let step = rows.len().div_ceil(most.max(1)).max(1);
    rows.iter().step_by(step).copied().collect()
}

fn target_of(target: &Target, rows: &[u32]) -> Target {
    match target {
        Target::Classes { labels, classes } => Target::Classes {
            labels: rows.iter().map(|row| labels[*row as usize]).collect(),
            classes: classes.clone(),
        },
        Target::Values(values) => Target::Values(rows.iter().map(|row| values[*row as usize]).collect()),
    }
}

fn with(table: &Table, name: &str, change: impl Fn(&Column) -> Column) -> Table {
    let columns = table.columns.iter();
    let columns = columns.map(|column| if column.name == name { change(column) } else { column.clone() });
    Table { columns: columns.collect(), rows: table.rows, ..Table::default() }
}

fn shuffled(column: &Column, order: &[u32]) -> Column {
    let alone = Table { columns: vec![column.clone()], rows: column.len(), ..Table::default() };
    alone.take(order).columns.remove(0)
}

/// Returns the column with the value of one row in every row.
fn constant(column: &Column, row: usize) -> Column {
    shuffled(column, &vec![row as u32; column.len()])
}

/// Returns the mean answer over the values of `feature`; `None` when it has fewer than two.
fn depends(
    model: &LoadedModel,
    table: &Table,
    known: &Target,
    feature: &str,
) -> Result<Option<PartialDependence>, PipelineError> {
    let Some(column) = table.column(feature) else { return Ok(None) };
    let tried = values_of(column);
    if tried.len() < 2 {
        return Ok(None);
    }
    let rows: Vec<u32> = (0..table.rows as u32).collect();
    let known = target_of(known, &rows);
    let (mut values, mut numbers, mut mean, mut outcome) =
        (Vec::new(), Vec::new(), Vec::new(), String::new());
    for row in tried {
        let changed = with(table, feature, |column| constant(column, row));
        let average = match answers(model, &changed, &known, &rows)? {
            Answers::Values { predicted, .. } => {
                "prediction".clone_into(&mut outcome);
                predicted.iter().sum::<f64>() / predicted.len() as f64
            }
            Answers::Classes { probabilities, names, .. } => {
                let class = watched(&known, names.len());
                outcome = format!("probability of {}", names[class]);
                let own = probabilities.chunks_exact(names.len()).map(|row| f64::from(row[class]));
                own.sum::<f64>() / rows.len() as f64
            }
        };
        mean.push(average);
        numbers.extend(column.number(row));
        values.push(match (column.number(row), column.text(row)) {
            (Some(number), _) => modelgate_core::verdict::figure(number),
            (None, text) => text.unwrap_or("missing").to_owned(),
        });
    }
    Ok(Some(PartialDependence { feature: feature.to_owned(), values, numbers, outcome, mean }))
}

/// The class whose probability is shown: the second of two, else the most frequent.
fn watched(target: &Target, classes: usize) -> usize {
    let Target::Classes { labels, .. } = target else { return 0 };
    if classes == 2 {
        return 1;
    }
    let mut counts = vec![0_u64; classes];
    for label in labels {
        counts[*label as usize] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    counts.iter().position(|count| *count == most).unwrap_or(0)
}

/// Returns rows that hold the values to try: quantiles of numbers, the most frequent texts.
fn values_of(column: &Column) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..column.len()).filter(|row| !column.is_null(*row)).collect();
    if let Values::Text(values) = &column.values {
        let mut counts: std::collections::BTreeMap<&str, (u64, usize)> = std::collections::BTreeMap::new();
        for row in rows {
            let found = counts.entry(values[row].as_deref().unwrap_or_default()).or_insert((0, row));
            found.0 += 1;
        }
        let mut ranked: Vec<(&str, (u64, usize))> = counts.into_iter().collect();
        ranked.sort_by_key(|(text, (count, _))| (std::cmp::Reverse(*count), *text));
        return ranked.into_iter().take(VALUES).map(|(_, (_, row))| row).collect();
    }
    let number = |row: usize| column.number(row).unwrap_or(f64::NAN);
    rows.sort_by(|one, other| number(*one).total_cmp(&number(*other)));
    rows.dedup_by(|one, other| number(*one) == number(*other));
    if rows.len() <= VALUES {
        return rows;
    }
    let last = rows.len() - 1;
    (0..VALUES).map(|at| rows[at * last / (VALUES - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use modelgate_core::schema::{Classes, Feature, FeatureSchema, SCHEMA_VERSION, Task};
    use modelgate_data::preprocess::{Encode, Missing, PreprocessSpec, Scale, UnknownCategory, fit};
    use modelgate_model::estimator::{Estimator, Forest, LEAF, LinearRegressor, Tree, TreeNode};

    use super::*;

    fn table(text: &str) -> Table {
        modelgate_data::read_csv(text.as_bytes(), "here", &modelgate_data::ReadOptions::default())
            .expect("a table")
    }

    /// A model over the raw columns `names` of `table`, numbers as they are and a column per category.
    fn model(table: &Table, names: &[&str], classes: Option<Classes>, estimator: &Estimator) -> LoadedModel {
        let spec = PreprocessSpec {
            missing: Missing::Median,
            scale: Scale::None,
            encode: Encode::Onehot,
            unknown_category: UnknownCategory::Ignore,
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let rows: Vec<u32> = (0..table.rows as u32).collect();
        let plan = fit(table, &rows, &names, &spec).expect("a plan");
        let feature = |name: &String| Feature {
            name: name.clone(),
            feature_type: table.column(name).expect("a column").feature_type(),
            nullable: false,
            range: None,
            categories: Vec::new(),
            allowed: None,
            label: None,
            unit: None,
        };
        let schema = FeatureSchema {
            schema_version: SCHEMA_VERSION,
            task: if classes.is_some() { Task::Classification } else { Task::Regression },
            features: names.iter().map(feature).collect(),
            target: "y".to_owned(),
            classes,
        };
        LoadedModel::load(&modelgate_model::export(&plan, &schema, estimator).expect("a graph"))
            .expect("a model")
    }

    fn rows(table: &Table) -> Vec<u32> {
        (0..table.rows as u32).collect()
    }

    #[track_caller]
    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }

    #[test]
    fn the_dependence_of_a_linear_model_is_its_line_at_the_quantiles() {
        // Forty values of `a`, most of them small: its quantiles are not equally far from each other.
        let a = |row: usize| (row * row) as f64 / 10.0;
        let lines: String = (0..40)
            .map(|row| format!("{:?},{}.5,{}\n", a(row), row % 4, ["north", "south", "south"][row % 3]))
            .collect();
        let table = table(&format!("a,b,region\n{lines}"));
        // y = 3 + 2 a - b + 10 in the north.
        let linear =
            LinearRegressor { features: 4, coefficients: vec![2.0, -1.0, 10.0, 0.0], intercept: 3.0 };
        let model = model(&table, &["a", "b", "region"], None, &Estimator::LinearRegressor(linear));
        let mean = |of: &dyn Fn(usize) -> f64| (0..40).map(of).sum::<f64>() / 40.0;
        let (mean_a, mean_b) = (mean(&a), mean(&|row| (row % 4) as f64 + 0.5));
        let north = mean(&|row| if row % 3 == 0 { 10.0 } else { 0.0 });
        let truth = (0..40)
            .map(|row| 3.0 + 2.0 * a(row) - ((row % 4) as f64 + 0.5) + if row % 3 == 0 { 10.0 } else { 0.0 })
            .collect();
        let found = analyse(&model, &table, &Target::Values(truth), &rows(&table), Subset::Test, 2, 7)
            .expect("an analysis");
        assert_eq!((found.loss.as_str(), found.rows), ("mae", 40));
        assert_eq!(found.importance[0].feature, "a");
        let of = |name: &str| {
            found.dependence.iter().find(|one| one.feature == name).unwrap_or_else(|| panic!("{found:?}"))
        };
        // Twelve of the forty, the first and the last among them, evenly by rank.
        let quantiles: Vec<f64> = (0..12).map(|at| a(at * 39 / 11)).collect();
        near(&of("a").numbers, &quantiles);
        let line: Vec<f64> = quantiles.iter().map(|value| 3.0 + 2.0 * value - mean_b + north).collect();
        near(&of("a").mean, &line);
        near(&of("b").numbers, &[0.5, 1.5, 2.5, 3.5]);
        let others = 3.0 + 2.0 * mean_a + north;
        near(&of("b").mean, &[others - 0.5, others - 1.5, others - 2.5, others - 3.5]);
        // The most frequent first, and no numbers.
        assert_eq!(
            (&of("region").values[..], &of("region").numbers[..]),
            (&["south".to_owned(), "north".to_owned()][..], &[][..])
        );
        let others = 3.0 + 2.0 * mean_a - mean_b;
        near(&of("region").mean, &[others, others + 10.0]);
        assert!(found.dependence.iter().all(|one| one.outcome == "prediction"));
        // Nothing that is constant has a line.
        let constant = depends(&model, &table.take(&[3; 5]), &Target::Values(vec![0.0; 5]), "a");
        assert_eq!(constant.expect("asked"), None);
    }

    #[test]
    fn the_dependence_of_a_tree_is_the_probability_of_the_class_that_is_watched() {
        let lines: String = (0..30).map(|row| format!("{},{}\n", row % 3, row % 5)).collect();
        let table = table(&format!("a,b\n{lines}"));
        // Up to 0 of `a` one leaf, above it another; `b` decides nothing.
        let of = |outputs: usize, values: Vec<f32>| {
            let leaf = |row| TreeNode { feature: LEAF, threshold: 0.0, left: row, right: 0 };
            let root = TreeNode { feature: 0, threshold: 0.0, left: 1, right: 2 };
            let tree = Tree { nodes: vec![root, leaf(0), leaf(1)], values, covers: Vec::new() };
            Estimator::ForestClassifier(Forest {
                features: 2,
                outputs,
                trees: vec![tree],
                prepared: modelgate_model::estimator::Prepared::default(),
            })
        };
        let texts = |names: &[&str]| Classes::Text(names.iter().map(|name| (*name).to_owned()).collect());
        let three = texts(&["x", "y", "z"]);
        let forest = of(3, vec![0.5, 0.25, 0.25, 0.0, 0.125, 0.875]);
        let model_of_three = model(&table, &["a", "b"], Some(three.clone()), &forest);
        // Most rows are of the third class.
        let labels: Vec<u32> = (0..30).map(|row| if row < 12 { 2 } else { row % 2 }).collect();
        let target = Target::Classes { labels, classes: three };
        let found = depends(&model_of_three, &table, &target, "a").expect("asked").expect("a dependence");
        assert_eq!((found.outcome.as_str(), &found.numbers[..]), ("probability of z", &[0.0, 1.0, 2.0][..]));
        assert_eq!(found.values, ["0", "1", "2"]);
        near(&found.mean, &[0.25, 0.875, 0.875]);
        let found = depends(&model_of_three, &table, &target, "b").expect("asked").expect("a dependence");
        // Ten rows of thirty are in the first leaf, whatever `b` is.
        near(&found.mean, &[(0.25 + 0.875 * 2.0) / 3.0; 5]);
        // Of two classes it is the second, even where most rows are of the first.
        let two = texts(&["no", "yes"]);
        let model_of_two =
            model(&table, &["a", "b"], Some(two.clone()), &of(2, vec![0.75, 0.25, 0.125, 0.875]));
        let target = Target::Classes { labels: vec![0; 30], classes: two };
        let found = depends(&model_of_two, &table, &target, "a").expect("asked").expect("a dependence");
        assert_eq!(found.outcome, "probability of yes");
        near(&found.mean, &[0.25, 0.875, 0.875]);
        assert_eq!(
            watched(&Target::Classes { labels: vec![1, 0, 1, 0, 2], classes: texts(&["a", "b", "c"]) }, 3),
            0
        );
    }

    #[test]
    fn the_values_that_are_tried_are_there() {
        // Fourteen texts: the twelve most frequent, and those of one number in the order of their names.
        let mut lines: Vec<String> = (0..14).map(|at| format!("t{:02},{at}", 13 - at)).collect();
        lines.extend(["t05,1".to_owned(), "t05,1".to_owned(), "t09,".to_owned()]);
        let table = table(&format!("text,number\n{}\n", lines.join("\n")));
        let column = table.column("text").expect("text");
        let texts: Vec<&str> = values_of(column).into_iter().filter_map(|row| column.text(row)).collect();
        let expected = ["t05", "t09", "t00", "t01", "t02", "t03", "t04", "t06", "t07", "t08", "t10", "t11"];
        assert_eq!(texts, expected);
        // Numbers rise, each once, and what is missing is not tried.
        let column = table.column("number").expect("numbers");
        let numbers: Vec<f64> = values_of(column).into_iter().filter_map(|row| column.number(row)).collect();
        let expected: Vec<f64> = (0..12).map(|at| f64::from(at * 13 / 11)).collect();
        assert_eq!(numbers, expected);
    }
}
