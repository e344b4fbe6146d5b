//! `modelgate data`, and what a contract does to a run.

mod describing;
mod read_as_declared;

use modelgate_testing::TestProject;

use crate::BINARY;

const CONTRACT: &str = "
version: 1
columns:
  a: {type: int, min: 0, max: 59}
  b: {type: float, nullable: false}
  y: {type: int, values: [0, 1]}
rules:
  - {id: b-follows-a, check: b == a * 2}
";

fn project(contract: &str, extra: &str) -> TestProject {
    let project = TestProject::new(BINARY);
    let mut text = String::from("a,b,y\n");
    for row in 0..60 {
        text.push_str(&format!("{row},{},{}\n", row * 2, row % 3 % 2));
    }
    project.write("data.csv", &text);
    project.write("contracts/c.yaml", contract);
    project.write(
        "modelgate.yaml",
        format!(
            "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data:\n      source: data.csv\n      target: y\n      \
             contract: contracts/c.yaml\n{extra}    gate:\n      rules: [{{id: some, metric: accuracy, at_least: 0.1, min_samples: 5}}, {{metric: \
             contract.violations, at_most: 0}}]\n    promotion: {{approval: automatic}}\n"
        ),
    );
    project
}

/// Takes the contract out of the pipeline, and the rule on it, which could not decide without one.
fn without_contract(project: &TestProject) {
    project.replace("modelgate.yaml", "      contract: contracts/c.yaml\n", "");
    project.replace("modelgate.yaml", ", {metric: contract.violations, at_most: 0}", "");
}

#[test]
fn a_contract_that_holds_lets_a_run_through_and_is_a_figure_for_the_gate() {
    // Classes are named as they are written; whether a run has them as numbers is no matter of the contract.
    let contract = CONTRACT.replace("{type: int, values: [0, 1]}", "{type: category, values: ['0', '1']}");
    let project = project(&contract, "");
    project.run(&["run"]).exits(0).says("contract   ran").says("contract.violations").says("is 0");
    project.run(&["data", "validate"]).exits(0).says("on 60 rows, all hold");
    assert!(project.path("outputs/p/contract_report.json").is_file());
}

#[test]
fn a_broken_contract_blocks_a_run_each_time_and_names_the_rows() {
    let project = project(&CONTRACT.replace("a * 2", "a * 2 or a != 7").replace("max: 59", "max: 57"), "");
    for _ in 0..2 {
        let output = project.run(&["run"]).exits(2);
        output.says("a.max: `a` is at most 57: 2 of 60 rows do not keep this");
        output.says("line 60 (data row 59): a = 58");
    }
    let report = fs_err::read_to_string(project.path("outputs/p/report.md")).expect("a report");
    // The report is for others too: it says where, and what stands there is shown here alone.
    assert!(
        report.contains("blocked by the data contract")
            && report.contains("| line 60")
            && !report.contains("a = 58"),
        "{report}"
    );
    assert!(!project.path("models/packaged").exists());
    project.run(&["data", "validate", "--output-format", "json"]).exits(2).says("\"count\": 2");
}

