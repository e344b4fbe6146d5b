//! What a reviewer reads: planted regressions are caught and told, and names from data break no report.

use std::process::Command;

use modelgate_testing::{TestProject, skip};

use crate::BINARY;
use planted::{csv, in_production, rows};

mod footing;
mod odd_rows;
mod pages;
mod planted;
mod rule_parts;

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
        - {metric: top_5_accuracy, at_least: 0.5}
        - {metric: accuracy, slice: {\"x|<i>\": 99999}, at_least: 0.5}
        - {metric: accuracy, slice: {y: 99999}, at_least: 0.5}
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
    // What a run warns of stands in every report, under the verdict, and in what programs read.
    let again = project.run(&["--output-format", "json", "run"]).exits(3).stdout;
    let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
    let told = again["warnings"][0]["warning"].as_str().expect("a warning");
    let first: String = told.split(['`', '<', '"', '\'']).next().expect("a part").to_owned();
    assert!(first.len() > 5, "{told}");
    for (form, page) in [("markdown", &markdown), ("html", &html), ("card", &card), ("junit", &junit)] {
        assert!(page.contains(&first), "{form} does not say: {told}");
    }
    let (warned, table) = (markdown.find(&first), markdown.find("## Rules"));
    assert!(warned < table, "{markdown}");
    assert!(html.find(&first) < html.find("<h2>Rules"), "{html}");
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
        assert_eq!(cells, 10, "{row}");
    }
}

/// What a category of the data may hold: what Markdown, HTML, SARIF or a terminal would obey.
const CATEGORIES: [&str; 4] = [
    "a|b [link](http://example.com) {0}",
    "<img src=x onerror=alert(1)>",
    "\u{1b}[2J\u{9b}31m`c`",
    "عربي\u{202e}txt",
];

#[test]
fn categories_from_data_are_harmless_in_every_report_and_on_a_terminal() {
    let data = |categories: &[&str]| {
        let line = |row: usize| {
            let class = row * 37 % 11 / 6;
            format!("{row},\"{}\",{class}\n", categories[row * 7 % categories.len()])
        };
        format!("id,kind,y\n{}", (0..600).map(line).collect::<String>())
    };
    let config = |rules: &str, params: &str| {
        format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: data.csv, target: y, key: id}}\n    preprocess: {{encode: onehot}}\n    train: {{algorithm: logistic_regression, params: {{C: {params}}}}}\n    evaluate: {{slices: [kind], min_slice_rows: 10}}\n    gate: {{rules: [{{metric: accuracy, at_least: 0.001}}{rules}]}}\n    promotion: {{approval: automatic}}\n"
        )
    };
    let project = TestProject::with(BINARY, &data(&CATEGORIES[..2]), &config("", "1.0"));
    let mut talk = project.run(&["run"]).exits(0).stderr;
    project.write("data.csv", data(&CATEGORIES));
    let slice = serde_json::Value::from(CATEGORIES[0]).to_string();
    let rules = format!(
        ", {{metric: accuracy, slice: {{kind: {slice}}}, at_most: 0}}, {{metric: slices, versus: production, equals: not_worse}}"
    );
    project.write("modelgate.yaml", config(&rules, "0.5"));
    let run = project.run(&["run"]).exits(2);
    talk.push_str(&run.stderr);
    talk.push_str(&project.run(&["gate", "explain"]).exits(0).stdout);
    let card = project.read("outputs/p/MODEL_CARD.md");
    let mut pages = vec![("card", card)];
    for form in ["markdown", "html", "junit", "sarif"] {
        pages.push((form, project.run(&["report", form]).exits(0).stdout));
    }
    for form in ["text", "markdown", "html"] {
        let versions = project.run(&["model", "compare", "p", "1", "2", "--form", form]).exits(0).stdout;
        pages.push(("compare", versions));
    }
    pages.push(("terminal", talk));
    for (form, page) in &pages {
        for harmful in ['\u{1b}', '\u{9b}', '\u{202e}'] {
            assert!(!page.contains(harmful), "{form} holds {harmful:?}");
        }
        let markup = matches!(*form, "card" | "markdown" | "html" | "junit");
        assert!(!markup || !page.contains("<img"), "{form} holds an element");
        let links = matches!(*form, "card" | "markdown");
        assert!(!links || !page.contains("[link](http"), "{form} holds a link");
    }
    // The names are there all the same: in slices, what changed in the data, contributions.
    let of = |name: &str| &pages.iter().find(|(form, _)| *form == name).expect("a page").1;
    let (markdown, html) = (of("markdown"), of("html"));
    assert!(markdown.contains("kind = a\\|b \\[link\\](http://example.com) {0} |"), "{markdown}");
    assert!(
        markdown.contains("is new") && markdown.contains("<summary>Contributions</summary>"),
        "{markdown}"
    );
    assert!(html.contains("kind = &lt;img src=x onerror=alert(1)&gt;"), "{html}");
    let sarif: serde_json::Value = serde_json::from_str(of("sarif")).expect("JSON");
    let said = sarif["runs"][0]["results"][1]["message"]["text"].as_str().expect("a text");
    assert!(said.contains("\\[link\\](http://example.com) {{0}}"), "{said}");
}

