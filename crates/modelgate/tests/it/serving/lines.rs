//! The line that each prediction leaves.

use serde_json::{Value, json};

use super::{project, row, service};

#[test]
fn every_prediction_leaves_a_line() {
    let project = project();
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", format!("{config}serve: {{redact: [income]}}\n"));
    let served = service(&project, &["--log", "logs/predictions.jsonl"]);
    assert!(!served.talk().contains("serve.redact"), "{}", served.talk());
    let other = json!({ "age": 19, "income": null, "region": "north", "member": false });
    let body = json!({ "features": [row(), other] }).to_string();
    let answer = served
        .request("POST", "/predict/shop", &[("x-correlation-id", "mine")], Some(body.as_bytes()))
        .is(200)
        .json();
    let _ = served.post("/predict/shop", &json!({ "features": {} })).is(422);
    served.until(|service| service.get("/metrics").text.contains("modelgate_prediction_log_written_total 2"));
    let text = project.read("logs/predictions.jsonl");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        lines[0]["features"],
        json!({ "age": 40, "income": "[redacted]", "region": "south", "member": 1 })
    );
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(
            (&line["row"], &line["correlation_id"], &line["version"]),
            (&json!(at), &json!("mine"), &json!("v001"))
        );
        assert_eq!(
            (&line["prediction"], &line["probabilities"]),
            (&answer["predictions"][at], &answer["probabilities"][at])
        );
        assert_eq!(line["digest"], answer["digest"]);
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }
    drop(served);

    let rotating =
        service(&project, &["--log", "logs/small.jsonl", "--log-max-bytes", "4096", "--log-keep", "2"]);
    for _ in 0..60 {
        let _ = rotating.post("/predict/shop", &row()).is(200);
    }
    rotating
        .until(|service| service.get("/metrics").text.contains("modelgate_prediction_log_written_total 60"));
    for name in ["small.jsonl", "small.jsonl.1", "small.jsonl.2"] {
        let text = project.read(&format!("logs/{name}"));
        assert!(
            text.len() <= 4096 && text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "{name}: {text}"
        );
    }
    assert!(!project.path("logs/small.jsonl.3").exists());
    drop(rotating);

    // A slip of the pen would write what is private without a word.
    project.replace("modelgate.yaml", "redact: [income]", "redact: [incom]");
    let none = service(&project, &["--log", "logs/none.jsonl", "--log-sample", "0"]);
    none.until(|service| service.talk().contains("`serve.redact` names `incom`"));
    let _ = none.post("/predict/shop", &row()).is(200);
    assert!(none.get("/metrics").text.contains("modelgate_prediction_log_written_total 0"));
    assert_eq!(project.read("logs/none.jsonl"), "");
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_that_cannot_be_written_costs_lines_and_no_answers() {
    let project = project();
    let service = service(&project, &["--log", "/dev/full"]);
    for _ in 0..20 {
        let _ = service.post("/predict/shop", &row()).is(200);
    }
    service
        .until(|service| !service.get("/metrics").text.contains("modelgate_prediction_log_dropped_total 0"));
    let talk = service.talk();
    assert_eq!(talk.matches("predictions cannot be logged").count(), 1, "{talk}");
}
