//! What candidate and production are compared on: not on rows that production learned from, nor by figures that were
//! changed in a file, and a model that answers nothing is no first model.

use modelgate_testing::TestProject;
use serde_json::Value;

use crate::BINARY;

/// Rows whose label mostly follows `x` and whose trees learn the rest by heart.
fn csv(extra: bool) -> String {
    let mut state = 5_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1_u32 << 24)
    };
    let lines: String = (0..1200)
        .map(|row| {
            let (x, y) = (next(), next());
            let label = u8::from(x + next() * 1.2 - 0.6 > 0.5);
            let more = if extra { format!(",{}", row % 3) } else { String::new() };
            format!("{row},{x:.5},{y:.5}{more},{label}\n")
        })
        .collect();
    format!("id,x,y{},t\n{lines}", if extra { ",z" } else { "" })
}

const RULE: &str = "{id: drop, metric: f1, versus: production, max_drop: 0.05}";

fn config(seed: u64, more: &str, rules: &str) -> String {
    format!(
        "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    seed: {seed}\n    \
         data: {{source: d.csv, target: t{more}}}\n    train: {{algorithm: random_forest, params: {{n_estimators: 20}}}}\n    \
         gate: {{rules: [{rules}]}}\n    promotion: {{approval: automatic}}\n"
    )
}

fn project(more: &str, rules: &str) -> TestProject {
    let project = TestProject::new(BINARY);
    project.write("d.csv", csv(false));
    project.write("modelgate.yaml", config(42, more, rules));
    project.run(&["run"]).exits(0).says("v001 is production");
    project
}

fn rule(project: &TestProject) -> Value {
    project.json("outputs/p/verdict.json")["rules"][0].clone()
}

#[test]
fn production_is_not_compared_on_rows_that_it_learned_from() {
    let rules = format!("{RULE}, {{id: floor, metric: f1, at_least: 0.1}}");
    let project = project("", &rules);
    project.write("modelgate.yaml", config(7, "", &rules));
    let output = project.run(&["run"]);
    let rule = rule(&project);
    let sentence = rule["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.contains("rows of validation are left out") && sentence.contains("`seed` was 42 and is 7"),
        "{sentence}"
    );
    // About 70 of 100 validation rows were training rows of production.
    let samples = rule["samples"].as_u64().expect("samples");
    assert!((30..90).contains(&samples), "{samples}");
    // On what is left production is as good as a model of its kind is, and not nearly perfect.
    let (own, old) =
        (rule["value"].as_f64().expect("a value"), rule["reference"].as_f64().expect("a reference"));
    assert!(old < 0.95 && own > 0.5, "{own} against {old}");
    output.says("are left out of the comparison: by the split of production v001 they are its training rows");
    assert!(project.read("outputs/p/report.md").contains("left out of the comparison"));
    project.run(&["gate", "explain"]).exits(0).says("left out of the comparison");
    each_figure_stands_with_its_rows(&project, samples);
    // Nor is one of both called the best.
    let compared = project.run(&["model", "compare", "p", "1", "2"]).exits(0).stdout;
    assert!(compared.contains("rows of different splits") && !compared.contains('*'), "{compared}");
}

/// The figures of all rows stand beside their intervals, those of the `left` rows beside production's.
fn each_figure_stands_with_its_rows(project: &TestProject, left: u64) {
    let (all, both) = (
        project.json("outputs/p/evaluation_report.json")["subsets"]["validation"].clone(),
        project.json("outputs/p/comparison.json"),
    );
    assert_eq!(both["rows"]["validation"], left);
    let figure = |value: &Value| modelgate_core::verdict::figure(value.as_f64().expect("a figure"));
    let fair = both["subsets"]["validation"].as_array().expect("figures");
    let fair = fair.iter().find(|row| row["metric"] == "accuracy").expect("accuracy");
    let (own, interval) = (&all["metrics"]["accuracy"], &all["intervals"]["accuracy"]);
    assert_ne!(own, &fair["candidate"]);
    let cells = [
        "accuracy".to_owned(),
        figure(own),
        format!("{} to {}", figure(&interval["low"]), figure(&interval["high"])),
        figure(&fair["candidate"]),
        figure(&fair["production"]),
    ];
    let markdown = project.read("outputs/p/report.md");
    assert!(markdown.contains(&format!("| {} |", cells.join(" | "))), "{cells:?} in {markdown}");
    assert!(markdown.contains(&format!("| candidate on {left} rows | production v001 on {left} rows |")));
    // A rule that compares with nothing is of all rows: the baseline's figure is too, and production's is not.
    let floor = markdown.lines().find(|line| line.contains("| floor |")).expect("a line");
    let all_rows = all["rows"].as_u64().map(|rows| rows.to_string());
    let floor: Vec<&str> = floor.trim_matches(['|', ' ']).split(" | ").collect();
    assert!(
        matches!(floor[6..], ["–", to_baseline, rows] if to_baseline != "–" && Some(rows) == all_rows.as_deref()),
        "{floor:?}"
    );
    let [metric, others @ ..] = &cells;
    let html: String = others.iter().map(|cell| format!("<td class=n>{cell}</td>")).collect();
    let html = format!("<tr><td>{metric}</td>{html}");
    assert!(project.read("outputs/p/report.html").contains(&html), "{html}");
}