#[test]
fn values_of_rows_do_not_get_into_the_log_of_ci() {
    let project = project(&CONTRACT.replace("max: 59", "max: 57"), "");
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = project.command(arguments).envs(variables.iter().copied()).output().expect("started");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let (here, ci) = ([], [("GITHUB_ACTIONS", "true")]);
    let asked = [("GITHUB_ACTIONS", "true"), ("MODELGATE_SHOW_VALUES", "1")];
    let hidden = [("MODELGATE_SHOW_VALUES", "0")];
    for arguments in [&["data", "validate"][..], &["run"]] {
        assert!(said(arguments, &here).contains("a = 58") && said(arguments, &asked).contains("a = 58"));
        for variables in [&ci[..], &hidden] {
            let told = said(arguments, variables);
            assert!(told.contains("line 60 (data row 59)") && !told.contains("a = 58"), "{told}");
        }
    }
    let profile = ["data", "profile"];
    let row = |told: &str| told.lines().find(|line| line.starts_with("a ")).unwrap_or_default().to_owned();
    let numbers = |line: &str| line.split_whitespace().skip(4).map(str::to_owned).collect::<Vec<_>>();
    let (open, closed) = (numbers(&row(&said(&profile, &here))), numbers(&row(&said(&profile, &ci))));
    assert_eq!((open.len(), closed.len()), (5, 5));
    assert_eq!((closed[0].as_str(), closed[3].as_str(), &closed[1]), ("-", "-", &open[1]));
    // Neither in errors.
    let rows = fs_err::read_to_string(project.path("data.csv")).expect("rows");
    let mut lines: Vec<&str> = rows.lines().collect();
    let cells = lines[6].matches(',').count();
    let named = format!("john@secret.org{}", ",1".repeat(cells));
    lines[6] = &named;
    project.write("data.csv", lines.join("\n") + "\n");
    for arguments in [&["run"][..], &["data", "split"]] {
        let (open, closed) = (said(arguments, &here), said(arguments, &ci));
        assert!(open.contains("line 7, column") && open.contains("john@secret.org"), "{open}");
        assert!(closed.contains("line 7, column") && closed.contains("a value is not a number"), "{closed}");
        assert!(!closed.contains("john"), "{closed}");
    }
    let unclear = said(&["run"], &[("MODELGATE_SHOW_VALUES", "no")]);
    assert!(unclear.contains("MODELGATE_SHOW_VALUES is `no`: expected `1`"), "{unclear}");
}

#[test]
fn the_gate_may_judge_a_broken_contract() {
    let contract = CONTRACT.replace("max: 59", "max: 57");
    let project = project(&contract, "      on_violation: judge\n");
    project.run(&["run"]).exits(2).says("contract.violations").says("at most 0");
}

#[test]
fn a_contract_that_is_left_to_a_gate_without_a_rule_on_it_is_judged_all_the_same() {
    let contract = CONTRACT.replace("max: 59", "max: 57");
    let project = project(&contract, "      on_violation: judge\n");
    let config = project.read("modelgate.yaml");
    let ours = |rule: &str| config.replace("{metric: contract.violations, at_most: 0}", rule);
    project.write("modelgate.yaml", ours("{metric: accuracy, at_least: 0.001}"));
    let run = project.run(&["run"]).exits(2);
    run.says("contract.errors").says("warning: contract: a.max: `a` is at most 57: 2 of 60 rows");
    for (page, place) in [("report.md", "| line 60"), ("report.html", "line 60<br>")] {
        let page = project.read(&format!("outputs/p/{page}"));
        assert!(page.contains("Data contract") && page.contains(place) && !page.contains("a = 58"), "{page}");
    }
    // A rule of the gate's own takes its place.
    project.write("modelgate.yaml", ours("{metric: contract.errors, at_most: 9}"));
    project.run(&["run"]).exits(0).says("at most 9");
}

#[test]
fn a_warning_lets_a_run_through_and_is_told() {
    let contract =
        CONTRACT.replace("max: 59", "max: 57, severity: warning").replace("at_most: 0", "at_most: 1");
    let project = project(&contract, "");
    let config = fs_err::read_to_string(project.path("modelgate.yaml")).expect("a configuration");
    project.write("modelgate.yaml", config.replace("at_most: 0", "at_most: 1"));
    project.run(&["run"]).exits(0).says("warning: contract: a.max");
}

#[test]
fn wrong_structure_comes_before_content() {
    let contract = CONTRACT.replace("  b: {type: float", "  b: {type: date");
    let project = project(contract.split("rules:").next().expect("columns"), "");
    project
        .run(&["data", "validate"])
        .exits(2)
        .says("b.type: `b` is to be date")
        .says("the content was not judged");
}

