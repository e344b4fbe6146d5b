//! The prediction log in its other forms: Parquet files, and lines pushed to Loki.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use modelgate_data::{Dataset, Mixed, ReadOptions, SourceFile, read_table};
use modelgate_testing::{Service, TestProject};
use serde_json::{Value, json};

use super::{project, row, serve, service};

/// Counts lines of `/metrics`.
fn metric(service: &Service, name: &str) -> u64 {
    let text = service.get("/metrics").text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn files(project: &TestProject, folder: &str) -> Vec<std::path::PathBuf> {
    let entries = fs_err::read_dir(project.path(folder)).map(|entries| entries.flatten().collect::<Vec<_>>());
    let mut files: Vec<_> = entries.unwrap_or_default().iter().map(fs_err::DirEntry::path).collect();
    files.sort();
    files
}

#[test]
fn predictions_go_into_parquet_files_that_can_be_read_back() {
    let project = project();
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", format!("{config}serve: {{redact: [region]}}\n"));
    let arguments = ["--log", "parquet:logs", "--log-rows", "4", "--log-seconds", "3600"];
    let served = service(&project, &arguments);
    let other = json!({ "age": 19, "income": null, "region": "north", "member": false });
    let answer = served.post("/predict/shop", &json!({ "features": [row(), other] })).is(200).json();
    let _ = served.post("/predict/shop", &json!({ "features": {} })).is(422);
    // Fewer rows than a file has: nothing is there yet, not even a part.
    assert!(files(&project, "logs/shop").is_empty());
    let _ = served.post("/predict/shop", &json!({ "features": [row(), row(), row()] })).is(200);
    served.until(|service| metric(service, "modelgate_prediction_log_written_total") == 5);
    let _ = served.post("/predict/shop", &row()).is(200);
    // What is left is written at the end.
    assert_eq!(served.end("TERM"), 0);
    let found = files(&project, "logs/shop");
    assert_eq!(found.len(), 2, "{found:?}");
    let names: Vec<_> =
        found.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
    assert!(names.iter().all(|name| name.ends_with(".parquet") && name.contains("-v001-")), "{names:?}");

    let read = |path: &std::path::Path| {
        let source = SourceFile::path("log.parquet", path);
        let dataset =
            Dataset::open(vec![source], &ReadOptions::default(), Mixed::Refuse).expect("a data set");
        read_table(&dataset).expect("rows")
    };
    let table = read(&found[0]);
    assert_eq!(table.rows, 5);
    let number = |name: &str, row: usize| table.column(name).expect(name).number(row);
    assert_eq!((number("age", 0), number("age", 1), number("income", 1)), (Some(40.0), Some(19.0), None));
    assert_eq!(number("income", 0), Some(2500.5));
    let text = |name: &str, row: usize| table.column(name).expect(name).text(row).map(str::to_owned);
    assert_eq!(text("modelgate_prediction", 1).as_deref(), answer["predictions"][1].as_str());
    assert_eq!(text("modelgate_digest", 0).as_deref(), answer["digest"].as_str());
    assert_eq!(text("modelgate_version", 4).as_deref(), Some("v001"));
    assert!(table.column("region").is_none_or(|column| column.is_null(0)), "a value that was to be kept out");
    let share = number("modelgate_probability_yes", 1).expect("a share");
    assert!((share - answer["probabilities"][1][1].as_f64().expect("a share")).abs() < 1e-6);
    assert_eq!(read(&found[1]).rows, 1);
}

#[test]
fn a_class_and_a_feature_of_any_name_are_columns_that_can_be_read_back() {
    let table = super::table(300)
        .replacen("age,income", "modelgate_row,income", 1)
        .replace(",yes\n", ",\"ye\"\"s\\\"\n");
    let project = TestProject::with(crate::BINARY, &table, super::CONFIG);
    let _ = project.run(&["run"]).exits(0);
    let served = service(&project, &["--log", "parquet:logs", "--log-seconds", "3600"]);
    let row = json!({ "modelgate_row": 70, "income": 1000, "region": "east", "member": true });
    let answer = served.post("/predict/shop", &row).is(200).json();
    assert_eq!(answer["classes"], json!(["no", "ye\"s\\"]));
    let predicted = answer["predictions"][0].as_str().expect("a class").to_owned();
    let metrics = served.get("/metrics").text;
    assert!(metrics.contains(r#",class="ye\"s\\"} "#), "{metrics}");
    assert_eq!(served.end("TERM"), 0);
    let found = files(&project, "logs/shop");
    assert_eq!(found.len(), 1, "{found:?}");
    let source = SourceFile::path("log.parquet", &found[0]);
    let dataset = Dataset::open(vec![source], &ReadOptions::default(), Mixed::Refuse).expect("a data set");
    let table = read_table(&dataset).expect("rows");
    let number = |name: &str| table.column(name).expect(name).number(0);
    assert_eq!((number("modelgate_row"), number("modelgate_row_")), (Some(70.0), Some(0.0)));
    let share = number("modelgate_probability_ye\"s\\").expect("a share");
    assert!((share - answer["probabilities"][0][1].as_f64().expect("a share")).abs() < 1e-6);
    assert_eq!(table.column("modelgate_prediction").expect("a class").text(0), Some(predicted.as_str()));
}

#[test]
fn answers_below_zero_leave_metrics_that_are_openmetrics() {
    let mut table = "size,price\n".to_owned();
    for row in 0..300 {
        table.push_str(&format!("{},{}\n", row % 60, 2 * (row % 60) - 50));
    }
    let config = super::CONFIG
        .replace("task: classification", "task: regression")
        .replace("target: label", "target: price")
        .replace("metric: accuracy, at_least: 0.5", "metric: mae, at_most: 50");
    let project = TestProject::with(crate::BINARY, &table, &config);
    let _ = project.run(&["run"]).exits(0);
    let served = service(&project, &[]);
    for size in [1, 55] {
        let _ = served.post("/predict/shop", &json!({ "size": size })).is(200);
    }
    let text = served.get("/metrics").text;
    // A bucket below zero beside a sum is what OpenMetrics does not have.
    assert!(!text.contains("le=\"-"), "{text}");
    let labels = "{model=\"shop\",version=\"v001\",track=\"stable\"}";
    for name in ["modelgate_prediction_value", "modelgate_prediction_value_below_zero"] {
        assert_eq!(metric(&served, &format!("{name}_count{labels}")), 1, "{name}: {text}");
    }
}

/// Asks each track of a service with a canary twice: an answer each of one row.
fn ask_both(service: &Service) {
    for track in ["stable", "canary", "canary", "stable"] {
        let reply = super::rollout::ask(service, &[("modelgate-track", track), ("x-correlation-id", track)]);
        assert_eq!(reply.is(200).header("modelgate-track"), Some(track));
    }
}

#[test]
fn every_log_tells_which_track_answered() {
    let project = super::rollout::careful();
    super::rollout::candidate(&project);
    let lines = service(&project, &["--log", "logs/lines.jsonl"]);
    super::rollout::configure(&project, &lines, "[5, 50]");
    let _ = super::rollout::rollout(&project, &["start"]).exits(0);
    ask_both(&lines);
    assert_eq!(lines.end("TERM"), 0);
    let expected = [("stable", "v001"), ("canary", "v002"), ("canary", "v002"), ("stable", "v001")];
    let text = project.read("logs/lines.jsonl");
    let seen: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(seen.len(), expected.len(), "{text}");
    for (line, (track, version)) in seen.iter().zip(expected) {
        assert_eq!(
            (&line["track"], &line["version"], &line["correlation_id"]),
            (&json!(track), &json!(version), &json!(track)),
            "{line}"
        );
    }

    // A service that starts anew has its canary back.
    let loki = Loki::start(&[]);
    let pushed = service(&project, &["--log", &format!("loki:{}", loki.url)]);
    ask_both(&pushed);
    assert_eq!(pushed.end("TERM"), 0);
    let mut rows = std::collections::BTreeMap::<(String, String), usize>::new();
    for (_, push) in loki.pushes.lock().expect("pushes").iter() {
        for stream in push["streams"].as_array().expect("streams") {
            let label = |name: &str| stream["stream"][name].as_str().unwrap_or_default().to_owned();
            let values = stream["values"].as_array().expect("values");
            *rows.entry((label("track"), label("version"))).or_default() += values.len();
            for value in values {
                let line: Value = serde_json::from_str(value[1].as_str().expect("a line")).expect("JSON");
                assert_eq!(line["track"], stream["stream"]["track"]);
            }
        }
    }
    let pair = |track: &str, version: &str, rows| ((track.to_owned(), version.to_owned()), rows);
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), [pair("canary", "v002", 2), pair("stable", "v001", 2)]);

    let kept = service(&project, &["--log", "parquet:logs", "--log-seconds", "3600"]);
    ask_both(&kept);
    // The canary becomes stable: what it answers from now on is not what it answered as a canary.
    let _ = project.run(&["model", "approve", "shop", "v002", "--reason", "good"]).exits(0);
    let config = project.read("modelgate.yaml");
    let (before, after) = config.split_once("url: \"").expect("an address");
    let (_, after) = after.split_once('"').expect("its end");
    project.write("modelgate.yaml", format!("{before}url: \"{}\"{after}", kept.url));
    let _ = super::rollout::rollout(&project, &["step"]).exits(0);
    let _ = super::rollout::rollout(&project, &["promote", "--reason", "good"]).exits(0);
    kept.until(|service| super::reloads::version(service) == "v002");
    let _ = super::rollout::ask(&kept, &[]).is(200);
    assert_eq!(kept.end("TERM"), 0);
    let mut found = Vec::new();
    for path in files(&project, "logs/shop") {
        let source = SourceFile::path("log.parquet", &path);
        let dataset =
            Dataset::open(vec![source], &ReadOptions::default(), Mixed::Refuse).expect("a data set");
        let table = read_table(&dataset).expect("rows");
        let text = |name: &str| table.column(name).expect(name).text(0).unwrap_or_default().to_owned();
        found.push((text("modelgate_track"), text("modelgate_version"), table.rows));
    }
    found.sort();
    let of = |track: &str, version: &str, rows| (track.to_owned(), version.to_owned(), rows);
    assert_eq!(found, [of("canary", "v002", 2), of("stable", "v001", 2), of("stable", "v002", 1)]);
}

#[test]
#[cfg(unix)]
fn predictions_go_to_standard_output_and_nothing_else_does() {
    let project = project();
    let mut served = service(&project, &["--log", "-"]);
    let mut stdout = served.stdout();
    let headers = [("content-type", "application/json"), ("x-correlation-id", "mine-9")];
    let body = json!({ "features": [row(), row()] }).to_string();
    let answer = served.request("POST", "/predict/shop", &headers, Some(body.as_bytes())).is(200).json();
    let _ = served.post("/predict/shop", &json!({ "features": {} })).is(422);
    assert_eq!(served.end("TERM"), 0);
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("what was written");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(
            (&line["row"], &line["correlation_id"], &line["prediction"], &line["track"]),
            (&json!(at), &json!("mine-9"), &answer["predictions"][at], &json!("stable")),
            "{line}"
        );
    }
}

