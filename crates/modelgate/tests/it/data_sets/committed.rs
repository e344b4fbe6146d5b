//! The files of a source held against the pointer file that git versions.

use modelgate_testing::TestProject;

use super::{fresh_clone, remote, settle};

/// Forty rows that no other number of `file` has.
fn rows(file: u32) -> String {
    let rows =
        (0..40).map(|row| format!("{file}.{row},{},{}\n", row % 7, if row % 2 == 0 { "a" } else { "b" }));
    std::iter::once("x,z,y\n".to_owned()).chain(rows).collect()
}

/// Two files of a glob, committed as one data set and pushed.
fn project() -> TestProject {
    let config = "version: 1\nproject: p\ndata: {remote: REMOTE}\npipelines:\n  p:\n    task: classification\n    \
                  data: {source: data/*.csv, target: y}\n";
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    project.write("modelgate.yaml", config.replace("REMOTE", &remote(&project)));
    project.write("data/p1.csv", rows(1));
    project.write("data/p2.csv", rows(2));
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let _ = project.run(&["data", "push"]).exits(0);
    project
}

const DIFFERS: &str = "the data are not what `data/p.modelgate` names";

#[test]
fn a_file_that_the_pointer_does_not_name_is_told_of_everywhere() {
    let project = project();
    for command in [&["run", "--until", "split"][..], &["status"], &["data", "split"], &["doctor"]] {
        project.run(command).does_not_say(DIFFERS);
    }
    // Another branch's file, in the store since its own run.
    project.write("data/p3.csv", rows(3));
    let said = "1 file more (`data/p3.csv`); `modelgate data pull p --prune` brings the committed ones, \
                `modelgate data snapshot p` takes these";
    let _ = project.run(&["run", "--until", "split"]).exits(0).says(DIFFERS).says(said);
    let report = project.json("outputs/p/run_report.json");
    let warnings = report["stages"][0]["warnings"].to_string();
    assert!(warnings.contains("data/p3.csv"), "{warnings}");
    // A run that does nothing tells all the same.
    let _ = project.run(&["run", "--until", "split"]).exits(0).says("nothing changed").says(said);
    for command in [&["status"][..], &["data", "split"], &["doctor"]] {
        project.run(command).says(DIFFERS).says(said);
    }
    let _ = project.run(&["data", "validate", "--infer"]).exits(0).says(said);
    project.run(&["data", "pull"]).exits(0).says("0 files written, 2 unchanged").says("data/p3.csv");
    assert!(project.path("data/p3.csv").exists());
    project.write("data/p4.csv", rows(4));
    let pruned = project.run(&["data", "pull", "--prune"]).exits(0);
    pruned.says("1 removed: data/p3.csv").says("1 file below the sources is in no pointer file: data/p4.csv");
    assert!(!project.path("data/p3.csv").exists() && project.path("data/p4.csv").exists());
    fs_err::remove_file(project.path("data/p4.csv")).expect("removed");
    project.run(&["run", "--until", "split"]).exits(0).does_not_say(DIFFERS);
    // What is taken up is what git versions from then on.
    project.write("data/p3.csv", rows(3));
    let _ = project.run(&["data", "snapshot", "p"]).exits(0);
    project.run(&["run", "--until", "split"]).exits(0).does_not_say(DIFFERS);
}