#[test]
fn a_contract_that_cannot_be_used_is_named_before_any_work() {
    let project = project("version: 1\ncolumns:\n  a: {typ: int}\n", "");
    project.run(&["run"]).exits(64).says("contracts/c.yaml: line 3: unknown key `typ`");
    fs_err::remove_file(project.path("contracts/c.yaml")).expect("removed");
    project.run(&["run"]).exits(64).says("there is no file `contracts/c.yaml`").says("--infer");
    project.run(&["data", "validate", "--infer"]).exits(0).says("wrote contracts/c.yaml: 3 columns");
    project.run(&["data", "validate"]).exits(0).says("all hold");
    project.run(&["data", "validate", "--infer"]).exits(64).says("--overwrite replaces it");
    let _ = project.run(&["data", "validate", "--infer", "--odcs", "--contract", "open.yaml"]).exits(0);
    project.run(&["data", "validate", "--odcs", "--contract", "open.yaml"]).exits(0).says("all hold");
}

#[test]
fn the_contract_of_the_documentation_is_one() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/data.md");
    let page = fs_err::read_to_string(page).expect("the page");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let contract = blocks.filter(|block| block.contains("columns:")).last().expect("a contract");
    let project = project(contract, "");
    let header = "id,date,price,grade,kind,sqft_living,sqft_above,sqft_basement,yr_built,other\n";
    let rows: String = (0..20_000)
        .map(|row| {
            let kind = if row % 3 == 0 { "house" } else { "flat" };
            format!("{row},2026-06-01T00:00:00,1{row}.5,7,{kind},30,20,10,1990,x\n")
        })
        .collect();
    project.write("d.csv", format!("{header}{rows}"));
    let checked = project.run(&["data", "validate", "--data", "d.csv", "--contract", "contracts/c.yaml"]);
    checked.exits(0).says("warning other.extra");
}

#[test]
fn a_first_contract_is_not_made_of_a_column_that_no_run_takes() {
    let project = project(CONTRACT, "");
    project.replace("data.csv", "\n5,10,0\n", "\n5,ten,0\n");
    let infer = ["data", "validate", "--infer", "--overwrite", "--contract", "first.yaml"];
    let said =
        "data.csv: line 7, column `b`: `ten` is not a number, and 59 of 60 values of this column are; mend";
    project.run(&infer).exits(1).says(said);
    assert!(!project.path("first.yaml").exists());
    // Who means text says so.
    project.replace("modelgate.yaml", "      target: y", "      target: y\n      types: {b: string}");
    project.run(&infer).exits(0).says("wrote first.yaml");
}