#[test]
fn a_column_that_is_new_moves_rows_and_none_that_production_learned_from_counts() {
    let project = project("", RULE);
    project.write("d.csv", csv(true));
    let _ = project.run(&["run"]);
    let sentence = rule(&project)["sentence"].as_str().expect("a sentence").to_owned();
    assert!(
        sentence.contains("rows of validation are left out") && sentence.contains("`columns` changed"),
        "{sentence}"
    );
}

/// The rows with a date, which is no feature.
fn dated() -> String {
    let with = |(at, line): (usize, &str)| match at {
        0 => format!("day,{line}\n"),
        _ => format!("2024-01-{:02},{line}\n", at % 28 + 1),
    };
    csv(false).lines().enumerate().map(with).collect()
}

#[test]
fn a_rule_fails_by_no_rows_that_production_may_know() {
    let strict = "{id: drop, metric: f1, versus: production, max_drop: 0}";
    let project = TestProject::with(BINARY, "", "");
    project.write("d.csv", dated());
    project.write("modelgate.yaml", config(42, "", strict));
    project.run(&["run"]).exits(0).says("v001 is production");
    // A row was known by all its columns, of which one is gone.
    project.write("d.csv", csv(false));
    project.run(&["run"]).exits(3).says("production v001 may have learned from rows that it is compared on");
    let rule = rule(&project);
    assert_eq!(rule["outcome"], "inconclusive", "{rule}");
    let sentence = rule["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("column `day` is gone") && sentence.contains("`data.key`"), "{sentence}");
}

#[test]
fn rows_that_are_read_otherwise_are_not_taken_for_others() {
    let strict = "{id: drop, metric: f1, versus: production, max_drop: 0}";
    let noted = csv(false).replace(",t\n", ",note,t\n");
    let lines = noted.lines().enumerate().map(|(at, line)| match line.rsplit_once(',') {
        Some((rest, label)) if at > 0 => {
            format!("{rest},{},{label}\n", if at % 61 == 0 { "late" } else { "-" })
        }
        _ => format!("{line}\n"),
    });
    let noted: String = lines.collect();
    // Of both, rows came too: what is read otherwise is another row to whoever divides them.
    for (data, before, now, added, why) in [
        (
            &noted,
            "",
            ", nulls: [\"-\"]",
            "1200,0.5,0.5,-,1\n",
            "`data.nulls` changed, and a row is known by all",
        ),
        (
            &csv(false),
            ", key: id",
            ", key: id, types: {id: string}",
            "A1200,0.5,0.5,1\n",
            "column `id` was int and is",
        ),
    ] {
        let project = TestProject::with(BINARY, "", "");
        project.write("d.csv", data);
        project.write("modelgate.yaml", config(42, before, strict));
        project.run(&["run"]).exits(0).says("v001 is production");
        project.write("d.csv", format!("{data}{added}"));
        project.write("modelgate.yaml", config(42, now, strict));
        project
            .run(&["run"])
            .exits(3)
            .says("production v001 may have learned from rows that it is compared on");
        let rule = rule(&project);
        assert_eq!(rule["outcome"], "inconclusive", "{rule}");
        assert!(rule["sentence"].as_str().expect("a sentence").contains(why), "{rule}");
    }
}

#[test]
fn a_value_that_production_cannot_take_stays_in_its_row() {
    let project = project(", key: id", RULE);
    let rows = csv(false);
    let ninth = rows.lines().nth(8).expect("a row").split(',').nth(2).expect("a value").to_owned();
    project.write("d.csv", rows.replacen(&ninth, "john@secret.org", 1));
    let dropped = |more: &str| {
        let more = format!("    preprocess: {{drop: [y]}}\n{more}    gate:");
        project.write("modelgate.yaml", config(42, ", key: id", RULE).replace("    gate:", &more));
    };
    dropped("");
    let said = project.run(&["run"]).exits(3).stderr;
    assert!(said.contains("d.csv: line 9, column `y`: its value is not a number"), "{said}");
    assert!(!said.contains("john") && !said.contains("preprocess.drop"), "{said}");
    for name in ["verdict.json", "report.md", "report.html"] {
        let text = project.read(&format!("outputs/p/{name}"));
        assert!(text.contains("cannot be scored") || text.contains("its value is not a number"), "{text}");
        assert!(!text.contains("john"), "{text}");
    }
    // Of parts by that column it is told where it is, and what can be done: it is dropped already.
    dropped("    evaluate: {slices: [y]}\n");
    let said = project.run(&["run"]).exits(1).stderr;
    assert!(
        said.contains("line 9, column `y`") && said.contains("take it out of `evaluate.slices`"),
        "{said}"
    );
    assert!(!said.contains("preprocess.drop"), "{said}");
}

#[test]
fn a_package_from_elsewhere_is_not_compared_by_the_rows_that_it_was_trained_on() {
    let rule = "{id: low, metric: f1, at_least: 0.1}";
    let (one, other) = (project(", key: id", rule), TestProject::new(BINARY));
    other.write("d.csv", csv(false));
    other.write(
        "modelgate.yaml",
        config(42, ", key: id", rule).replace("n_estimators: 20", "n_estimators: 9"),
    );
    let _ = other.run(&["run"]).exits(0);
    let flip = |(at, line): (usize, &str)| match line.rsplit_once(',') {
        Some((rest, label)) if at > 0 && at % 5 == 0 => format!("{rest},{}\n", u8::from(label == "0")),
        _ => format!("{line}\n"),
    };
    one.write("d.csv", csv(false).lines().enumerate().map(flip).collect::<String>());
    let package = other.path("models/packaged/p").display().to_string();
    let _ = one.run(&["model", "promote", "p", "--from-run", &package, "--reason", "it is smaller"]).exits(4);
    let compared = one.run(&["model", "compare", "p", "1", "2"]).exits(0).stdout;
    assert!(compared.contains("different data") && !compared.contains('*'), "{compared}");
}

/// Rows of forty customers on days; of each the first `lines` rows.
fn of_customers(lines: usize) -> String {
    let with = |(at, line): (usize, &str)| match at {
        0 => format!("day,who,{line}\n"),
        _ => format!("2024-01-{:02},c{:02},{line}\n", at % 28 + 1, at % 40),
    };
    csv(false).lines().take(lines + 1).enumerate().map(with).collect()
}

#[test]
fn training_groups_of_production_are_known_again_when_rows_are_added() {
    let split = ", split: {kind: group, column: who}";
    let project = TestProject::with(BINARY, "", "");
    project.write("d.csv", of_customers(900));
    project.write("modelgate.yaml", config(42, split, RULE));
    project.run(&["run"]).exits(0).says("v001 is production");
    project.write("d.csv", of_customers(1200));
    project.write("modelgate.yaml", config(7, split, RULE));
    let _ = project.run(&["run"]);
    // Six customers of thirty rows each: those that production was trained on are left out whole.
    let rule = rule(&project);
    let samples = rule["samples"].as_u64().expect("samples");
    assert!((30..180).contains(&samples) && samples.is_multiple_of(30), "{rule}");
    let sentence = rule["sentence"].as_str().expect("a sentence");
    let out = format!("{} of 180 rows of validation are left out", 180 - samples);
    assert!(sentence.contains(&out), "{sentence}");
}

#[test]
fn training_days_of_production_are_known_again_when_the_newest_are_gone() {
    let split = ", split: {kind: time, column: day}";
    let project = TestProject::with(BINARY, "", "");
    let whole = of_customers(1200);
    project.write("d.csv", &whole);
    project.write("modelgate.yaml", config(42, split, RULE));
    project.run(&["run"]).exits(0).says("v001 is production");
    // Days up to the twentieth trained; of twenty-two days validation is before that.
    let older: String = whole
        .lines()
        .filter(|line| *line < "2024-01-23" || line.starts_with('d'))
        .fold(String::new(), |text, line| text + line + "\n");
    project.write("d.csv", older);
    project.run(&["run"]).exits(3).says("rows of validation are left out of the comparison");
    let rule = rule(&project);
    assert_eq!(rule["outcome"], "inconclusive", "{rule}");
    assert!(rule["sentence"].as_str().expect("a sentence").contains("the data are others"), "{rule}");
}

#[test]
fn a_column_that_is_learned_from_no_longer_is_there_for_production_and_slices() {
    let project = project(", key: id", RULE);
    let sliced = "{id: part, metric: accuracy, slice: {y: 0..0.5}, at_least: 0.1}";
    let rules = format!("{RULE}, {sliced}");
    let more = "    preprocess: {drop: [y]}\n    evaluate: {slices: [y], rounds: 100}\n    gate:";
    project.write("modelgate.yaml", config(42, ", key: id", &rules).replace("    gate:", more));
    project.run(&["run"]).says("1 numeric and 0 text columns become 1 features");
    let rules = project.json("outputs/p/verdict.json")["rules"].clone();
    assert!(rules[0]["reference"].is_number() && rules[0]["samples"] == 181, "{rules}");
    assert_eq!(rules[1]["outcome"], "passed", "{rules}");
    let report = project.json("outputs/p/evaluation_report.json");
    assert_eq!(report["subsets"]["validation"]["slices"].as_array().map(Vec::len), Some(5), "{report}");
}

/// A model of LightGBM whose answers to `x` above the threshold are beyond what a number can hold.
fn overflowing(threshold: f64) -> String {
    let tree = |number: usize| {
        format!(
            "Tree={number}\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold={threshold}\ndecision_type=2\n\
             left_child=-1\nright_child=-2\nleaf_value=0 3e38\nleaf_count=10 10\ninternal_count=20\nis_linear=0\n\
             shrinkage=1\n\n\n"
        )
    };
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=regression\n\
         feature_names=x y\nfeature_infos=[0:1] [0:1]\ntree_sizes=300 300\n\n{}{}end of trees\n",
        tree(0),
        tree(1)
    )
}

