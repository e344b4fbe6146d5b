//! `train.search`: trials, their record, and what is wrong with a search told by place.

use modelgate_testing::TestProject;
use serde_json::{Value, json};

use crate::BINARY;

fn project(search: &str) -> TestProject {
    let wine = fs_err::read_to_string(modelgate_testing::example("data/wine.csv")).expect("wine");
    let config = format!(
        "version: 1\nproject: wine\npipelines:\n  wine:\n    task: classification\n    \
         data: {{source: data.csv, target: target}}\n    preprocess: {{scale: standard}}\n    \
         train:\n      algorithm: logistic_regression\n      params: {{max_iter: 200}}\n      search: {search}\n    \
         promotion: {{approval: automatic}}\n"
    );
    TestProject::with(BINARY, &wine, &config)
}

const SEARCH: &str = "{n_iter: 6, cv: 4, metric: log_loss, space: {C: {log_uniform: [0.001, 100]}, \
                      class_weight: {choice: [null, balanced]}}}";

#[test]
fn every_trial_is_recorded_and_the_best_trains_the_model() {
    let project = project(SEARCH);
    project.run(&["run"]).exits(0).says("best of 6 trials log_loss");
    let trials = project.json("outputs/wine/trials.json");
    let all = trials["trials"].as_array().expect("trials");
    assert_eq!(all.len(), 6);
    let score = |trial: &Value| trial["score"].as_f64().expect("a score");
    let lowest = all.iter().map(score).fold(f64::INFINITY, f64::min);
    let best = &all[trials["best"].as_u64().expect("a number") as usize];
    assert_eq!(score(best), lowest);
    assert_eq!(trials["best_params"]["C"], best["params"]["C"]);
    assert_eq!(trials["best_params"]["max_iter"], json!(200));
    for trial in all {
        let folds: Vec<f64> = trial["folds"]
            .as_array()
            .expect("folds")
            .iter()
            .map(|fold| fold.as_f64().expect("a score"))
            .collect();
        assert_eq!(folds.len(), 4);
        assert!((folds.iter().sum::<f64>() / 4.0 - score(trial)).abs() < 1e-12);
    }
    let report = project.json("outputs/wine/run_report.json");
    let children = report["children"].as_array().expect("children");
    assert_eq!(children.len(), 6);
    let id = format!("{}-t003", report["run_id"].as_str().expect("a run id"));
    assert_eq!(children[3], json!(id));
    let index = modelgate_registry::Index::open(&project.path(".modelgate")).expect("an index");
    let metrics = index.run_metrics(&id).expect("metrics of the child run");
    assert_eq!(metrics.get("search.log_loss").copied(), all[3]["score"].as_f64());
    let text = project.read("outputs/wine/report.md");
    assert!(
        text.contains("<summary>Search</summary>")
            && text.contains("6 trials of logistic_regression, log_loss on 4 folds")
    );
    // Nothing changed: the search is not made again, and what it found stays.
    let before = project.read("outputs/wine/trials.json");
    let again = project.run(&["run"]).exits(0);
    assert_eq!(again.stderr.matches(" skipped ").count(), 11, "{}", again.stderr);
    assert_eq!(before, project.read("outputs/wine/trials.json"));
    // Without the search its record goes too.
    let search = format!("search: {SEARCH}");
    project.replace("modelgate.yaml", &search, "");
    let _ = project.run(&["run"]);
    assert!(!project.path("outputs/wine/trials.json").exists());
}

#[test]
fn trials_are_the_same_for_1_2_3_and_8_threads() {
    for search in
        [SEARCH, "{kind: successive_halving, n_iter: 9, cv: 2, space: {C: {log_uniform: [0.001, 100]}}}"]
    {
        let found: Vec<String> = ["1", "2", "3", "8"]
            .map(|threads| {
                let project = project(search);
                let status = project.command(&["run"]).env("MODELGATE_THREADS", threads).status();
                assert!(status.expect("started").success());
                project.read("outputs/wine/trials.json")
            })
            .into();
        assert!(found.iter().all(|one| *one == found[0]), "{search}");
    }
}