#[test]
fn the_rows_of_the_parts_are_written_as_a_program_that_trains_gets_them() {
    let project = project(CONTRACT, "");
    project.run(&["data", "split", "--output", "parts"]).exits(0).says("split: exact").says("are in");
    let written = |name: &str| project.read(&format!("parts/{name}.csv"));
    let names = ["train", "validation", "test"];
    let lines = names.map(|name| written(name).lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
    // Each row of the source is in one part, the one in which a run has it.
    let mut all = lines.concat();
    let mut source: Vec<String> = project.read("data.csv").lines().skip(1).map(str::to_owned).collect();
    let _ = project.run(&["run", "--until", "split"]).exits(0);
    let split = project.json("outputs/p/split.json");
    for (name, lines) in names.iter().zip(&lines) {
        let rows = split[name].as_array().expect("rows").iter();
        let rows: Vec<&String> = rows.map(|row| &source[row.as_u64().expect("a number") as usize]).collect();
        assert_eq!(rows, lines.iter().collect::<Vec<_>>(), "{name}");
    }
    all.sort_unstable();
    source.sort_unstable();
    assert_eq!(all, source);
    assert_eq!(written("test").lines().next(), project.read("data.csv").lines().next());
    let marker = "echo yes > same; cmp $MODELGATE_TRAIN parts/train.csv && cmp $MODELGATE_VALIDATION parts/validation.csv && exit 9";
    project.write(
        "modelgate.yaml",
        format!("version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: data.csv, target: y}}\n    train: {{command: \"{marker}\"}}\n"),
    );
    if cfg!(unix) {
        project.run(&["run"]).exits(1).says("ended with exit code 9");
    }
    // A folder of parts is written anew, one of anything else is not touched.
    project.write("parts/test.csv", "old");
    let _ = project.run(&["data", "split", "--output", "parts"]).exits(0);
    assert_ne!(written("test"), "old");
    project.write("mine/train.csv", "mine");
    project.write("mine/notes.txt", "mine too");
    project.run(&["data", "split", "--output", "mine"]).exits(1).says("holds `notes.txt`");
    assert_eq!(project.read("mine/train.csv"), "mine");
}

#[test]
fn leakage_is_told_by_a_run() {
    let project = project(CONTRACT, "      key: b\n");
    let mut text = String::from("a,b,y,copy\n");
    for row in 0..60 {
        text.push_str(&format!("{},{},{},{}\n", row % 7, row * 2, row % 3 % 2, ["no", "yes"][row % 3 % 2]));
    }
    project.write("data.csv", &text);
    without_contract(&project);
    let output = project.run(&["run", "--until", "split"]).exits(0);
    output
        .says("leakage: the feature `copy` has one value for each class")
        .says("are equal to a row of train");
}

#[test]
fn data_that_somebody_writes_to_meanwhile_is_an_error_and_no_figures() {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    let project = project(CONTRACT, "");
    without_contract(&project);
    let rows: String = (0..60_000).map(|row| format!("{row},{},{}\n", row * 2, row % 3 % 2)).collect();
    project.write("data.csv", format!("a,b,y\n{rows}"));
    let done = AtomicBool::new(false);
    let commands = [
        &["data", "profile"][..],
        &["data", "validate", "--infer"],
        &["data", "validate", "--contract", "contracts/c.yaml"],
        &["data", "diff", "data.csv", "data.csv"],
        &["data", "split"],
        &["run", "--until", "snapshot"],
    ];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file =
                fs_err::OpenOptions::new().append(true).open(project.path("data.csv")).expect("opened");
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"1,2,0\n").expect("written");
                // Slower than it is read.
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
        });
        // On a busy machine the writer may stand still for as long as a command reads: then there is nothing to tell.
        let told = |arguments: &[&str]| {
            let mut outputs = (0..50).map(|_| {
                // Of a command that came before the writer.
                let _ = fs_err::remove_file(project.path("contracts/p.yaml"));
                project.run(arguments)
            });
            outputs.find(|output| output.code != 0)
        };
        let outputs = commands.map(told);
        done.store(true, Ordering::Relaxed);
        for (output, arguments) in outputs.into_iter().zip(commands) {
            let output = output.unwrap_or_else(|| panic!("{arguments:?} never noticed"));
            output.exits(1).says("data.csv").says("changed while it was read");
        }
    });
    let _ = project.run(&["data", "profile"]).exits(0);
    assert!(!project.path("contracts/p.yaml").exists());
}

#[test]
fn rows_that_are_all_equal_are_no_matter_of_more_rows() {
    let project = project(CONTRACT, "");
    without_contract(&project);
    let rows: String = (0..200).map(|row| format!("1,2,{}\n", row % 2)).collect();
    project.write("data.csv", format!("a,b,y\n{rows}"));
    for command in [&["run"][..], &["data", "split"]] {
        let output = project.run(command).exits(1);
        output.says("gets no row of 200; there are 2 different rows (by `data.key`, or else by all columns)");
        output.says("equal rows stay together: add rows that differ");
    }
}

#[test]
fn more_rows_than_a_contract_allows_break_it() {
    let project = project(&format!("{CONTRACT}rows: {{min: 10, max: 59}}\n"), "");
    let output = project.run(&["data", "validate"]).exits(2);
    output.says("rows.max: there are 60 rows, and at most 59 are asked for");
    assert!(!output.stdout.contains("rows.min"), "{}", output.stdout);
    project.run(&["run"]).exits(2).says("rows.max: there are 60 rows");
    project.replace("contracts/c.yaml", "{min: 10, max: 59}", "{min: 61, max: 70}");
    project
        .run(&["data", "validate"])
        .exits(2)
        .says("rows.min: there are 60 rows, and at least 61 are asked for");
    project.replace("contracts/c.yaml", "{min: 61, max: 70}", "{min: 60, max: 60}");
    project.run(&["data", "validate"]).exits(0).says("all hold");
}

