//! What a reviewer reads: planted regressions are caught and told, and names from data break no report.

use std::process::Command;

use modelgate_testing::{TestProject, skip};

use crate::BINARY;

/// Rows of two classes that `x` and `y` tell apart well in every region; `id` keeps each row in its part.
fn rows(count: u64) -> Vec<[String; 5]> {
    let mut state = 11_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1_u32 << 24)
    };
    (0..count)
        .map(|row| {
            let (x, y) = (next() * 2.0 - 1.0, next() * 2.0 - 1.0);
            let region = ["north", "south", "east", "west"][(next() * 4.0) as usize];
            let noise = next() * 0.8 - 0.4;
            let label = if x + y + noise > 0.0 { "yes" } else { "no" };
            [row.to_string(), format!("{x:.4}"), format!("{y:.4}"), region.to_owned(), label.to_owned()]
        })
        .collect()
}

fn csv(rows: &[[String; 5]]) -> String {
    let lines: String = rows.iter().map(|row| row.join(",") + "\n").collect();
    format!("id,x,y,region,target\n{lines}")
}

/// A project with the rules that `init` writes, in production with a good model.
fn in_production() -> (TestProject, Vec<[String; 5]>) {
    let rows = rows(4000);
    let project = TestProject::new(BINARY);
    project.write("data.csv", csv(&rows));
    let _ =
        project.run(&["init", "--source", "data.csv", "--target", "target", "--name", "planted"]).exits(0);
    project.replace("modelgate.yaml", "# key: id  ", "key: id  ");
    project.replace("modelgate.yaml", "split: {train: 0.7,", "split: {kind: stable, train: 0.7,");
    project.replace("modelgate.yaml", "stratify: true}", "stratify: false}");
    project.replace("modelgate.yaml", "scale: none", "scale: standard");
    project.replace("modelgate.yaml", "algorithm: random_forest ", "algorithm: logistic_regression ");
    project.replace("modelgate.yaml", "params: {n_estimators: 100}", "params: {C: 1.0}");
    project.replace("modelgate.yaml", "approval: required", "approval: automatic");
    project.run(&["run"]).exits(0).says("v001 is production");
    (project, rows)
}

fn rule<'a>(verdict: &'a serde_json::Value, id: &str) -> &'a serde_json::Value {
    let rules = verdict["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["id"] == id).expect("the rule")
}

#[test]
fn a_global_regression_is_caught_and_told() {
    let (project, _) = in_production();
    project.replace("modelgate.yaml", "algorithm: logistic_regression", "algorithm: random_forest");
    project.replace("modelgate.yaml", "{C: 1.0}", "{n_estimators: 1, max_depth: 1}");
    let _ = project.run(&["run"]).exits(2);
    let verdict = project.json("outputs/planted/verdict.json");
    assert_eq!(rule(&verdict, "f1-versus-production")["outcome"], "failed");
    // Times are told, and no package or evaluation has them.
    assert!(project.json("outputs/planted/latency.json")["p99_ms"].as_f64().is_some_and(|time| time > 0.0));
    assert!(!project.read("outputs/planted/evaluation_report.json").contains("latency"));
    let report = project.read("outputs/planted/report.md");
    let first: String = report.lines().take(8).collect();
    assert!(first.contains("**Verdict: failed**") && first.contains("f1 on validation is"), "{first}");
    assert!(report.contains("production v001 has") && report.contains("(on "), "{report}");
    assert!(
        report.contains("train.algorithm") && report.contains("random\\_forest")
            || report.contains("random_forest"),
        "{report}"
    );
    let _ = project.run(&["gate", "explain"]).exits(0).says("beyond the limit by").says("cannot be seen");
}