#[test]
fn halving_gives_more_rows_to_the_better_trials() {
    let search = "{kind: successive_halving, n_iter: 9, factor: 3, cv: 2, min_rows: 14, metric: f1, \
                  space: {C: {log_uniform: [0.0001, 10]}}}";
    let project = project(search);
    let _ = project.run(&["run"]).exits(0);
    let trials = project.json("outputs/wine/trials.json");
    let all = trials["trials"].as_array().expect("trials");
    let in_round = |round: u64| all.iter().filter(|trial| trial["round"].as_u64() == Some(round)).count();
    assert_eq!([in_round(0), in_round(1), in_round(2)], [6, 2, 1]);
    let best = &all[trials["best"].as_u64().expect("a number") as usize];
    assert_eq!((best["round"].as_u64(), best["rows"].as_u64()), (Some(2), Some(125)));
}

#[test]
fn the_validation_rows_are_used_without_folds_and_that_is_said() {
    let project = project("{n_iter: 3, space: {C: {choice: [0.1, 1.0, 10.0]}}}");
    project.run(&["run"]).exits(0).says("was chosen on the validation rows, on which the gate judges too");
    let trials = project.json("outputs/wine/trials.json");
    assert_eq!((trials["cv"].clone(), trials["metric"].clone()), (Value::Null, json!("f1")));
}

#[test]
fn a_search_that_makes_no_sense_is_refused_before_any_work() {
    let cases = [
        ("{space: {}}", "there is nothing to search"),
        ("{space: {C: {log_uniform: [0, 1]}}}", "train.search.space.C: a logarithmic range starts above 0"),
        ("{space: {C: {int: [-9000000000000000000, 9000000000000000000]}}}", "at most 4294967295 of them"),
        ("{space: {C: {log_int: [0, 9]}}}", "a logarithmic range starts above 0"),
        ("{space: {C: {uniform: [3, 1]}}}", "the first below the second"),
        ("{space: {C: {choice: []}}}", "`choice` has no value"),
        ("{space: {max_iter: {int: [1, 9]}}}", "`params` sets it as well"),
        ("{space: {c: {uniform: [1, 2]}}}", "params.c: it is not known; did you mean `C`?"),
        ("{space: {C: {uniform: [-2, -1]}}}", "is not a number above 0"),
        ("{cv: 1, space: {C: {uniform: [1, 2]}}}", "expected 2 to 100 folds"),
        ("{metric: rmse, space: {C: {uniform: [1, 2]}}}", "search.metric: `rmse` is not one of accuracy"),
        ("{kind: grid, space: {C: {uniform: [1, 2]}}}", "random, successive_halving"),
        ("{space: {C: {between: [1, 2]}}}", "choice, uniform, log_uniform, int, log_int"),
        ("{n_iters: 3, space: {C: {uniform: [1, 2]}}}", "did you mean `n_iter`?"),
    ];
    for (search, message) in cases {
        let project = project(search);
        project.run(&["run"]).exits(64).says(message);
        assert!(!project.path(".modelgate/ledger.jsonl").exists());
    }
}

/// A search among weights of classes; one that is not there is only seen with the rows, whose classes are 0 and 1.
fn weighing(choices: &str) -> TestProject {
    let text: String = std::iter::once("x,y\n".to_owned())
        .chain((0..40).map(|row| format!("{row},{}\n", row / 20)))
        .collect();
    let config = format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    \
         data: {{source: data.csv, target: y, split: {{train: 0.6, validation: 0.2, test: 0.2}}}}\n    \
         train: {{algorithm: random_forest, params: {{n_estimators: 3}}, search: {{n_iter: 2, metric: accuracy, \
         space: {{class_weight: {{choice: [{choices}]}}}}}}}}\n    promotion: {{approval: automatic}}\n"
    );
    TestProject::with(BINARY, &text, &config)
}

#[test]
fn a_trial_that_cannot_be_fitted_is_recorded_with_its_reason() {
    let project = weighing("{\"5\": 2.0}, balanced");
    let _ = project.run(&["run"]).exits(0);
    let trials = project.json("outputs/p/trials.json");
    let failed: Vec<&Value> = trials["trials"]
        .as_array()
        .expect("trials")
        .iter()
        .filter(|trial| trial["score"].is_null())
        .collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["error"].as_str().expect("why").contains("names the class `5`"), "{failed:?}");
    assert_eq!(trials["best_params"]["class_weight"], json!("balanced"));
}

