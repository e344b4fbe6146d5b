//! Data described and compared: `data profile` and `data diff`.

use super::*;

#[test]
fn a_diff_goes_by_the_key_of_its_pipeline_and_shows_no_values_in_ci() {
    let project = project(CONTRACT, "      key: a\n");
    project.write("old.csv", project.read("data.csv").replace("\n5,10,", "\n5,11,"));
    let diff = ["data", "diff", "old.csv", "data.csv"];
    project.run(&diff).exits(0).says("1 changed (by a)").says("5: 11 → 10");
    let output = project.command(&diff).env("GITHUB_ACTIONS", "true").output().expect("started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("~ b: 1 row") && !said.contains('→'), "{said}");
    // Files of another kind, which lack that column, are compared by content.
    project.write("x.csv", "c\n1\n");
    let other = ["data", "diff", "x.csv", "x.csv", "--pipeline", "p"];
    project.run(&other).exits(0).says("no difference in 1 rows");
}

#[test]
fn names_of_columns_tell_github_actions_nothing() {
    let project = project(CONTRACT, "");
    project.write("odd.csv", "::error title=x::forged,::add-mask::e,##[warning]x,y\n1,2,3,0\n4,5,6,1\n");
    let profile = ["data", "profile", "--data", "odd.csv"];
    let said = |arguments: &[&str], in_actions: bool| {
        let mut command = project.command(arguments);
        if in_actions {
            command.env("GITHUB_ACTIONS", "true");
        }
        let output = command.output().expect("started");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let is_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
    assert!(said(&profile, false).lines().any(is_command));
    let told = said(&profile, true);
    assert!(told.contains(": :error title=x::forged") && !told.lines().any(is_command), "{told}");
    let json = said(&[&profile[..], &["--output-format", "json"]].concat(), true);
    assert!(!json.lines().any(is_command), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(json.to_string().contains("##[warning]x"), "{json}");
}

#[test]
fn data_are_described_and_kept_before_it_is_said_what_is_predicted() {
    let project = project(CONTRACT, "");
    for target in [false, true] {
        let declared = if target { "target: y, " } else { "" };
        project.write(
            "modelgate.yaml",
            format!("version: 1\nproject: p\npipelines:\n  p:\n    data: {{{declared}source: data.csv}}\n"),
        );
        project.run(&["data", "profile"]).exits(0).says("60 rows × 3 columns");
        project.run(&["data", "snapshot"]).exits(0).says("p: ");
        let infer = ["data", "validate", "--infer", "--overwrite", "--contract", "first.yaml"];
        project.run(&infer).exits(0).says("wrote first.yaml: 3 columns");
    }
    assert!(!project.read("first.yaml").contains("not declared"));
    // Who needs it asks for it.
    project.run(&["data", "split"]).exits(64).says("is missing");
    project.run(&["run"]).exits(64).says("not declared");
}

#[test]
fn profile_split_and_diff_are_shown() {
    let project = project(CONTRACT, "");
    project
        .run(&["data", "profile", "--html", "p.html"])
        .exits(0)
        .says("60 rows × 3 columns")
        .says("+1.000  a · b");
    let page = fs_err::read_to_string(project.path("p.html")).expect("a page");
    assert!(page.contains("<svg") && !page.contains("<script") && page.len() < 50_000, "{}", page.len());
    project.run(&["data", "split"]).exits(0).says("split: exact").says("`a` numbers the rows");
    let text = fs_err::read_to_string(project.path("data.csv")).expect("data");
    project.write("new.csv", text.replace("\n5,10,0\n", "\n5,11,0\n").replace("\n6,12,0\n", "\n"));
    let output = project.run(&["data", "diff", "data.csv", "new.csv", "--key", "a", "--exit-code"]).exits(2);
    output.says("0 added, 1 removed, 1 changed").says("5: 10 → 11");
    project.run(&["data", "diff", "data.csv", "data.csv"]).exits(0).says("no difference in 60 rows");
    // What a model would see as one number is told apart, and what is said of the files is not lost.
    project.write("long.csv", "Unnamed: 0,id\n0,89490000001234567891\n");
    project.write("longer.csv", "Unnamed: 0,id\n0,89490000001234567892\n");
    let output = project.run(&["data", "diff", "long.csv", "longer.csv", "--exit-code"]).exits(2);
    output.says("note: column `Unnamed: 0` is the index of pandas").says("1 added, 1 removed");
}

#[test]
fn five_thousand_columns_are_described_checked_and_written_small() {
    let project = project(CONTRACT, "");
    let names: Vec<String> = (0..5000).map(|column| format!("c{column}")).collect();
    let rows: String = (0..40)
        .map(|row| {
            let values: Vec<String> =
                (0..5000).map(|column| format!("{}.5", (row * 7 + column) % 31)).collect();
            values.join(",") + "\n"
        })
        .collect();
    project.write("wide.csv", format!("{}\n{rows}", names.join(",")));
    let profile = ["data", "profile", "--data", "wide.csv", "--html", "p.html", "--output", "p.json"];
    project
        .run(&profile)
        .exits(0)
        .says("40 rows × 5000 columns")
        .says("the first 60 of 5000 columns of numbers");
    let page = project.read("p.html");
    assert!(page.len() <= 1_000_000 && page.contains("of 5000 columns, to stay small"), "{}", page.len());
    assert_eq!(project.json("p.json")["columns"].as_array().map(Vec::len), Some(5000));
    let contract = ["data", "validate", "--data", "wide.csv", "--contract", "w.yaml"];
    project.run(&[&contract[..], &["--infer"]].concat()).exits(0).says("5000 columns, from 40 rows");
    project.run(&contract).exits(0).says("all hold");
    project.replace(
        "w.yaml",
        "  c4999: {type: float, nullable: false, min: ",
        "  c4999: {type: float, nullable: false, values: [-1], min: ",
    );
    project.run(&contract).exits(2).says("c4999.values").says("c4999 = ");
}

#[test]
fn a_field_of_a_million_letters_is_described_checked_and_shown_short() {
    let project = project(CONTRACT, "");
    let long = "x".repeat(1_000_000);
    project.write("long.csv", format!("a,text\n1,{long}\n2,\"{long}, {long}\"\n3,y\n"));
    let profile = project.run(&["data", "profile", "--data", "long.csv", "--html", "p.html"]).exits(0);
    profile.says("3 rows × 2 columns");
    assert!(
        profile.stdout.len() < 5_000 && project.read("p.html").len() < 50_000,
        "{}",
        profile.stdout.len()
    );
    let contract = ["data", "validate", "--data", "long.csv", "--contract", "l.yaml"];
    let _ = project.run(&[&contract[..], &["--infer"]].concat()).exits(0);
    assert!(project.read("l.yaml").len() < 5_000, "{}", project.read("l.yaml").len());
    project.run(&contract).exits(0).says("all hold");
    project.write(
        "l.yaml",
        "version: 1\ncolumns: {a: {type: int}, text: {type: string, max_length: 1000000}}\n",
    );
    let refused = project.run(&contract).exits(2);
    refused.says("text.max_length").says("line 3 (data row 2): text = x");
    assert!(refused.stdout.len() < 5_000, "{}", refused.stdout.len());
}

#[test]
fn utf_16_without_a_mark_is_named() {
    let project = project(CONTRACT, "");
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = "a,b,y\n1,2,0\n".encode_utf16().flat_map(order).collect();
        project.write("wide.csv", bytes);
        for command in
            [&["data", "profile", "--data", "wide.csv"][..], &["data", "diff", "wide.csv", "data.csv"]]
        {
            project
                .run(command)
                .exits(1)
                .says("wide.csv: line 1: there is a zero byte")
                .says("save it as UTF-8");
        }
    }
}

#[test]
fn a_profile_is_json_for_machines() {
    let project = project(CONTRACT, "");
    let output = project.run(&["--output-format", "json", "data", "profile"]).exits(0);
    let found: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON and nothing else");
    assert_eq!((&found["schema_version"], &found["rows"]), (&1.into(), &60.into()));
    assert_eq!(found["files"], serde_json::json!(["data.csv"]));
    let a = &found["columns"][0];
    assert_eq!(
        (&a["name"], &a["type"], &a["nulls"], &a["distinct"]),
        (&"a".into(), &"int".into(), &0.into(), &60.into())
    );
    let number = &a["number"];
    assert_eq!(
        (number["min"].as_f64(), number["max"].as_f64(), number["mean"].as_f64()),
        (Some(0.0), Some(59.0), Some(29.5))
    );
    let counts = number["histogram"]["counts"].as_array().expect("counts");
    assert_eq!(counts.iter().filter_map(serde_json::Value::as_u64).sum::<u64>(), 60);
    assert_eq!((&found["correlations"][0]["a"], &found["correlations"][0]["b"]), (&"a".into(), &"b".into()));
    // The file that is asked for beside it is the same.
    let _ = project.run(&["data", "profile", "--output", "p.json"]).exits(0);
    assert_eq!(project.json("p.json"), found);
}

#[test]
fn a_pull_request_is_compared_with_main_through_pointer_files() {
    let project = project(CONTRACT, "");
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-C"])
            .arg(project.path("."))
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.expect("git").success(), "{arguments:?}");
    };
    let _ = project.run(&["data", "snapshot"]).exits(0);
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "data/p.modelgate"]);
    git(&["commit", "-q", "-m", "data"]);
    // The store may hold the same file as a hard link, which is read-only; an editor writes a new one.
    let text = project.read("data.csv").replace("\n5,10,0\n", "\n5,11,0\n");
    fs_err::remove_file(project.path("data.csv")).expect("removed");
    project.write("data.csv", text);
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let output =
        project.run(&["data", "diff", "main:data/p.modelgate", "data/p.modelgate", "--key", "a"]).exits(0);
    output.says("0 added, 0 removed, 1 changed").says("5: 10 → 11");
    project.run(&["data", "diff", "main:nothing.csv", "data.csv"]).exits(1).says("nothing.csv");
}