#[test]
fn names_a_thousand_letters_long_leave_reports_within_their_limits() {
    let long = |class: u32| format!("{class:04}-{}", "<&|>\"\"é".repeat(140));
    let mut text = String::from("a,b,y\n");
    for row in 0..8000_u32 {
        text.push_str(&format!("{},{},\"{}\"\n", row % 1000, row % 13, long(row % 1000)));
    }
    let config = "version: 1
project: p
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: y}
    train: {params: {n_estimators: 1}}
    evaluate: {importance_repeats: 1, rounds: 100, intervals: none}
    gate: {rules: [{metric: accuracy, at_least: 0.001}]}
";
    let project = TestProject::with(BINARY, &text, config);
    let _ = project.run(&["run"]).exits(4);
    let html = project.read("outputs/p/report.html");
    assert!(html.len() <= 1_000_000 && html.contains("more rows are in the JSON files"), "{}", html.len());
    let markdown = project.read("outputs/p/report.md");
    assert!(markdown.len() < 65_536 && markdown.contains("<summary>Classes</summary>"), "{}", markdown.len());
    assert!(markdown.ends_with("`.\n") && markdown.contains("**Verdict: passed**"));
}

#[test]
fn a_metric_that_has_no_value_here_and_a_slice_that_is_gone_are_inconclusive() {
    let project = hostile();
    let verdict = project.json("outputs/p/verdict.json");
    let sentences: Vec<&str> = verdict["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["sentence"].as_str().expect("a sentence"))
        .collect();
    assert!(
        sentences[1].contains("top_5_accuracy was not measured on validation; measured are accuracy"),
        "{sentences:?}"
    );
    assert!(sentences[2].contains("has no row where x|<i>=99999"), "{sentences:?}");
    assert!(sentences[3].contains("has no row where y=99999: check the column"), "{sentences:?}");
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
        .says("modelgate.yaml:7:25: pipelines.p.evaluate.slices[0]: ")
        .says("the column `regio` is not there; did you mean `region`? there is `id`, `x`, `y`, `region`");
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
    assert!(sentence.contains("is missed in more than one of five cases (McNemar's test:"), "{sentence}");
    assert!(sentence.contains("; paired t-test of Brier scores: "), "{sentence}");
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
        TestProject::with(BINARY, "t\n", &config).run(&["config", "check"]).exits(64).stderr
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
    assert!(
        compare("text").lines().any(|line| line.starts_with("accuracy") && line.contains(" *")),
        "{}",
        compare("text")
    );
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
    project.run(&["doctor"]).exits(1).says("broken").says("there is no file `data/raw/iris.csv`");
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
    gate: {rules: [{metric: accuracy, at_least: 0.001}]}
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
        project.write("data/raw/data.csv", "a,target\n1,2\n");
        let _ = project.run(&["config", "check"]).exits(0);
        assert_eq!(project.path("train.py").is_file(), template == "bring-your-own");
        assert!(project.read(".gitignore").contains("\n.env\n"), "{}", project.read(".gitignore"));
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
    project
        .run(&["report", "markdown"])
        .exits(1)
        .says("verdict.json")
        .says("`modelgate run iris` makes it anew");
    project.run(&["gate", "explain"]).exits(0).says("nothing yet");
    let _ = project.run(&["run", "--only", "gate"]).exits(0);
    project.run(&["report", "markdown"]).exits(0).says("**Verdict: passed**").says("in log-odds");
    let analysis = project.json("outputs/iris/analysis.json");
    assert_eq!(analysis["contributions"].as_array().expect("a linear model says it").len(), 4);
    assert_eq!(analysis["importance"].as_array().expect("importance").len(), 4);
}