#[cfg(unix)]
#[test]
fn a_model_that_answers_nothing_is_no_first_model_and_stands_in_no_ones_way() {
    let project = TestProject::with(BINARY, "", "");
    project.write("d.csv", csv(false));
    project.write("bad.txt", overflowing(-1.0));
    let config = |train: &str, gate: &str| {
        format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    data: {{source: d.csv, target: t, key: id}}\n    \
             train: {{{train}}}\n{gate}    promotion: {{approval: automatic}}\n"
        )
    };
    let (bad, good) = ("command: \"cp bad.txt {output}\"", "params: {n_estimators: 20}");
    // The default gate.
    project.write("modelgate.yaml", config(bad, ""));
    let output = project.run(&["run"]).exits(3);
    output.says("rmse on validation is undefined or not a finite number");
    assert_eq!(output.stderr.matches("on validation: ").count(), 1, "{}", output.stderr);
    // One that reached production all the same is replaced by one that answers.
    project.write(
        "modelgate.yaml",
        config(bad, "    gate: {rules: [{metric: latency.p99_ms, at_most: 100000}]}\n"),
    );
    project.run(&["run"]).exits(0).says("is production");
    project.write("modelgate.yaml", config(good, ""));
    project.run(&["run"]).exits(0).says("is production");
    let verdict = project.json("outputs/p/verdict.json");
    let sentence = verdict["rules"][0]["sentence"].as_str().expect("a sentence").to_owned();
    assert!(sentence.contains("answers none of 180 rows with a number"), "{sentence}");
    // Of one that answers some rows, these are what both are compared on.
    project.write("bad.txt", overflowing(0.4));
    let time = "    gate: {rules: [{metric: latency.p99_ms, at_most: 100000}]}\n";
    project.write("modelgate.yaml", config(bad, time));
    project.run(&["run"]).exits(0).says("is production");
    project.write("modelgate.yaml", config("params: {n_estimators: 21}", ""));
    project.run(&["run"]).says("does not answer them with a finite number");
    let rule = rule(&project);
    let samples = rule["samples"].as_u64().expect("samples");
    assert!((40..110).contains(&samples) && rule["reference"].is_number(), "{rule}");
}

