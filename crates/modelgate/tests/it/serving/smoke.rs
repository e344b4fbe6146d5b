//! `modelgate serve smoke`.

use modelgate_testing::Service;
use serde_json::{Value, json};

use super::{project, serve, service};

#[test]
fn a_file_of_rows_is_whatever_training_reads() {
    let table = |yes: &str, no: &str, null: &str| {
        let mut text = "member,age,paid\n".to_owned();
        for row in 0..200 {
            let (member, paid) = (row % 2 == 0, row % 4 < 2);
            let age = if row % 9 == 0 {
                null.to_owned()
            } else {
                (20 + row % 40 + 30 * usize::from(paid)).to_string()
            };
            let word = |value: bool| if value { yes } else { no };
            text.push_str(&format!("{},{age},{}\n", word(member), word(paid)));
        }
        text
    };
    let config = super::CONFIG.replace("target: label", "target: paid");
    let project = modelgate_testing::TestProject::with(crate::BINARY, &table("True", "False", "NA"), &config);
    let _ = project.run(&["run"]).exits(0);
    let service = service(&project, &[]);
    let lines = table("TRUE", "FALSE", "").replace(',', ";");
    project.write("semicolons.csv", lines);
    project.write("packed.csv", table("true", "false", "nan"));
    let packed = std::process::Command::new("gzip").arg(project.path("packed.csv")).status();
    assert!(packed.is_ok_and(|status| status.success()), "gzip");
    for file in ["data.csv", "semicolons.csv", "packed.csv.gz"] {
        let seen = project.run(&["serve", "smoke", &service.url, "--rows", file, "--output", "seen.json"]);
        seen.exits(0).says("(200 rows sent)");
        let figures = project.json("seen.json")["report"]["figures"].clone();
        assert_eq!(figures["refused_rate"], 0.0, "{file}: {figures}");
        assert!(figures["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.8), "{file}: {figures}");
    }
    for (text, member) in [("TRUE", 1), ("False", 0)] {
        let body = format!("member,age\n{text},NA\n");
        let headers = [("content-type", "text/csv")];
        let answer = service.request("POST", "/invocations", &headers, Some(body.as_bytes())).is(200).json();
        let same = json!({ "dataframe_records": [{ "member": member, "age": null }] });
        assert_eq!(answer, service.post("/invocations", &same).is(200).json(), "{text}");
    }
}

#[test]
fn a_smoke_test_judges_what_it_sees() {
    let project = project();
    let service = service(&project, &[]);
    let seen = project.run(&["serve", "smoke", &service.url]).exits(0);
    seen.says("shop v001 (verified)").says("accuracy").says("passed: all 3 rules");
    let rows = project
        .run(&["serve", "smoke", &service.url, "--rows", "data.csv", "--output", "smoke.json"])
        .exits(0);
    rows.says("(300 rows sent)").says("passed: all 4 rules");
    let report = project.json("smoke.json");
    assert_eq!(report["verdict"]["verdict"], "passed");
    assert!(
        report["report"]["figures"]["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.9),
        "{report}"
    );
    // Of rows without an answer nothing is known, and what the gate measured was on others.
    let without: Vec<String> = project
        .read("data.csv")
        .lines()
        .map(|line| line.rsplit_once(',').expect("columns").0.to_owned() + "\n")
        .collect();
    project.write("unknown.csv", without.concat());
    let rule = ["--rows", "unknown.csv", "--rule", "accuracy >= 0.1"];
    let unknown = project.run(&[&["serve", "smoke", &service.url][..], &rule].concat()).exits(3);
    unknown.says("accuracy is not measured: no row has a `label` to compare with").says("inconclusive");
    project.run(&["serve", "smoke", &service.url, "--rule", "p95_ms <= 0"]).exits(2).says("on window");
    // What is not measured is said before anything is asked, and with what is.
    let unknown = project.run(&["serve", "smoke", "http://127.0.0.1:1", "--rule", "auc >= 0.5"]).exits(64);
    unknown.says("`auc` is not measured there").says("refused_rate, p50_ms");
    project.run(&["serve", "smoke", "ftp://x"]).exits(64).says("http://127.0.0.1:8080");
    project.run(&["serve", "smoke", "127.0.0.1:8080", "--ready"]).exits(64).says("expected the address");
    project.run(&["serve", "smoke", &service.url, "--rule", "nonsense"]).exits(64).says("--rule");
    project.write("other.csv", "a,b\n1,2\n");
    project.run(&["serve", "smoke", &service.url, "--rows", "other.csv"]).exits(1).says("no column `age`");
    project.run(&["serve", "smoke", "http://127.0.0.1:1", "--timeout", "0"]).exits(1).says("is not ready");
}

#[test]
fn a_smoke_test_without_a_prediction_fails_whatever_the_rules_are() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("MODELGATE_API_KEYS", "sesame");
    let closed = Service::ready(command);
    for rules in [&[][..], &["--rule", "error_rate <= 0.01"], &["--rule", "refused_rate <= 1"]] {
        let seen = project.run(&[&["serve", "smoke", &closed.url, "--output", "smoke.json"], rules].concat());
        seen.exits(2).says("failed: no request was answered with a prediction: /predict/shop answered 401");
        let report = project.json("smoke.json");
        assert_eq!(
            (&report["verdict"]["verdict"], &report["report"]["answered"]),
            (&json!("failed"), &json!(0)),
            "{report}"
        );
        // What the gate measured says nothing of a service that does not predict.
        assert_eq!(report["report"]["figures"]["accuracy"], Value::Null, "{report}");
    }
    let smoke = |key: &str| {
        let mut command = project.command(&["serve", "smoke", &closed.url]);
        let output = command.env("MODELGATE_API_KEY", key).output().expect("ended");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = smoke("wrong");
    assert!(code == Some(2) && said.contains("MODELGATE_API_KEY") && !said.contains("sesame"), "{said}");
    let (code, said) = smoke("sesame");
    assert!(code == Some(0) && said.contains("passed: all 3 rules"), "{said}");
}

#[test]
fn rows_that_the_service_refuses_fail_a_smoke_test() {
    let project = project();
    let service = service(&project, &[]);
    let header = "age,income,region,member,label\n";
    // A category that training did not see.
    project.write("none.csv", format!("{header}40,2500,west,true,yes\n41,2500,west,true,yes\n"));
    let seen = project.run(&["serve", "smoke", &service.url, "--rows", "none.csv"]).exits(2);
    seen.says("/predict/shop answered 422: row 0: feature `region`: training did not see this category");
    // One row of fifty, or more than one in a hundred.
    let good = "40,2500,south,true,no\n".repeat(49);
    project.write("some.csv", format!("{header}{good}40,2500,west,true,yes\n"));
    let seen = project.run(&["serve", "smoke", &service.url, "--rows", "some.csv", "--requests", "50"]);
    let seen = seen.exits(2);
    seen.says("refused_rate").says("not answered: /predict/shop answered 422").says("failed: 1 of 4 rules");
    // What is not answered is not right.
    seen.says("0.9800  (49 of 50 rows sent were answered, the others count as wrong)");
}

#[test]
fn a_limit_of_the_gate_is_not_replaced_by_one_of_the_smoke_test() {
    // Nothing can be learnt from these: half of the answers are right.
    let mut table = "age,label\n".to_owned();
    let mut state = 7_u64;
    for _ in 0..400 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        table.push_str(&format!("{},{}\n", state >> 40, (state >> 33) & 1));
    }
    let config = super::CONFIG.replace("at_least: 0.5", "at_least: 0.2");
    let project = modelgate_testing::TestProject::with(crate::BINARY, &table, &config);
    let _ = project.run(&["run"]).exits(0);
    let service = service(&project, &[]);
    let seen = project.run(&["serve", "smoke", &service.url, "--output", "seen.json"]).exits(0);
    seen.says("(the gate, as the service tells it)").says("passed: all 3 rules");
    let accuracy = project.json("seen.json")["report"]["figures"]["accuracy"].clone();
    assert!(accuracy.as_f64().is_some_and(|accuracy| accuracy < 0.7), "{accuracy}");
    // A rule that somebody wrote is about it all the same.
    let asked = project.run(&["serve", "smoke", &service.url, "--rule", "accuracy >= 0.7"]).exits(2);
    asked.says("accuracy on window");
}
