use modelgate_core::schema::{Classes, Feature, FeatureSchema, SCHEMA_VERSION, Task};
use modelgate_data::preprocess::{Encode, Missing, PreprocessSpec, Scale, UnknownCategory, fit};
use modelgate_model::estimator::{Forest, LEAF, LinearRegressor, Tree, TreeNode};

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
        boolean: false,
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
        nulls: Vec::new(),
    };
    LoadedModel::load(&modelgate_model::export(&plan, &schema, estimator).expect("a graph")).expect("a model")
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
    let linear = LinearRegressor { features: 4, coefficients: vec![2.0, -1.0, 10.0, 0.0], intercept: 3.0 };
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
fn what_the_model_never_looks_at_has_no_importance_and_is_there() {
    let lines: String = (0..40).map(|row| format!("{},{},{}\n", row % 7, row % 3, row % 5)).collect();
    let table = table(&format!("a,b,c\n{lines}"));
    let linear = LinearRegressor { features: 3, coefficients: vec![0.0, 2.0, 1.0], intercept: 0.0 };
    let model = model(&table, &["a", "b", "c"], None, &Estimator::LinearRegressor(linear));
    let truth = (0..40).map(|row| f64::from(row % 3) * 2.0 + f64::from(row % 5)).collect();
    let found = analyse(&model, &table, &Target::Values(truth), &rows(&table), Subset::Test, 3, 7);
    let found = found.expect("an analysis");
    let names: Vec<&str> = found.importance.iter().map(|one| one.feature.as_str()).collect();
    assert_eq!(names, ["b", "c", "a"]);
    assert!(found.importance[..2].iter().all(|one| one.mean > 0.1), "{:?}", found.importance);
    assert_eq!((found.importance[2].mean, found.importance[2].std), (0.0, 0.0));
    assert_eq!(found.warning(&model), None);
    let cut = Analysis { importance: found.importance[..2].to_vec(), ..found };
    let said = cut.warning(&model).expect("a warning");
    assert!(said.starts_with("permutation importance: 2 of 3 features are looked at"), "{said}");
}

#[test]
fn of_too_many_features_those_are_shuffled_that_weigh_most() {
    assert_eq!(most_weighed(&[1.0, 0.0, 4.0, 2.0], 3), [0, 1, 2, 3], "one has not to be asked about");
    assert_eq!(most_weighed(&[1.0, 0.0, 4.0, 2.0], 2), [2, 3]);
    assert_eq!(most_weighed(&[1.0; 4], 2), [0, 1], "of equal ones the first");
    let table = table("a,b\n1,2\n2,3\n");
    let linear = LinearRegressor { features: 2, coefficients: vec![1.0, 2.0], intercept: 0.0 };
    let model = model(&table, &["a", "b"], None, &Estimator::LinearRegressor(linear));
    assert_eq!(most_shuffled(&model, 1000, 5), MAX_STEPS / 10_000);
    assert_eq!(most_shuffled(&model, usize::MAX, 5), DEPENDENT_FEATURES);
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
    let model_of_two = model(&table, &["a", "b"], Some(two.clone()), &of(2, vec![0.75, 0.25, 0.125, 0.875]));
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