#[test]
fn the_same_split_leaves_nothing_out() {
    let project = project(", key: id", RULE);
    project.write("d.csv", csv(true));
    let _ = project.run(&["run"]);
    let rule = rule(&project);
    assert_eq!(rule["samples"], 181, "{rule}");
    assert!(!rule["sentence"].as_str().expect("a sentence").contains("left out"), "{rule}");
}

#[test]
fn a_baseline_that_was_changed_switches_no_rule_off_and_one_that_is_gone_is_the_registrys() {
    let versus = "{id: base, metric: accuracy, versus: baseline, max_drop: 0.01}";
    let project = project(", key: id", versus);
    let whole = project.read("baselines/p.json");
    project.write(
        "modelgate.yaml",
        config(42, ", key: id", versus).replace("n_estimators: 20", "n_estimators: 1"),
    );
    let changed = whole.replace("\"accuracy\": 0.", "\"accuracy\": 0.0");
    assert_ne!(changed, whole);
    project.write("baselines/p.json", changed);
    project.run(&["run"]).exits(3).says("has other figures than v001 was registered with");
    fs_err::remove_file(project.path("baselines/p.json")).expect("removed");
    let _ = project.run(&["run"]);
    let by_the_registry = rule(&project);
    assert_ne!(by_the_registry["outcome"], "inconclusive");
    assert_eq!(by_the_registry["reference_name"], "baseline v001");
    project.write("baselines/p.json", whole);
    let _ = project.run(&["run"]);
    assert_eq!(rule(&project), by_the_registry);
}

