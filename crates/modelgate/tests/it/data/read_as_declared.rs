//! Data read as a pipeline declares them, wherever they lie, and what is no data.

use super::*;

#[test]
fn the_index_of_pandas_is_there_for_who_names_it() {
    // Made by pandas 3.1.1: rows of a frame that a filter left, `to_parquet` with Zstandard.
    let data = include_bytes!("indexed.parquet");
    let project = TestProject::new(BINARY);
    project.write("d.parquet", data);
    let with = |data: &str, pipeline: &str| {
        project.write(
            "modelgate.yaml",
            format!(
                "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    \
                 data: {{source: d.parquet, target: y{data}}}\n    train: {{algorithm: decision_tree}}\n{pipeline}    \
                 gate: {{rules: [{{id: any, metric: accuracy, at_least: 0.001}}]}}\n    promotion: {{approval: automatic}}\n"
            ),
        );
    };
    let index = "__index_level_0__";
    with(&format!(", split: {{kind: group, column: {index}}}"), "");
    project.run(&["data", "split"]).exits(0).says("split: group");
    with(&format!(", weight: {index}"), "");
    let _ = project.run(&["config", "check"]).exits(0);
    with(&format!(", key: {index}, contract: c.yaml"), "");
    project.write(
        "c.yaml",
        format!("version: 1\nextra_columns: allow\ncolumns: {{{index}: {{type: int, min: 2}}}}\n"),
    );
    project.run(&["run", "--until", "contract"]).exits(2).says(&format!("{index}.min"));
    project.run(&["data", "diff", "d.parquet", "d.parquet", "--key", index]).exits(0).says("no difference");
    // Dropped, it is no feature, and a slice may go by it.
    with("", &format!("    preprocess: {{drop: [{index}]}}\n    evaluate: {{slices: [{index}]}}\n"));
    project.run(&["run"]).exits(0).says("2 numeric and 0 text columns");
}

#[test]
fn a_new_delivery_is_read_as_the_pipeline_says() {
    let project = project(
        "version: 1\ncolumns: {a: {type: int, max: 59}, b: {type: float}, y: {type: int}}\n",
        "      nulls: ['?']\n",
    );
    project.write("new.csv", "a,b,y\n1,?,0\n?,2,1\n");
    let contract = ["--contract", "contracts/c.yaml"];
    let validate = ["data", "validate", "--data", "new.csv"];
    // Of the pipeline that is named, and of the one whose contract it is.
    project.run(&["data", "validate", "p", "--data", "new.csv"]).exits(0).says("on 2 rows, all hold");
    project.run(&[&validate[..], &contract].concat()).exits(0).says("all hold");
    fs_err::copy(project.path("contracts/c.yaml"), project.path("mine.yaml")).expect("copied");
    project.run(&[&validate[..], &["--contract", "mine.yaml"]].concat()).exits(2).says("a.type");
    project.run(&["data", "profile", "p", "--data", "new.csv"]).exits(0).says("2 rows × 3 columns");
    project.run(&["data", "validate", "q", "--data", "new.csv"]).exits(64).says("`q`");
}

#[test]
fn a_pointer_of_git_lfs_is_no_data() {
    let project = project(CONTRACT, "");
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{:064}\nsize 119913\n", 1);
    project.write("data.csv", &pointer);
    for (arguments, code) in [
        (&["data", "profile"][..], 1),
        (&["data", "validate"], 1),
        (&["data", "validate", "--infer", "--contract", "first.yaml"], 1),
        (&["data", "split"], 1),
        (&["data", "snapshot"], 1),
        (&["data", "diff", "data.csv", "data.csv"], 1),
        (&["config", "check"], 1),
        (&["run"], 1),
    ] {
        project
            .run(arguments)
            .exits(code)
            .says("it is a pointer of Git LFS and not the data; run `git lfs pull`");
    }
    assert!(!project.path("first.yaml").exists() && !project.path("data/p.modelgate").exists());
    let objects = project.path(".modelgate/objects");
    let kept = fs_err::read_dir(&objects).map(Iterator::count).unwrap_or_default();
    assert_eq!(kept, 0, "nothing is kept");
}
