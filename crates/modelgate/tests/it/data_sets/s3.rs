//! Data in S3: push and pull, sources of pipelines, connections that drop.

use std::path::Path;

use modelgate_testing::{CuttingProxy, Output, S3Server, TestProject};

use super::{fresh_clone, images, project};

#[test]
fn a_push_to_s3_goes_by_checksums_and_reads_objects_when_asked() {
    let Some(mut server) = S3Server::start() else { return };
    let project = project();
    // Large enough to be sent in parts.
    let big: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    project.write("data/big.bin", &big);
    let _ = project.run(&["data", "snapshot", "p", "data/big.bin"]).exits(0);
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let bucket = modelgate_store::remote::open("s3://data/p", Path::new("."), &variable).expect("a bucket");
    let key = |name: &str| {
        let pointer = project.read(&format!("data/{name}.modelgate"));
        let hex = pointer.split("sha256:").nth(1).expect("digest")[..64].to_owned();
        format!("sha256/{}/{}", &hex[..2], &hex[2..])
    };
    let push = |more: &[&str]| {
        let push = ["data", "push", "--remote", "s3://data/p"];
        with_s3(&project, &variables, &[&push, more].concat()).exits(0)
    };
    push(&[]).says("2 objects sent");
    let again = push(&[]);
    again.says("0 objects sent").says("2 there already");
    assert!(!again.stdout.contains("by size alone"), "{}", again.stdout);
    for (name, size) in [("p", 12), ("big", big.len())] {
        bucket.put(&key(name), &vec![0; size]).expect("put");
        push(&[]).says("1 object sent").says("other bytes than the name says");
    }
    // The server's own checksum need not know of a byte that was changed behind its back.
    server.flip_first_byte("data", &format!("p/{}", key("big")));
    push(&["--verify"]).says("1 object sent");
    push(&["--verify"]).says("0 objects sent");
    fresh_clone(&project);
    let nowhere = ["data", "pull", "--remote", "s3://nowhere/p"];
    with_s3(&project, &variables, &nowhere).exits(1).says("there is no bucket `nowhere`");
    with_s3(&project, &variables, &["data", "pull", "--remote", "s3://data/p"])
        .exits(0)
        .says("2 files written");
    assert!(fs_err::read(project.path("data/big.bin")).expect("read") == big);
}

#[test]
fn data_in_s3_is_validated_described_and_compared() {
    let Some(server) = S3Server::start() else { return };
    let project = project();
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let bucket = modelgate_store::remote::open("s3://data", Path::new("."), &variable).expect("a bucket");
    bucket.put("a.csv", b"id,x\n1,2\n2,3\n").expect("put");
    bucket.put("b.csv", b"id,x\n1,2\n2,4\n3,5\n").expect("put");
    project.write("c.yaml", "version: 1\ncolumns: {id: {type: int}, x: {type: int, max: 3}}\n");
    let run = |arguments: &[&str]| with_s3(&project, &variables, arguments);
    run(&["data", "profile", "--data", "s3://data/a.csv"]).exits(0).says("2 rows × 2 columns");
    let validate = |key: &str| run(&["data", "validate", "--contract", "c.yaml", "--data", key]);
    validate("s3://data/a.csv").exits(0).says("all hold");
    validate("s3://data/*.csv").exits(2).says("x.max").says("s3://data/b.csv");
    run(&["data", "diff", "s3://data/a.csv", "s3://data/b.csv", "--key", "id"])
        .exits(0)
        .says("1 added, 0 removed, 1 changed")
        .says("2: 3 → 4");
    run(&["data", "profile", "--data", "s3://data/none.csv"]).exits(64).says("there is no such object");
    // A snapshot is of what is in the project; what a pipeline reads from elsewhere does not stop it.
    let config = project.read("modelgate.yaml");
    let other = "  far:\n    task: classification\n    data: {source: \"s3://data/a.csv\", target: x}\n";
    project.write("modelgate.yaml", format!("{config}{other}"));
    project.run(&["data", "snapshot"]).exits(0).says("p: new");
    assert!(!project.path("data/far.modelgate").exists());
    project.run(&["data", "snapshot", "far"]).exits(64).says("is not in the project");
    project.replace("modelgate.yaml", "source: data/raw.csv", "source: \"s3://data/b.csv\"");
    project.run(&["data", "snapshot"]).exits(64).says("no pipeline reads from the project");
}