#[test]
fn a_missing_and_a_changed_file_of_a_glob_are_told_of() {
    let project = project();
    settle();
    // As long as before, so that only the content tells.
    project.write("data/p1.csv", rows(9));
    fs_err::remove_file(project.path("data/p2.csv")).expect("removed");
    let said = "1 file missing (`data/p2.csv`), 1 file other (`data/p1.csv`); `modelgate data pull p` brings";
    for command in [&["run", "--until", "split"][..], &["status"], &["data", "split"], &["doctor"]] {
        project.run(command).says(DIFFERS).says(said);
    }
    let status = project.run(&["status", "--output-format", "json"]).exits(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert!(status["pipelines"][0]["data_warning"].to_string().contains("data/p2.csv"), "{status}");
    project.run(&["data", "pull", "--force"]).exits(0).says("2 files written");
    project.run(&["run", "--until", "split"]).exits(0).does_not_say(DIFFERS);
}

#[test]
fn a_glob_of_which_no_file_is_here_is_pulled() {
    let project = project();
    fresh_clone(&project);
    let said =
        "`data/*.csv`: no file has such a name; it is the data set `p`: `modelgate data pull p` brings it";
    project.run(&["run"]).exits(64).says(said);
    project.run(&["status"]).exits(0).says(said);
    project.run(&["data", "pull", "p"]).exits(0).says("2 files written");
    project.run(&["run", "--until", "split"]).exits(0).does_not_say(DIFFERS);
}

#[test]
fn many_files_are_compared_though_their_list_is_not_here() {
    let project = project();
    for file in 0..120 {
        project.write(&format!("data/many/{file}.csv"), "x,z,y\n1,2,a\n3,4,b\n");
    }
    let config = project.read("modelgate.yaml").replace("data/*.csv", "data/many/*.csv");
    project.write("modelgate.yaml", config);
    let _ = project.run(&["data", "snapshot", "--name", "many", "data/many/*.csv"]).exits(0);
    let forget = || fs_err::remove_dir_all(project.path(".modelgate")).expect("removed");
    let names = "the data are not what `data/many.modelgate` names";
    forget();
    project.run(&["run", "--until", "snapshot"]).exits(0).does_not_say(names);
    // Of other bytes, but as many, only the contents tell.
    project.write("data/many/7.csv", "x,z,y\n1,2,a\n3,5,b\n");
    forget();
    let run = project.run(&["run", "--until", "snapshot"]).exits(0);
    run.says(&format!("{names}: as many files and bytes, and other contents among them"));
    run.says("`modelgate data snapshot --name many 'data/many/*.csv'` takes these");
    fs_err::remove_file(project.path("data/many/7.csv")).expect("removed");
    forget();
    project.run(&["status"]).exits(0).says("119 files of 2142 bytes are here, and it names 120 of 2160");
    // A pointer file that cannot be read stops nobody, and is told.
    project.write("data/many.modelgate", "<<<<<<< HEAD\n");
    let _ = project
        .run(&["run", "--until", "snapshot"])
        .exits(0)
        .says("cannot be held against their pointer file");
}

#[test]
fn what_git_is_to_ignore_and_to_keep_is_said() {
    let project = project();
    let git =
        std::process::Command::new("git").arg("-C").arg(project.path(".")).args(["init", "-q"]).status();
    assert!(git.expect("git").success());
    let snapshot = project.run(&["data", "snapshot"]).exits(0);
    snapshot.says("put `/data/*.csv` into .gitignore, and commit data/p.modelgate in their place");
    project.run(&["data", "pull"]).exits(0).says("put `/data/*.csv` into .gitignore");
    project.write(".gitignore", "/data/*.csv\n");
    project.run(&["data", "snapshot"]).exits(0).does_not_say("gitignore");
    project.write(".gitignore", "data/\n");
    let snapshot = project.run(&["data", "snapshot"]).exits(0);
    snapshot.says("git ignores data/p.modelgate, which is to be committed");
}

#[test]
fn a_source_is_read_as_the_pointer_of_its_own_pipeline_names_it() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    let config = |pipeline: &str| {
        let remote = remote(&project);
        format!(
            "version: 1\nproject: p\ndata: {{remote: {remote}}}\npipelines:\n  {pipeline}:\n    task: classification\n    \
             data: {{source: data/raw.csv, target: y}}\n"
        )
    };
    let kept = |pipeline: &str, file: u32| {
        project.write("modelgate.yaml", config(pipeline));
        project.write("data/raw.csv", rows(file));
        let taken = project.run(&["data", "snapshot"]).exits(0);
        let _ = project.run(&["data", "push"]).exits(0);
        taken
    };
    kept("a", 1).does_not_say("of no pipeline");
    // The pipeline gets another name, and other data; what is left of the first is told of.
    let left = "`data/a.modelgate` is of no pipeline, and `data/b.modelgate` is of the same source: remove the first one";
    kept("b", 2).says(left);
    fs_err::remove_file(project.path("data/raw.csv")).expect("removed");
    let digest = modelgate_core::Digest::of(rows(2).as_bytes()).hex();
    project.run(&["run", "--until", "snapshot"]).exits(0).says(&digest[..12]).does_not_say("are not what");
    // Neither is of a third name.
    project.write("modelgate.yaml", config("c"));
    project
        .run(&["run", "--until", "snapshot"])
        .exits(64)
        .says("`a` and `b` have it with different contents");
    project.run(&["data", "pull"]).exits(64).says("the data sets `a` and `b` have `data/raw.csv`");
    project.write("modelgate.yaml", config("b"));
    fresh_clone(&project);
    project.run(&["run", "--until", "snapshot"]).exits(64).says("`modelgate data pull b` brings it");
    project.run(&["data", "pull"]).exits(0).says(left).says("1 file written");
    assert_eq!(project.read("data/raw.csv"), rows(2));
    project.run(&["doctor"]).says(left);
}

#[test]
fn a_source_beside_the_project_is_left_where_it_is_versioned() {
    let project = project();
    let beside = "{source: ../shared.csv, target: y}";
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", format!("{config}  q:\n    task: classification\n    data: {beside}\n"));
    let said = "pipeline `q`: no snapshot is taken of `../shared.csv`";
    project.run(&["data", "snapshot"]).exits(0).says(said).says("p: ");
    project.run(&["data", "snapshot", "q"]).exits(64).says(said);
    project.write("modelgate.yaml", config.replace("{source: data/*.csv, target: y}", beside));
    project
        .run(&["data", "snapshot"])
        .exits(64)
        .says("there is nothing to take a snapshot of")
        .says("../shared.csv");
}