#[test]
fn a_diff_reads_files_as_their_pipeline_says() {
    let project = project(CONTRACT, "      delimiter: ':'\n      types: {a: string, y: category}\n");
    without_contract(&project);
    let rows: String = (0..60).map(|row| format!("0{row}:{}:{}\n", row * 2, row % 3 % 2)).collect();
    project.write("data.csv", format!("a:b:y\n{rows}"));
    project.write("new.csv", format!("a:b:y\n{rows}").replace("\n05:10:", "\n05:11:"));
    let by_key = ["data", "diff", "data.csv", "new.csv", "--key", "a"];
    // The leading zero says that the declared type was taken.
    project.run(&by_key).exits(0).says("0 added, 0 removed, 1 changed").says("05: 10 → 11");
    fs_err::copy(project.path("data.csv"), project.path("old.csv")).expect("copied");
    project.run(&["data", "diff", "old.csv", "new.csv", "--key", "a"]).exits(1).says("there is `a:b:y`");
    let named = ["data", "diff", "old.csv", "new.csv", "--key", "a", "--pipeline", "p"];
    project.run(&named).exits(0).says("1 changed");
    project.run(&["data", "diff", "old.csv", "new.csv", "--pipeline", "q"]).exits(64).says("no pipeline `q`");
}

#[test]
fn folders_are_compared_file_by_file() {
    let project = project(CONTRACT, "");
    for name in ["a", "b", "c"] {
        project.write(&format!("images/{name}.bin"), name);
    }
    let _ = project.run(&["data", "snapshot", "images"]).exits(0);
    project
        .run(&["data", "diff", "data/images.modelgate", "images"])
        .exits(0)
        .says("no difference in 3 files");
    for name in ["a", "b"] {
        fs_err::remove_file(project.path(&format!("images/{name}.bin"))).expect("removed");
    }
    project.write("images/b.bin", "other");
    project.write("images/d.bin", "new");
    let compare = ["data", "diff", "data/images.modelgate", "images", "--exit-code"];
    let output = project.run(&compare).exits(2);
    output.says("files: 3 before, 3 now · 1 added, 1 removed, 1 changed");
    output.says("+ images/d.bin").says("- images/a.bin").says("~ images/b.bin");
    let json =
        project.run(&["--output-format", "json", "data", "diff", "data/images.modelgate", "images"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (&json["added"], &json["changed"]),
        (&serde_json::json!(["images/d.bin"]), &serde_json::json!(["images/b.bin"]))
    );
    project.run(&["data", "diff", "data.csv", "images"]).exits(64).says("one of them is a folder");
    project.run(&["data", "diff", "images", "images", "--key", "a"]).exits(64).says("--key is for rows");
}