fn with_s3(project: &TestProject, variables: &[(&str, String)], arguments: &[&str]) -> Output {
    let mut command = project.command(arguments);
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(name);
    }
    let output =
        command.envs(variables.iter().map(|(name, value)| (*name, value))).output().expect("started");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn data_goes_to_s3_and_comes_back_over_a_connection_that_drops() {
    let Some(mut server) = S3Server::start() else { return };
    let project = project();
    images(&project, 120);
    let big: Vec<u8> = (0..30_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    project.write("data/big.bin", &big);
    let _ = project.run(&["data", "snapshot", "p", "data/images", "data/big.bin"]).exits(0);
    let remote = ["--remote", "s3://data/team/p"];
    let proxy = CuttingProxy::start(&server.endpoint, 5_000_000, 2);
    let cut = server.variables(Some(&proxy.endpoint));
    let push = with_s3(&project, &cut, &[&["data", "push"], &remote[..]].concat()).exits(0);
    push.says("123 objects sent to s3://data/team/p");
    assert_eq!(proxy.cuts(), 2);
    with_s3(&project, &cut, &[&["data", "push"], &remote[..]].concat()).exits(0).says("0 objects sent");
    fresh_clone(&project);
    proxy.cut_next(3);
    with_s3(&project, &cut, &[&["data", "pull"], &remote[..]].concat()).exits(0).says("122 files written");
    assert_eq!(proxy.cuts(), 5);
    assert!(fs_err::read(project.path("data/big.bin")).expect("read") == big);
    // Every connection is cut; each has brought some more.
    fresh_clone(&project);
    proxy.cut_next(i64::MAX);
    with_s3(&project, &cut, &[&["data", "pull", "big"], &remote[..]].concat())
        .exits(0)
        .says("1 file written");
    // Other bytes under the right name.
    let plain = server.variables(None);
    let hex = project.read("data/p.modelgate").split("sha256:").nth(1).expect("digest")[..64].to_owned();
    server.flip_first_byte("data", &format!("team/p/sha256/{}/{}", &hex[..2], &hex[2..]));
    fresh_clone(&project);
    let pull = with_s3(&project, &plain, &[&["data", "pull", "p"], &remote[..]].concat()).exits(1);
    pull.says("has other bytes than its name says");
    assert!(!project.path("data/raw.csv").exists());
    let nowhere = ["data", "push", "big", "--remote", "s3://nowhere/x"];
    let _ = with_s3(&project, &plain, &["data", "pull", "big", "--remote", "s3://data/team/p"]).exits(0);
    with_s3(&project, &plain, &nowhere).exits(1).says("there is no bucket `nowhere`");
    let mut nobody = plain.clone();
    nobody.retain(|(name, _)| !name.ends_with("_ID"));
    nobody.push(("HOME", project.path("nobody").display().to_string()));
    nobody.push(("AWS_ACCESS_KEY_ID", String::new()));
    with_s3(&project, &nobody, &nowhere).exits(1).says("there are no credentials for `s3://nowhere/x`");
}

#[test]
fn wrong_credentials_are_named() {
    let Some(server) = S3Server::start_strict() else { return };
    let project = project();
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let push = ["data", "push", "--remote", "s3://data/p"];
    with_s3(&project, &server.variables(None), &push).exits(0).says("1 object sent");
    let mut wrong = server.variables(None);
    wrong.push(("AWS_SECRET_ACCESS_KEY", "not-the-secret".to_owned()));
    let output = with_s3(&project, &wrong, &push).exits(1);
    output.says("`s3://data/p` does not accept the credentials");
    assert!(!output.stderr.contains("not-the-secret"), "{}", output.stderr);
}

#[test]
fn a_pipeline_reads_its_source_from_s3() {
    let Some(server) = S3Server::start() else { return };
    let project = TestProject::example(env!("CARGO_BIN_EXE_modelgate"), "iris", None);
    let variables = server.variables(None);
    let push = ["data", "push", "--remote", "s3://data/sets"];
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let _ = with_s3(&project, &variables, &push).exits(0);
    let hex = project.read("data/iris.modelgate").split("sha256:").nth(1).expect("digest")[..64].to_owned();
    let source = format!("s3://data/sets/sha256/{}/{}", &hex[..2], &hex[2..]);
    let config = project.read("modelgate.yaml").replace("data/raw/iris.csv", &source);
    assert!(config.contains(&source), "{config}");
    project.write("modelgate.yaml", config);
    let run = ["run", "--until", "split"];
    with_s3(&project, &variables, &run).exits(0).says(&hex[..12]);
    with_s3(&project, &variables, &run).exits(0).says("nothing changed");
    project.replace("modelgate.yaml", &source, "s3://data/none.csv");
    with_s3(&project, &variables, &run).exits(64).says("`s3://data/none.csv`: there is no such object");
}

#[test]
fn a_pipeline_reads_all_that_a_glob_finds_in_s3() {
    let Some(server) = S3Server::start() else { return };
    let project = TestProject::example(env!("CARGO_BIN_EXE_modelgate"), "iris", None);
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let bucket =
        modelgate_store::remote::open("s3://data", std::path::Path::new("."), &variable).expect("a bucket");
    let table = project.read("data/raw/iris.csv");
    let (header, rows) = table.split_once('\n').expect("a header");
    let rows: Vec<&str> = rows.lines().collect();
    let part = |rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
    for (key, rows) in
        [("parts/a.csv", &rows[..50]), ("parts/b.csv", &rows[50..]), ("parts/deeper/c.csv", &rows[..9])]
    {
        bucket.put(key, part(rows).as_bytes()).expect("put");
    }
    bucket.put("parts/readme.txt", b"not data").expect("put");
    project.replace("modelgate.yaml", "data/raw/iris.csv", "s3://data/parts/*.csv");
    let run = ["run", "--until", "split"];
    with_s3(&project, &variables, &run).exits(0).says("150 rows");
    with_s3(&project, &variables, &run).exits(0).says("nothing changed");
    // Another object, or another state of one, is other data.
    bucket.put("parts/b.csv", part(&rows[50..149]).as_bytes()).expect("put");
    with_s3(&project, &variables, &run).exits(0).says("149 rows");
    project.replace("modelgate.yaml", "s3://data/parts/*.csv", "s3://data/parts/*.parquet");
    with_s3(&project, &variables, &run).exits(64).says("no object has such a name");
}