#[test]
fn a_regression_of_one_slice_is_caught_and_named() {
    let (project, mut rows) = in_production();
    // The training rows of one region are mislabelled; the rows that judge are as they were.
    let split = project.json("outputs/planted/split.json");
    let train: Vec<usize> = split["train"]
        .as_array()
        .expect("train")
        .iter()
        .map(|row| row.as_u64().expect("a row") as usize)
        .collect();
    for row in train {
        if rows[row][3] == "north" {
            rows[row][4] = if rows[row][4] == "yes" { "no" } else { "yes" }.to_owned();
        }
    }
    project.write("data.csv", csv(&rows));
    project.replace("modelgate.yaml", "algorithm: logistic_regression", "algorithm: random_forest");
    project.replace("modelgate.yaml", "{C: 1.0}", "{n_estimators: 60, max_depth: 8}");
    let _ = project.run(&["run"]).exits(2);
    let verdict = project.json("outputs/planted/verdict.json");
    let found = rule(&verdict, "slices-versus-production");
    assert_eq!(found["outcome"], "failed", "{verdict}");
    let sentence = found["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("region = north (") && sentence.contains(" rows, p = "), "{sentence}");
    let report = project.read("outputs/planted/report.md");
    assert!(
        report.contains("## Worst slices on validation") && report.contains("| region = north |"),
        "{report}"
    );
}

#[test]
fn a_regression_of_calibration_alone_is_caught_and_told() {
    let (project, _) = in_production();
    // So much regularisation that every probability is near one half; the order of rows stays.
    project.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.0001}");
    let _ = project.run(&["run"]).exits(2);
    let verdict = project.json("outputs/planted/verdict.json");
    assert_eq!(rule(&verdict, "calibration_error-versus-production")["outcome"], "failed", "{verdict}");
    assert_eq!(rule(&verdict, "f1-versus-production")["outcome"], "passed", "{verdict}");
    let report = project.read("outputs/planted/report.md");
    assert!(report.contains("calibration_error on validation is"), "{report}");
}

const HOSTILE: [&str; 4] = ["a|b", "<script>alert(1)</script>", "\"q\" 'r' & co", "عربي \u{202e}txt"];

fn hostile() -> TestProject {
    let lines: String = (0..240)
        .map(|row| {
            let class = HOSTILE[row % 4];
            format!("{},{},\"{}\"\n", row % 4 * 3 + row % 2, row % 7, class.replace('"', "\"\""))
        })
        .collect();
    let config = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: \"t|<b>\"}
    train: {params: {n_estimators: 5}}
    evaluate: {slices: [\"x|<i>\"]}
    gate:
      rules:
        - {id: \"a|<b>\", metric: accuracy, at_least: 0.1}
        - {metric: no_such_metric, at_least: 0.5}
        - {metric: accuracy, slice: {\"x|<i>\": 99999}, at_least: 0.5}
        - {metric: accuracy, slice: {gone: north}, at_least: 0.5}
";
    let project = TestProject::with(BINARY, &format!("\"x|<i>\",y,\"t|<b>\"\n{lines}"), config);
    project.run(&["run"]).exits(3).says("verdict: inconclusive");
    project
}

#[test]
fn names_from_data_are_escaped_in_every_report() {
    let project = hostile();
    let markdown = project.run(&["report", "markdown"]).exits(0).stdout;
    let html = project.run(&["report", "html"]).exits(0).stdout;
    let card = project.run(&["report", "card"]).exits(0).stdout;
    let junit = project.run(&["report", "junit"]).exits(0).stdout;
    for (form, page) in [("markdown", &markdown), ("html", &html), ("card", &card), ("junit", &junit)] {
        for raw in ["<script>", "<b>:", "<i>", "\u{202e}"] {
            let body = page.split("</style>").last().unwrap_or(page);
            assert!(!body.contains(raw), "{form} holds {raw:?}");
        }
    }
    assert!(markdown.contains("| a\\|b |") && markdown.contains("\u{2068}عربي txt\u{2069}"), "{markdown}");
    assert!(html.contains("<bdi>عربي txt</bdi>") && html.len() <= 1_000_000);
    assert!(!html.contains("http://") || html.matches("http://").all(|_| html.contains("http://www.w3.org")));
    assert!(!html.contains("src=") && !html.contains("@import") && !html.contains("<link"));
    let sarif = project.run(&["report", "sarif"]).exits(0).stdout;
    let sarif: serde_json::Value = serde_json::from_str(&sarif).expect("JSON");
    assert_eq!(sarif["runs"][0]["results"].as_array().expect("results").len(), 4);
    assert_eq!(sarif["runs"][0]["results"][1]["kind"], "open");
    for row in markdown.lines().filter(|line| line.starts_with("| ✅") || line.starts_with("| ❔")) {
        let cells = row.replace("\\|", "").matches('|').count();
        assert_eq!(cells, 9, "{row}");
    }
}

#[test]
fn a_metric_nobody_defined_and_a_slice_that_is_gone_are_inconclusive() {
    let project = hostile();
    let verdict = project.json("outputs/p/verdict.json");
    let sentences: Vec<&str> = verdict["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["sentence"].as_str().expect("a sentence"))
        .collect();
    assert!(
        sentences[1].contains("no_such_metric was not measured on validation; measured are accuracy"),
        "{sentences:?}"
    );
    assert!(sentences[2].contains("has no row where x|<i>=99999"), "{sentences:?}");
    assert!(sentences[3].contains("has no row where gone=north: check the column"), "{sentences:?}");
}

#[test]
fn a_declared_slice_needs_its_column() {
    let rows = rows(200);
    let config = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: target, key: id}
    evaluate: {slices: [regio]}
";
    let project = TestProject::with(BINARY, &csv(&rows), config);
    project
        .run(&["run"])
        .exits(64)
        .says("evaluate.slices")
        .says("no column `regio`; there is id, x, y, region");
}

#[test]
fn a_rule_of_no_inferiority_says_what_so_few_rows_can_show() {
    let rows = rows(400);
    let config = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: target, key: id, split: {kind: stable, stratify: false}}
    train: {params: {n_estimators: 30}}
    gate:
      rules:
        - {metric: accuracy, versus: production, non_inferior: {margin: 0.01, confidence: 0.95}}
    promotion: {approval: automatic}
";
    let project = TestProject::with(BINARY, &csv(&rows), config);
    let _ = project.run(&["run"]).exits(0);
    project.replace("modelgate.yaml", "n_estimators: 30", "n_estimators: 5");
    let _ = project.run(&["run"]).exits(3);
    let verdict = project.json("outputs/p/verdict.json");
    let sentence = verdict["rules"][0]["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("can neither be shown nor ruled out; with "), "{sentence}");
    assert!(sentence.contains("cannot be seen (McNemar's test:"), "{sentence}");
    // The same seed gives the same verdict.
    let _ = project.run(&["run", "--only", "gate"]).exits(3);
    assert_eq!(verdict, project.json("outputs/p/verdict.json"));
}

#[test]
fn rules_that_make_no_sense_are_refused_before_any_work() {
    let with = |rule: &str| {
        let config = format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: data.csv, target: t}}\n    gate: {{rules: [{rule}]}}\n"
        );
        TestProject::with(BINARY, "", &config).run(&["config", "check"]).exits(64).stderr
    };
    for (rule, message) in [
        (
            "{metric: my_own, versus: production, non_inferior: {margin: 0.01}}",
            "which way `my_own` is better",
        ),
        ("{metric: f1, versus: baseline, non_inferior: {margin: 0.01}}", "needs the model"),
        ("{metric: f1, versus: production, non_inferior: {margin: 0.01, confidence: 1}}", "below 1"),
        ("{metric: f1, non_inferior: {margin: 0.01}}", "`versus` is missing"),
        ("{metric: slices, versus: production, at_most: 0}", "equals: not_worse"),
        ("{metric: f1, versus: production, equals: not_worse}", "for the metric `slices`"),
        ("{metric: schema, versus: production, equals: compatible, slice: {a: b}}", "takes no `slice`"),
        ("{metric: f1, at_least: 0.5, at_most: 0.9}", "exactly one of"),
    ] {
        let said = with(rule);
        assert!(said.contains(message), "{rule}: {said}");
    }
}

#[test]
fn versions_are_put_side_by_side() {
    let (project, _) = in_production();
    project.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.9}");
    let _ = project.run(&["run"]).exits(0);
    let compare =
        |form: &str| project.run(&["model", "compare", "planted", "1", "2", "--form", form]).exits(0).stdout;
    assert!(compare("text").contains("`train.params.C` was 1.0 and is 0.9"), "{}", compare("text"));
    assert!(compare("markdown").contains("| planted | v001 | v002 |"), "{}", compare("markdown"));
    assert!(compare("html").contains("<th>v002</th>"));
    assert!(project.path("outputs/planted/plots/history.svg").is_file());
    project.run(&["model", "compare", "planted", "9"]).exits(1).says("9");
}

#[test]
fn small_helpers_print_what_they_promise() {
    let project = TestProject::example(BINARY, "iris", None);
    project.run(&["dag", "--mermaid"]).exits(0).says("flowchart LR").says("    evaluate --> gate");
    project.run(&["dag"]).exits(0).says("snapshot    ← the source file");
    project.run(&["completions", "bash"]).exits(0).says("_modelgate()");
    project.run(&["doctor"]).exits(0).says("ok      project");
    fs_err::remove_file(project.path("data/raw/iris.csv")).expect("removed");
    project.run(&["doctor"]).exits(1).says("broken").says("there is no `data/raw/iris.csv`");
    project.run(&["report", "html"]).exits(1).says("`modelgate run iris` makes it");
    project.run(&["gate", "explain"]).exits(0).says("nothing yet");
}

#[test]
fn a_thousand_classes_are_reported_in_one_small_page() {
    let mut text = String::from("a,b,y\n");
    for row in 0..8000_u32 {
        text.push_str(&format!("{},{},k{:04}\n", row % 1000, row % 13, row % 1000));
    }
    let config = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: y}
    train: {params: {n_estimators: 1}}
    evaluate: {importance_repeats: 1, rounds: 100}
    gate: {rules: [{metric: accuracy, at_least: 0}]}
";
    let project = TestProject::with(BINARY, &text, config);
    let _ = project.run(&["run"]).exits(4);
    let html = project.read("outputs/p/report.html");
    assert!(html.len() <= 1_000_000 && html.contains("k0999"), "{}", html.len());
    let markdown = project.run(&["report", "markdown"]).exits(0).stdout;
    assert!(markdown.len() < 65_536 && markdown.contains("with the lowest F1 of 1000"), "{}", markdown.len());
    assert!(project.json("outputs/p/evaluation_report.json")["subsets"]["validation"]["metrics"]["top_5_accuracy"].is_number());
}

#[test]
fn reports_are_valid_in_the_eyes_of_their_schemas() {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
        return;
    };
    let (blocked, _) = in_production();
    blocked.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.0001}");
    let _ = blocked.run(&["run"]).exits(2);
    for project in [blocked, hostile()] {
        for (form, file) in [
            ("json", "verdict.json"),
            ("sarif", "report.sarif"),
            ("junit", "report.xml"),
            ("card", "card.md"),
        ] {
            let path = project.path(file).display().to_string();
            let _ = project.run(&["report", form, "--output", &path]).exits(0);
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/check_reports.py");
        let output = Command::new(&python).arg(script).arg(project.path(".")).output().expect("python");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches("valid:").count(), 4, "{said}");
    }
}