#[test]
#[cfg(unix)]
fn a_share_of_the_requests_is_logged_each_as_a_whole() {
    let project = project();
    let service = service(&project, &["--log", "logs/some.jsonl", "--log-sample", "0.25"]);
    let url = format!("{}/predict/shop", service.url);
    let body = json!({ "features": [row(), row()] }).to_string();
    let agent = ureq::Agent::new_with_defaults();
    let asked = 2000;
    for _ in 0..asked {
        let headers = [("content-type", "application/json")];
        let reply = modelgate_testing::send(&agent, "POST", &url, &headers, Some(body.as_bytes()));
        let _ = reply.expect("an answer").is(200);
    }
    assert_eq!(metric(&service, "modelgate_prediction_log_dropped_total"), 0);
    assert_eq!(service.end("TERM"), 0);
    let mut rows = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for line in project.read("logs/some.jsonl").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let id = line["correlation_id"].as_str().expect("a number").to_owned();
        rows.entry(id).or_default().push(line["row"].as_u64().expect("a row"));
    }
    assert!(rows.values().all(|rows| *rows == [0, 1]), "{rows:?}");
    // Seven standard deviations of a binomial: once in 10¹¹ runs.
    let (expected, deviation) = (f64::from(asked) * 0.25, (f64::from(asked) * 0.25 * 0.75).sqrt());
    assert!((rows.len() as f64 - expected).abs() <= 7.0 * deviation, "{} of {asked}", rows.len());
}