#[test]
fn a_time_split_trains_on_the_past() {
    let project = project(CONTRACT, "      split: {kind: time, column: day, stratify: false}\n");
    let mut text = String::from("day,a,y\n");
    for row in 0..80 {
        text.push_str(&format!("2024-{:02}-{:02},{row},{}\n", 1 + row / 20, 1 + row % 20, row % 3 % 2));
    }
    project.write("data.csv", &text);
    without_contract(&project);
    project.run(&["run", "--until", "split"]).exits(0).says("train 56 · validation 12 · test 12 rows (time)");
    let split: serde_json::Value =
        serde_json::from_slice(&fs_err::read(project.path("outputs/p/split.json")).expect("a split"))
            .expect("JSON");
    assert_eq!(split["train"].as_array().expect("rows").last().and_then(serde_json::Value::as_u64), Some(55));
}

#[test]
fn the_king_county_contract_refuses_the_defective_files() {
    let contract =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/king-county/contracts/king-county.yaml");
    let project = TestProject::new(BINARY);
    let names = ["kc_house_data.csv", "kc_house_data_defective.csv", "kc_house_data_dirty_types.csv"];
    for name in names {
        let Some(data) = modelgate_testing::shared_table(name) else { return };
        fs_err::copy(data, project.path(name)).expect("copied");
    }
    let check = |name: &str| project.run(&["data", "validate", "--data", name, "--contract", contract]);
    check(names[0]).exits(0).says("hold, with 1 warning");
    let defective = check(names[1]).exits(2);
    defective
        .says("areas-add-up")
        .says("line 12 (data row 11): sqft_above = 1259, sqft_basement = 1700, sqft_living = 3560");
    defective.says("line 19 (data row 18): sqft_above = 2099, sqft_basement = 0, sqft_living = 1600");
    let dirty = check(names[2]).exits(2);
    dirty
        .says("waterfront.type: `waterfront` is to be int: 21613 of 21613 rows")
        .says("line 2 (data row 1): waterfront = NO");
}

#[test]
fn what_is_not_declared_is_named_with_the_columns_there_are() {
    let project = project(CONTRACT, "");
    project.replace("modelgate.yaml", "      target: y\n", "");
    project.replace("modelgate.yaml", "    task: classification\n", "");
    let output = project.run(&["run"]).exits(64);
    output.says("pipelines.p: `task` and `data.target` are not declared").says("the columns are a, b, y");
}

#[test]
fn numbers_that_no_model_takes_are_shown_and_make_no_contract() {
    let project = project(CONTRACT, "");
    project.write("wide.csv", "a,b\n1,1e39\n2,5\n");
    project.run(&["data", "profile", "--data", "wide.csv"]).exits(0).says("1.000e39");
    let infer = ["data", "validate", "--infer", "--data", "wide.csv", "--contract", "w.yaml"];
    project.run(&infer).exits(1).says("column `b` has numbers that are infinite or beyond");
    assert!(!project.path("w.yaml").exists());
}

#[test]
fn what_is_declared_of_quotes_and_types_is_taken() {
    let project = project(CONTRACT, "      quote: none\n      types: {b: decimal, y: category}\n");
    without_contract(&project);
    let rows: String = (0..60).map(|row| format!("\"{row},{}.50,{}\n", row * 2, row % 3 % 2)).collect();
    project.write("data.csv", format!("a,b,y\n{rows}"));
    let output = project.run(&["run", "--until", "snapshot"]).exits(0);
    output.says("60 rows × 3 columns").says("kept by ");
    output.says("column `b` is declared as decimal and read as float");
    // Without the declaration the quote begins a value that nothing ends.
    project.replace("modelgate.yaml", "      quote: none\n", "");
    project.run(&["run", "--until", "snapshot"]).exits(1).says("there is text behind the \"");
    let schema = project.json(".modelgate/cache/p/snapshot.json");
    assert!(schema["summary"].as_str().is_some_and(|summary| summary.contains("60 rows")), "{schema}");
}