#[test]
fn init_writes_what_each_template_promises() {
    for (template, promised) in [
        ("classification", "task: classification"),
        ("regression", "metric: rmse, versus: production"),
        ("bring-your-own", "command: \"python3 train.py {train} {output} --seed {seed}\""),
    ] {
        let project = TestProject::new(BINARY);
        let _ = project.run(&["init", "--template", template, "--name", "mine"]).exits(0);
        assert!(project.read("modelgate.yaml").contains(promised), "{template}");
        let _ = project.run(&["config", "check"]).exits(0);
        assert_eq!(project.path("train.py").is_file(), template == "bring-your-own");
        project
            .run(&["config", "show", "--origin"])
            .exits(0)
            .says("pipelines.mine.evaluate.rounds = 1000  # default");
    }
}

#[test]
fn figures_intervals_importance_and_plots_are_the_same_for_any_number_of_threads() {
    let outputs: Vec<Vec<(String, Vec<u8>)>> = ["1", "3"]
        .map(|threads| {
            let project = TestProject::example(BINARY, "iris", None);
            let run = project.command(&["run"]).env("MODELGATE_THREADS", threads).output().expect("started");
            // It waits for approval.
            assert_eq!(run.status.code(), Some(4));
            let plots = fs_err::read_dir(project.path("outputs/iris/plots")).expect("plots");
            let mut found: Vec<(String, Vec<u8>)> = plots
                .map(|entry| {
                    let entry = entry.expect("entry");
                    let name = entry.file_name().to_string_lossy().into_owned();
                    (name, fs_err::read(entry.path()).expect("a plot"))
                })
                .collect();
            found.sort();
            let subsets = project.json("outputs/iris/evaluation_report.json")["subsets"].to_string();
            assert!(subsets.contains("\"intervals\""));
            found.push(("subsets".to_owned(), subsets.into_bytes()));
            found.push(("analysis".to_owned(), project.read("outputs/iris/analysis.json").into_bytes()));
            found
        })
        .into();
    assert!(outputs[0].len() > 20);
    assert!(outputs[0] == outputs[1]);
}

#[test]
fn damaged_outputs_are_told_and_made_again() {
    let project = TestProject::example(BINARY, "iris", None);
    let _ = project.run(&["run"]).exits(4);
    project.write("outputs/iris/verdict.json", "{\"verdict\": 1}");
    project.run(&["report", "markdown"]).exits(1).says("verdict.json").says("`modelgate run iris` makes it");
    project.run(&["gate", "explain"]).exits(0).says("nothing yet");
    let _ = project.run(&["run", "--only", "gate"]).exits(0);
    project.run(&["report", "markdown"]).exits(0).says("**Verdict: passed**").says("in log-odds");
    let analysis = project.json("outputs/iris/analysis.json");
    assert_eq!(analysis["contributions"].as_array().expect("a linear model says it").len(), 4);
    assert_eq!(analysis["importance"].as_array().expect("importance").len(), 4);
}