#[test]
fn a_parquet_file_is_written_after_a_time_too() {
    let project = project();
    let service = service(&project, &["--log", "parquet:logs", "--log-seconds", "1"]);
    let _ = service.post("/predict/shop", &row()).is(200);
    service.until(|_| !files(&project, "logs/shop").is_empty());
    project.write("taken", "");
    project.run(&["serve", "--port", "0", "--log", "parquet:taken"]).exits(1).says("taken");
    project.run(&["serve", "--port", "0", "--log", "parquet:"]).exits(64).says("parquet:FOLDER");
}

/// A server that takes what Loki takes, and refuses the first pushes with the statuses that it is given.
struct Loki {
    url: String,
    pushes: Arc<Mutex<Vec<(String, Value)>>>,
    tries: Arc<AtomicUsize>,
}

impl Loki {
    fn start(refusals: &'static [u16]) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let loki = Self { url, pushes: Arc::default(), tries: Arc::default() };
        let (pushes, tries) = (Arc::clone(&loki.pushes), Arc::clone(&loki.tries));
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                for line in head.lines() {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                let status = refusals.get(tries.fetch_add(1, Ordering::Relaxed)).copied().unwrap_or(204);
                if status == 204 {
                    let body = serde_json::from_slice(&body).expect("JSON");
                    pushes.lock().expect("pushes").push((head, body));
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = reader.into_inner().write_all(answer.as_bytes());
            }
        });
        loki
    }
}