#[test]
fn rows_of_one_group_stay_together() {
    let project = project(CONTRACT, "      split: {kind: group, column: who, stratify: false}\n");
    without_contract(&project);
    let rows: String = (0..90).map(|row| format!("{},{row},{}\n", row / 3, row % 2)).collect();
    project.write("data.csv", format!("who,a,y\n{rows}"));
    project.run(&["data", "split"]).exits(0).says("split: group");
    let _ = project.run(&["run", "--until", "split"]).exits(0);
    let split = project.json("outputs/p/split.json");
    let part = |name: &str| -> Vec<u64> {
        let rows = split[name].as_array().expect("rows").iter().filter_map(serde_json::Value::as_u64);
        rows.map(|row| row / 3).collect()
    };
    let (train, test) = (part("train"), part("test"));
    assert!(!test.is_empty() && test.iter().all(|group| !train.contains(group)), "{split}");
    project.replace("modelgate.yaml", "column: who", "column: nobody");
    project.run(&["data", "split"]).exits(1).says("the group column `nobody` is not there");
}

#[test]
fn a_sample_is_in_the_report_of_its_run() {
    let project = project(CONTRACT, "");
    let _ = project.run(&["run", "--sample", "50", "--until", "split"]).exits(0);
    assert_eq!(project.json("outputs/p/run_report.json")["sample"], serde_json::json!({ "rows": 50 }));
    let _ = project.run(&["run", "--sample", "80%", "--until", "split"]).exits(0);
    assert_eq!(project.json("outputs/p/run_report.json")["sample"], serde_json::json!({ "share": 0.8 }));
    let _ = project.run(&["run", "--until", "split"]).exits(0);
    assert_eq!(project.json("outputs/p/run_report.json")["sample"], serde_json::Value::Null);
}

#[test]
fn a_glob_that_links_lead_in_a_circle_is_named() {
    let project = project(CONTRACT, "");
    project.write("parts/a/1.csv", "a,b,y\n1,2,0\n");
    project.replace("modelgate.yaml", "source: data.csv", "source: parts/**/*.csv");
    project.run(&["data", "profile"]).exits(0).says("1 rows");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("..", project.path("parts/a/back")).expect("linked");
        for command in [&["run"][..], &["data", "profile"], &["data", "snapshot"]] {
            project.run(command).exits(1).says("parts/a/back").says("leads back to a folder above it");
        }
    }
}

#[test]
fn a_contract_goes_to_the_open_standard_and_comes_back() {
    let project = project(CONTRACT, "");
    let _ = project.run(&["data", "contract", "export", "-o", "open.yaml"]).exits(0);
    assert!(project.read("open.yaml").contains("apiVersion: v3.1.0"), "{}", project.read("open.yaml"));
    // Against the standard's own schema.
    if let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") {
        let contract = "version: 1\nname: all\ndescription: d\nrows: {min: 2, max: 2}\nfreshness: {column: at, max_age: 36h, severity: warning}\n\
                        columns:\n  at: {type: timestamp, min: '2020-01-01', optional: true}\n  day: {type: date, format: '%d.%m.%Y'}\n  \
                        n: {type: int, min: 1, max: 2, unique: true, nullable: false, allow: 1%, severity: warning}\n  \
                        s: {type: category, values: [x, y], pattern: '[a-z]', min_length: 1, max_length: 2}\n  ok: {type: bool}\n\
                        unique: [[at, n], {columns: [s], severity: warning}]\nlabel: {column: s, classes: [x, y], min_share: 0.1}\n\
                        rules: [{id: r, check: n > 0, allow: 3, severity: warning}]\n";
        project.write("all.yaml", contract);
        let _ = project.run(&["data", "contract", "export", "all.yaml", "-o", "all.odcs.yaml"]).exits(0);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/check_contract.py");
        for name in ["open.yaml", "all.odcs.yaml"] {
            let mut command = std::process::Command::new(&python);
            let output = command.arg(script).arg(project.path(name)).output().expect("started");
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    } else {
        modelgate_testing::skip("MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt");
    }
    let _ = project.run(&["data", "contract", "import", "open.yaml", "-o", "contracts/c.yaml"]).exits(0);
    assert!(project.read("contracts/c.yaml").contains("b: {type: float, nullable: false}"));
    project.run(&["data", "validate"]).exits(0).says("all hold");
    project
        .run(&["data", "contract", "import", "modelgate.yaml"])
        .exits(64)
        .says("not an Open Data Contract");
}