#[test]
fn figures_of_a_run_that_were_changed_are_not_believed() {
    let project = project(", key: id", "{metric: accuracy, at_least: 0.1}");
    let run = project.json("outputs/p/run_report.json")["run_id"].as_str().expect("a run").to_owned();
    let versus = format!("{{id: run, metric: accuracy, versus: \"run:{run}\", max_drop: 0.5}}");
    let other = config(42, ", key: id", &versus).replace("n_estimators: 20", "n_estimators: 3");
    project.write("modelgate.yaml", other);
    let _ = project.run(&["run"]).exits(0);
    let path = format!("outputs/p/evaluations/{run}.json");
    let text = project.read(&path);
    project.write(&path, text.replace("\"accuracy\": 0.", "\"accuracy\": 0.0"));
    project.replace("modelgate.yaml", "n_estimators: 3", "n_estimators: 4");
    project.run(&["run"]).exits(3).says("has other figures than v001 was registered with");
}

#[test]
fn a_slice_that_a_run_did_not_measure_is_not_said_to_have_no_rows() {
    let project = project(", key: id", "{metric: accuracy, at_least: 0.1}");
    let sliced = "{id: part, metric: accuracy, slice: {x: 0..0.5}, at_least: 0.1}";
    project.write("modelgate.yaml", config(42, ", key: id", sliced));
    let said = project.run(&["gate", "check", "--run", "p"]).exits(3).stdout;
    assert!(
        said.contains("has no figures of rows where x=0..0.5") && said.contains("--from evaluate"),
        "{said}"
    );
    assert!(!said.contains("check the column"), "{said}");
}

#[test]
fn a_rule_that_can_never_decide_is_refused_with_its_line() {
    let project = TestProject::new(BINARY);
    project.write("d.csv", csv(false));
    for (rule, message) in [
        ("{metric: accuracy, at_least: 1.5}", "none is at least 1.5"),
        ("{metric: f1, versus: production, max_drop: 150%}", "would pass every one"),
        ("{metric: contract.errors, at_most: 0}", "`data.contract`"),
        ("{metric: schema, versus: baseline, equals: compatible}", "use `versus: production`"),
    ] {
        project.write("modelgate.yaml", config(42, "", rule));
        project.run(&["run"]).exits(64).says(message).says("modelgate.yaml:9");
    }
}