#[test]
fn predictions_are_pushed_to_loki_and_tried_again() {
    let project = project();
    let loki = Loki::start(&[500, 429]);
    let mut command = serve(&project, &["--log", &format!("loki:{}", loki.url)]);
    command.env("MODELGATE_LOKI_TENANT", "team-a");
    command.env("MODELGATE_LOKI_USERNAME", "me").env("MODELGATE_LOKI_PASSWORD", "open sesame");
    let service = Service::ready(command);
    let body = json!({ "features": [row(), row()] }).to_string();
    let headers = [("content-type", "application/json"), ("x-correlation-id", "mine-3")];
    let _ = service.request("POST", "/predict/shop", &headers, Some(body.as_bytes())).is(200);
    service.until(|service| metric(service, "modelgate_prediction_log_written_total") == 2);
    let pushes = loki.pushes.lock().expect("pushes").clone();
    let (head, push) = &pushes[0];
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /loki/api/v1/push http/1.1"), "{head}");
    assert!(
        head.contains("content-type: application/json") && head.contains("x-scope-orgid: team-a"),
        "{head}"
    );
    assert!(head.contains("authorization: basic bwu6b3blbibzzxnhbwu="), "{head}");
    assert_eq!(loki.tries.load(Ordering::Relaxed), 3);
    let stream = &push["streams"][0];
    assert_eq!(
        stream["stream"],
        json!({ "job": "modelgate", "model": "shop", "version": "v001", "track": "stable" })
    );
    let values = stream["values"].as_array().expect("values");
    assert_eq!(values.len(), 2);
    for (at, value) in values.iter().enumerate() {
        assert!(
            value[0].as_str().is_some_and(|time| time.len() == 19 && time.parse::<u64>().is_ok()),
            "{value}"
        );
        let line: Value = serde_json::from_str(value[1].as_str().expect("a line")).expect("JSON");
        assert_eq!((&line["row"], &line["correlation_id"]), (&json!(at), &json!("mine-3")));
    }
    let talk = service.talk();
    assert!(!talk.contains("sesame"), "{talk}");
}

#[test]
fn what_loki_does_not_take_is_dropped_and_counted() {
    let project = project();
    let loki = Loki::start(&[400]);
    let service = service(&project, &["--log", &format!("loki:{}", loki.url)]);
    let _ = service.post("/predict/shop", &row()).is(200);
    service.until(|service| metric(service, "modelgate_prediction_log_dropped_total") == 1);
    assert!(service.talk().contains("Loki answers 400"), "{}", service.talk());
    let _ = service.post("/predict/shop", &row()).is(200);
    service.until(|service| metric(service, "modelgate_prediction_log_written_total") == 1);
    for (address, says) in [
        ("loki:http://me:sesame@host", "MODELGATE_LOKI_PASSWORD"),
        ("loki:host", "loki:http://host:3100"),
        ("ftp://a", "expected"),
    ] {
        project.run(&["serve", "--port", "0", "--log", address]).exits(64).says(says);
    }
}

#[test]
#[cfg(unix)]
fn a_pipe_that_nobody_reads_costs_lines_and_not_the_end() {
    let project = project();
    let made = std::process::Command::new("mkfifo").arg(project.path("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()), "no pipe");
    // A reader that opens it and reads nothing.
    let held = std::thread::spawn({
        let path = project.path("pipe");
        move || std::fs::File::open(path).expect("a pipe")
    });
    let service = service(&project, &["--log", "pipe", "--max-batch", "10000"]);
    let _held = held.join().expect("a reader");
    let body = json!({ "features": vec![row(); 10_000] });
    service.until(|service| {
        let _ = service.post("/predict/shop", &body).is(200);
        metric(service, "modelgate_prediction_log_dropped_total") > 0
    });
    let began = std::time::Instant::now();
    assert_eq!(service.end("TERM"), 0);
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}