#[test]
fn a_search_without_a_score_leaves_its_trials_as_runs() {
    let project = weighing("{\"5\": 2.0}, {\"7\": 2.0}");
    project.run(&["run"]).exits(64).says("none of 2 trials has a score: params.class_weight: it names");
    let index = modelgate_registry::Index::open(&project.path(".modelgate")).expect("an index");
    let mut runs = index.runs().expect("runs");
    runs.sort_by(|one, other| one.run.cmp(&other.run));
    let [parent, trials @ ..] = runs.as_slice() else { panic!("no run is kept") };
    assert_eq!(trials.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|run| run.status == "failed"), "{runs:?}");
    for (number, trial) in trials.iter().enumerate() {
        assert_eq!(trial.run, format!("{}-t{number:03}", parent.run));
        assert_eq!(trial.params["parent_run"], parent.run);
        assert!(trial.metrics.is_empty());
        assert!(trial.params["class_weight"].contains("2.0"), "{trial:?}");
    }
}

#[test]
fn a_trial_that_stops_early_is_the_model_that_is_trained() {
    let config = "version: 1\nproject: wine\npipelines:\n  wine:\n    task: classification\n    \
                  data: {source: data.csv, target: target, split: {train: 0.6, validation: 0.2, test: 0.2}}\n    \
                  train:\n      algorithm: gradient_boosting\n      \
                  params: {n_estimators: 60, learning_rate: 0.5, min_samples_leaf: 3, early_stopping: true, n_iter_no_change: 3}\n      \
                  search: {n_iter: 1, metric: log_loss, space: {max_leaf_nodes: {choice: [4]}}}\n    \
                  gate: {on: test, rules: [{id: any, metric: accuracy, at_least: 0.1}]}\n    promotion: {approval: automatic}\n";
    let wine = fs_err::read_to_string(modelgate_testing::example("data/wine.csv")).expect("wine");
    let project = TestProject::with(BINARY, &wine, config);
    let _ = project.run(&["run"]).exits(0);
    let score = project.json("outputs/wine/trials.json")["trials"][0]["score"].as_f64().expect("a score");
    let report = project.json("outputs/wine/evaluation_report.json");
    let found = report["subsets"]["validation"]["metrics"]["log_loss"].as_f64().expect("a loss");
    assert!((score - found).abs() < 1e-9, "{score} {found}");
}

#[test]
fn a_round_has_rows_for_every_fold() {
    let search = |least: &str| {
        format!(
            "{{kind: successive_halving, n_iter: 9, cv: 20, metric: accuracy{least}, space: {{C: {{log_uniform: [0.01, 10]}}}}}}"
        )
    };
    let project = self::project(&search(""));
    let _ = project.run(&["run"]).exits(0);
    let trials = project.json("outputs/wine/trials.json");
    let all = trials["trials"].as_array().expect("trials");
    assert!(all.iter().all(|trial| trial["score"].is_number()), "{all:?}");
    assert!(all.iter().all(|trial| trial["rows"].as_u64() >= Some(40)), "{all:?}");
    let few = self::project(&search(", min_rows: 30"));
    few.run(&["run"]).exits(64).says("min_rows: 30 rows are too few for 20 folds: 40 at least");
}

/// A tree over rows of a trend, split as `split` says; the first of 13 groups has a third of them.
fn trend(split: &str, search: &str) -> TestProject {
    let mut data = "g,day,x,y\n".to_owned();
    for row in 0..360 {
        let group = if row % 3 == 0 { 0 } else { row % 12 + 1 };
        let (month, day) = (row / 28, row % 28 + 1);
        let date = format!("{}-{:02}-{day:02}", 2020 + month / 12, month % 12 + 1);
        data += &format!("g{group},{date},{row}.5,{}\n", 2 * row + row % 7);
    }
    let config = format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    \
         data: {{source: data.csv, target: y, split: {{{split}, train: 0.7, validation: 0.15, test: 0.15}}}}\n    \
         train: {{algorithm: decision_tree, search: {{metric: r2, space: {{max_depth: {{int: [1, 12]}}}}, {search}}}}}\n    \
         gate: {{rules: [{{id: any, metric: rmse, at_most: 1e9}}]}}\n    promotion: {{approval: automatic}}\n"
    );
    TestProject::with(BINARY, &data, &config)
}

