//! Starts that cannot be: what is wrong, and what to do.

use modelgate_testing::Service;

use super::{project, serve, service};

#[test]
fn wrong_starts_say_what_to_do() {
    let project = project();
    let running = service(&project, &[]);
    let port = running.url.rsplit(':').next().expect("a port").to_owned();
    project.run(&["serve", "--port", &port]).exits(1).says("cannot listen on").says("--port");
    project.run(&["serve", "--max-batch", "0"]).exits(64).says("1..=10000");
    project.run(&["serve", "--refresh", "3601"]).exits(64).says("0..=3600");
    project.run(&["serve", "--log-sample", "2"]).exits(64).says("0 to 1");
    project.run(&["serve", "--model", "Not A Name"]).exits(64).says("--model");
    project.run(&["serve", "--source", "local"]).exits(64).says("MODEL_PATH");
    project.run(&["serve", "--tls-certificate", "a.pem"]).exits(64).says("--tls-key");
    project.run(&["serve", "--cors-origin", "foo"]).exits(64).says("is no origin");
    let output = project.command(&["serve"]).env("MODELGATE_API_KEYS", ",").output().expect("ended");
    assert_eq!(output.status.code(), Some(64), "an open service, where keys were meant");
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds no key"));
    for name in ["ADMIN_API_TOKEN", "MLFLOW_TRACKING_TOKEN", "MODELGATE_LOKI_PASSWORD"] {
        let arguments = ["serve", "--port", "0", "--log", "loki:http://127.0.0.1:1", "--source", "mlflow"];
        let mut command = project.command(&arguments);
        command.env("MLFLOW_TRACKING_URI", "http://127.0.0.1:1").env(name, " \n");
        let output = command.output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{name}: {talk}");
        assert!(talk.contains(&format!("{name} is set and holds nothing")), "{talk}");
    }
    let output = project.command(&["serve"]).env("MODEL_VERSION", "3").output().expect("ended");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("NAME@VERSION"));
    let output = project.command(&["serve"]).env("MAX_BATCH_SIZE", "many").output().expect("ended");
    assert_eq!(output.status.code(), Some(64));
    project.write("empty/readme", "");
    project
        .run(&["serve", "--port", "0", "--package", "empty", "--require-model", "--startup-timeout", "1"])
        .exits(1)
        .says("there is no package in");
    let quiet =
        ["-q", "serve", "--port", "0", "--package", "empty", "--require-model", "--startup-timeout", "1"];
    let quiet = project.run(&quiet).exits(1);
    assert!(
        quiet.stderr.lines().all(|line| line.starts_with("error: no model is served")),
        "{}",
        quiet.stderr
    );
}

#[test]
fn a_pickle_is_refused_at_the_start_with_the_way_out() {
    let project = project();
    project.write("kept/model.pkl", "cos\nsystem\n");
    for flag in ["--package", "--fallback"] {
        let file = project.run(&["serve", "--port", "0", flag, "kept/model.pkl"]).exits(64);
        file.says(flag).says("pickled models are never loaded").says("docs/migrate.md");
    }
    project.run(&["serve", "--port", "0", "--package", "data.csv"]).exits(64).says("is a file");
    let folder = ["serve", "--port", "0", "--package", "kept", "--require-model", "--startup-timeout", "1"];
    project.run(&folder).exits(1).says("model.pkl` is no package").says("docs/migrate.md");
}

#[test]
fn a_value_of_a_variable_is_not_blamed_on_a_flag_that_nobody_typed() {
    let project = modelgate_testing::TestProject::with(crate::BINARY, "", "");
    let said = |arguments: &[&str]| {
        let output = project.command(arguments).env("MAX_BATCH_SIZE", "0").output().expect("ended");
        assert_eq!(output.status.code(), Some(64));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let own = said(&["serve"]);
    assert!(own.contains("'--max-batch <ROWS> (from MAX_BATCH_SIZE)'"), "{own}");
    let typed = said(&["serve", "--max-batch", "0"]);
    assert!(typed.contains("'--max-batch <ROWS>'") && !typed.contains("(from"), "{typed}");
}

#[test]
fn a_token_is_what_stands_before_the_end_of_line() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("ADMIN_API_TOKEN", "right\n");
    let _ = super::reload(&Service::ready(command)).is(200);
}