#[test]
fn folds_of_groups_and_of_time_are_measured_on_what_they_did_not_see() {
    let scores = |project: &TestProject| -> Vec<f64> {
        let _ = project.run(&["run"]).exits(0);
        let trials = project.json("outputs/p/trials.json");
        let all = trials["trials"].as_array().expect("trials");
        all.iter().map(|trial| trial["score"].as_f64().unwrap_or_else(|| panic!("{trial}"))).collect()
    };
    let group = "kind: group, column: g";
    assert_eq!(scores(&trend(group, "kind: successive_halving, n_iter: 9, cv: 3")).len(), 9);
    let few = trend(group, "n_iter: 2, cv: 13");
    few.run(&["run"]).exits(64).says("groups of `g` in the training rows are too few for 13 folds");
    // No tree goes on with a trend: shuffled, its folds would be nearly perfect.
    let by_time = scores(&trend("kind: time, column: day", "n_iter: 2, cv: 5"));
    assert!(by_time.iter().all(|score| *score < 0.0), "{by_time:?}");
}

/// Days of two classes, of which one begins after half of the days, and so do the values of a column and a category.
fn late(search: &str) -> TestProject {
    let mut data = "day,x,late,town,y\n".to_owned();
    for row in 0..240 {
        let is_late = row >= 80;
        let (month, day) = (row / 28, row % 28 + 1);
        let late = if is_late { format!("{}.5", row % 5) } else { String::new() };
        let town = if is_late && row % 4 == 0 { "new" } else { "old" };
        let class = if is_late && row % 3 == 0 { "b" } else { "a" };
        data += &format!("2020-{:02}-{day:02},{}.25,{late},{town},{class}\n", month + 1, row * 7 % 31);
    }
    let config = format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    \
         data: {{source: data.csv, target: y, split: {{kind: time, column: day}}}}\n    \
         preprocess: {{unknown_category: error}}\n    \
         train: {{algorithm: decision_tree, search: {{metric: accuracy, space: {{max_depth: {{int: [1, 12]}}}}, {search}}}}}\n    \
         gate: {{rules: [{{id: any, metric: accuracy, at_least: 0.001}}]}}\n    promotion: {{approval: automatic}}\n"
    );
    TestProject::with(BINARY, &data, &config)
}

#[test]
fn folds_by_time_go_without_what_begins_later() {
    let project = late("n_iter: 2, cv: 5");
    project
        .run(&["run"])
        .exits(0)
        .says("trials are measured on 3 of 5 folds: the rows that the others learn from have one class only");
    let trials = project.json("outputs/p/trials.json");
    assert_eq!(trials["trials"][0]["folds"].as_array().map(Vec::len), Some(3));
    // A class that the last fold lacks: nothing there has an area under the curve.
    let row = |(at, line): (usize, &str)| match line.strip_suffix(",b").filter(|_| (141..170).contains(&at)) {
        Some(line) => format!("{line},a\n"),
        None => format!("{line}\n"),
    };
    let data: String = project.read("data.csv").lines().enumerate().map(row).collect();
    project.write("data.csv", data);
    project.write(
        "modelgate.yaml",
        project.read("modelgate.yaml").replace("metric: accuracy, s", "metric: roc_auc, s"),
    );
    let run = ["run", "--until", "train"];
    project.run(&run).exits(0).says("or roc_auc is not defined on those").says("on 2 folds");
}

#[test]
fn a_search_goes_by_the_quantile_that_its_models_are_for() {
    let config = |metric: &str| {
        format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    \
             data: {{source: data.csv, target: y}}\n    \
             train: {{algorithm: gradient_boosting, params: {{loss: quantile, quantile: 0.75, max_iter: 5}}, \
             search: {{metric: {metric}, n_iter: 2, cv: 2, space: {{max_depth: {{int: [1, 3]}}}}}}}}\n    \
             gate: {{rules: [{{id: any, metric: pinball_75, at_most: 1e9}}]}}\n    promotion: {{approval: automatic}}\n"
        )
    };
    let rows: String = (0..80).map(|row| format!("{row}.5,{}\n", row * 3 % 17)).collect();
    let project = TestProject::with(BINARY, &format!("x,y\n{rows}"), &config("pinball_75"));
    project.run(&["run"]).exits(0).says("best of 2 trials pinball_75");
    let other = TestProject::with(BINARY, &format!("x,y\n{rows}"), &config("pinball_80"));
    other.run(&["config", "check"]).exits(64).says("search.metric: `pinball_80` is not one of");
}
