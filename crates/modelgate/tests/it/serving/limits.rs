//! What a caller may take up, how the service ends, and what it leaves behind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modelgate_testing::{Service, send};
use serde_json::{Value, json};

use super::{project, row, serve, service};

/// Opens a connection and sends the beginning of a prediction: everything but the last byte of its body.
fn begun(service: &Service) -> (TcpStream, u8) {
    let body = row().to_string();
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
    let head = format!(
        "POST /predict/shop HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (last, first) = body.as_bytes().split_last().expect("a body");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(first)).expect("sent");
    (stream, *last)
}

fn answer(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

fn in_flight(service: &Service, count: usize) {
    service.until(|service| {
        service.get("/metrics").text.contains(&format!("modelgate_requests_in_flight {count}\n"))
    });
}

#[test]
fn too_many_at_once_are_told_to_come_back() {
    let project = project();
    let service = service(&project, &["--max-concurrency", "1", "--max-batch", "10000", "--threads", "8"]);
    let body = json!({ "features": vec![row(); 10_000] }).to_string();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let headers = [("content-type", "application/json")];
                    let status =
                        service.request("POST", "/predict/shop", &headers, Some(body.as_bytes())).status;
                    assert!(status == 200 || status == 503, "{status}");
                }
            });
        }
        service.until(|service| service.post("/predict/shop", &row()).status == 503);
        service.until(|service| {
            let refused = service.post("/predict/shop", &row());
            // Health is no prediction.
            let _ = service.get("/health/ready").is(200);
            refused.status == 503
                && refused.header("retry-after") == Some("1")
                && refused.header("modelgate-model-version") == Some("v001")
                && refused.json()["code"] == "overloaded"
        });
        ended.store(true, Ordering::Relaxed);
    });
    let _ = service.post("/predict/shop", &row()).is(200);
    let shed = "modelgate_requests_shed_total ";
    let metrics = service.get("/metrics").text;
    let shed = metrics.lines().find_map(|line| line.strip_prefix(shed)?.parse::<u64>().ok());
    assert!(shed.is_some_and(|shed| shed > 0), "{metrics}");
}

#[test]
fn bodies_that_come_slowly_keep_nobody_out() {
    let project = project();
    let service = service(&project, &["--max-concurrency", "1"]);
    let mut slow: Vec<_> = (0..8).map(|_| begun(&service)).collect();
    in_flight(&service, 8);
    let _ = service.post("/predict/shop", &row()).is(200);
    for (mut stream, last) in slow.drain(..) {
        stream.write_all(&[last]).expect("sent");
        let answer = answer(stream);
        assert!(answer.starts_with("HTTP/1.1 200") || answer.contains("overloaded"), "{answer}");
    }
}

#[test]
fn large_bodies_have_a_room_of_their_own() {
    let project = project();
    let service = service(&project, &[]);
    let address = service.url.trim_start_matches("http://").to_owned();
    let length = 7 << 20;
    let head = format!(
        "POST /predict/shop HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    // Everything of each but the last byte: more than 64 MiB together.
    let mut streams = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(&address).expect("connected");
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&vec![b' '; length - 1]))
            .expect("sent");
        streams.push(stream);
    }
    // A small one is none of them.
    let _ = service.post("/predict/shop", &row()).is(200);
    let answers: Vec<String> = streams
        .into_iter()
        .map(|mut stream| {
            let _ = stream.write_all(b" ");
            answer(stream)
        })
        .collect();
    let refused = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503")).count();
    assert!((1..=4).contains(&refused), "{refused} of {}", answers.len());
    assert!(
        answers.iter().all(|answer| answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 400"))
    );
    let _ = service.post("/predict/shop", &row()).is(200);
}

#[test]
fn slow_callers_are_cut_off() {
    let project = project();
    let service = service(&project, &["--read-timeout", "1", "--header-timeout", "1"]);
    let (stream, _) = begun(&service);
    assert!(answer(stream).starts_with("HTTP/1.1 408"));
    // Headers that come byte by byte and never end.
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
    let began = Instant::now();
    let mut closed = false;
    while began.elapsed() < Duration::from_secs(20) && !closed {
        closed = stream.write_all(b"a").is_err()
            || matches!(stream.read(&mut [0; 256]), Ok(0))
            || matches!(stream.read(&mut [0; 256]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset);
    }
    assert!(closed, "the connection stays open");
    let _ = service.post("/predict/shop", &row()).is(200);
}

/// Asks over an open connection, and returns the status line.
fn ask_again(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"}") {
        let length = stream.read(&mut buffer).expect("an answer");
        assert!(length > 0, "the connection is closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

/// Returns how long it takes until the other end closes a connection.
fn closed_after(mut stream: TcpStream) -> Duration {
    stream.set_read_timeout(Some(Duration::from_secs(50))).expect("a time");
    let began = Instant::now();
    let ended = stream.read(&mut [0; 256]);
    let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(ended.as_ref().map_or_else(reset, |length| *length == 0), "{ended:?}");
    began.elapsed()
}

#[test]
fn a_connection_is_kept_between_requests_for_longer_than_a_head_may_take() {
    let project = project();
    let service = service(&project, &["--header-timeout", "1", "--idle-timeout", "60"]);
    let open = || TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
    let half = b"GET /health/live HTTP/1.1\r\nhos";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = open();
            assert_eq!(ask_again(&mut stream), "HTTP/1.1 200 OK");
            std::thread::sleep(Duration::from_millis(2500));
            assert_eq!(ask_again(&mut stream), "HTTP/1.1 200 OK");
            // A head that has begun and does not end is none between requests.
            stream.write_all(half).expect("sent");
            assert!(closed_after(stream) < Duration::from_secs(30));
        });
        scope.spawn(|| {
            // Nor is the beginning of a connection.
            assert!(closed_after(open()) < Duration::from_secs(30));
        });
    });
}

#[test]
fn a_connection_without_a_next_request_is_closed_in_time() {
    let project = project();
    let mut command = serve(&project, &["--header-timeout", "60"]);
    command.env("MODELGATE_IDLE_TIMEOUT", "1");
    let service = Service::ready(command);
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
    assert_eq!(ask_again(&mut stream), "HTTP/1.1 200 OK");
    assert!(closed_after(stream) < Duration::from_secs(30));
}

#[test]
fn as_many_connections_as_may_be_are_told_of_once() {
    let project = project();
    let service = service(&project, &["--max-connections", "2", "--idle-timeout", "3600"]);
    let address = service.url.trim_start_matches("http://").to_owned();
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).expect("connected");
            assert_eq!(ask_again(&mut stream), "HTTP/1.1 200 OK");
            stream
        })
        .collect();
    service.until(|service| service.talk().contains("2 connections are open, as many as --max-connections"));
    drop(held);
    let metrics = service.get("/metrics").is(200).text;
    assert!(!metrics.contains("modelgate_connections_full_total 0"), "{metrics}");
    assert_eq!(service.talk().matches("as many as --max-connections").count(), 1, "{}", service.talk());
}

#[test]
fn a_caller_that_asks_too_often_is_told() {
    let project = project();
    let service = service(&project, &["--rate-limit", "5"]);
    let statuses: Vec<u16> = (0..30).map(|_| service.post("/predict/shop", &row()).status).collect();
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses.contains(&429), "{statuses:?}");
    service.until(|service| service.post("/predict/shop", &row()).status == 200);
}

#[test]
#[cfg(unix)]
fn the_end_lets_requests_finish() {
    let project = project();
    let service = service(&project, &[]);
    let (mut stream, last) = begun(&service);
    in_flight(&service, 1);
    let _ = std::process::Command::new("kill").arg(service.id().to_string()).status();
    let address = service.url.trim_start_matches("http://").to_owned();
    service.until(|_| TcpStream::connect(&address).is_err());
    stream.write_all(&[last]).expect("sent");
    assert!(answer(stream).starts_with("HTTP/1.1 200"));
    assert_eq!(service.wait(), 0);
}

/// Sends a signal to a service.
#[cfg(unix)]
fn signal(service: &Service, name: &str) {
    let sent =
        std::process::Command::new("kill").args([&format!("-{name}"), &service.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "no signal was sent");
}

#[test]
#[cfg(unix)]
fn a_second_signal_ends_it_at_once() {
    let project = project();
    for (name, code) in [("INT", 130), ("TERM", 1)] {
        let service = service(&project, &["--read-timeout", "300", "--drain-timeout", "300"]);
        let _held = begun(&service);
        in_flight(&service, 1);
        signal(&service, name);
        service
            .until(|service| service.talk().contains("draining: 1 request under way; once more to stop now"));
        let began = Instant::now();
        assert_eq!(service.end(name), code, "{name}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
    // So it does before the door is shut.
    let service = service(&project, &["--drain-delay", "300"]);
    signal(&service, "TERM");
    service.until(|service| {
        service.talk().contains("0 requests under way, others are taken for 300 s; once more")
    });
    assert_eq!(service.end("TERM"), 1);
}

#[test]
#[cfg(unix)]
fn a_hangup_makes_it_look_at_its_source() {
    let project = project();
    let service = service(&project, &[]);
    super::reloads::another(&project);
    signal(&service, "HUP");
    service.until(|service| super::reloads::version(service) == "v002");
    let talk = service.talk();
    assert!(
        talk.contains("SIGHUP: the source") && talk.contains("serving shop v002 instead of v001"),
        "{talk}"
    );
    assert_eq!(service.end("TERM"), 0);
}

#[test]
#[cfg(unix)]
fn readiness_goes_off_before_the_door_is_shut() {
    let project = project();
    let service = service(&project, &["--drain-delay", "2"]);
    let _ = std::process::Command::new("kill").arg(service.id().to_string()).status();
    service.until(|service| service.get("/health/ready").status == 503);
    let _ = service.post("/predict/shop", &row()).is(200);
    assert_eq!(service.wait(), 0);
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_an_idle_service_at_once() {
    let project = project();
    let service = service(&project, &[]);
    let began = Instant::now();
    assert_eq!(service.end("INT"), 0);
    assert!(began.elapsed() < Duration::from_secs(10));
}

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
    served.until(|service| service.get("/metrics").text.contains("modelgate_prediction_log_written_total 1"));
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

#[test]
fn a_page_of_another_origin_may_ask_beforehand_whether_it_may() {
    let project = project();
    let ask = |service: &Service, origin: &str, path: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-api-key,modelgate-key,authorization"),
        ];
        service.request("OPTIONS", path, &headers, None)
    };
    let closed = service(&project, &[]);
    let refused = ask(&closed, "https://shop.example", "/predict/shop").is(405);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    drop(closed);

    let mut command = serve(&project, &["--cors-origin", "https://shop.example"]);
    command.env("MODELGATE_API_KEYS", "sesame");
    let open = Service::ready(command);
    // The browser asks without the key: what it may send is no secret, and nothing is predicted.
    let allowed = ask(&open, "https://shop.example", "/predict/shop").is(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    for (name, wanted) in [
        ("access-control-allow-methods", &["POST"][..]),
        ("access-control-allow-headers", &["content-type", "x-api-key", "modelgate-key", "authorization"]),
    ] {
        let value = allowed.header(name).unwrap_or_default().to_ascii_lowercase();
        // `*` stands for every method, and for every header but `Authorization`.
        let all = value == "*" && name == "access-control-allow-methods";
        let has = |word: &&str| all || value.contains(&word.to_ascii_lowercase());
        assert!(wanted.iter().all(has), "{name}: {value}");
    }
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert!(allowed.text.is_empty(), "{}", allowed.text);
    for origin in ["https://other.example", "http://shop.example", "https://shop.example.evil", "null"] {
        let refused = ask(&open, origin, "/predict/shop");
        assert_eq!(refused.header("access-control-allow-origin"), None, "{origin}");
    }
    let exposed =
        [("origin", "https://shop.example"), ("x-api-key", "sesame"), ("content-type", "application/json")];
    let answer = open.request("POST", "/predict/shop", &exposed, Some(row().to_string().as_bytes())).is(200);
    let names = answer.header("access-control-expose-headers").unwrap_or_default();
    for name in ["modelgate-model-version", "modelgate-model-digest", "modelgate-track", "x-correlation-id"] {
        assert!(names.contains(name) && answer.header(name).is_some(), "{name}: {names}");
    }
    for name in ["retry-after", "traceparent"] {
        assert!(names.contains(name), "{name}: {names}");
    }
}

#[test]
fn pages_of_other_origins_may_ask_only_where_that_is_set() {
    let project = project();
    let ask = |service: &Service, origin: &str| {
        let headers = [("origin", origin), ("content-type", "application/json")];
        let reply =
            service.request("POST", "/predict/shop", &headers, Some(row().to_string().as_bytes())).is(200);
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    let closed = service(&project, &[]);
    assert_eq!(ask(&closed, "https://shop.example"), None);
    let open = service(&project, &["--cors-origin", "https://shop.example"]);
    assert_eq!(ask(&open, "https://shop.example").as_deref(), Some("https://shop.example"));
    assert_eq!(ask(&open, "https://other.example"), None);
}

/// Makes a certificate for 127.0.0.1 that is valid until `year`, and returns it in PEM.
fn certificate(project: &modelgate_testing::TestProject, name: &str, year: i32) -> String {
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    project.write(&format!("{name}.pem"), &certificate);
    project.write(&format!("{name}.key"), key.serialize_pem());
    certificate
}

#[test]
fn tls_is_spoken_with_a_certificate_that_holds() {
    let project = project();
    for (name, year, works) in [("good", 2120, true), ("expired", 2021, false)] {
        let pem = certificate(&project, name, year);
        let files = [format!("{name}.pem"), format!("{name}.key")];
        let arguments = ["--tls-certificate", &files[0], "--tls-key", &files[1]];
        let service = Service::start(serve(&project, &arguments));
        assert!(service.url.starts_with("https://"), "{}", service.url);
        let root = ureq::tls::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
        let tls =
            ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
        let agent: ureq::Agent = ureq::config::Config::builder().tls_config(tls).build().into();
        let url = format!("{}/health/live", service.url);
        let reply = send(&agent, "GET", &url, &[], None);
        assert_eq!(reply.is_ok_and(|reply| reply.status == 200), works, "{name}");
        assert_eq!(service.talk().contains("has expired"), !works, "{}", service.talk());
    }
    project
        .run(&["serve", "--port", "0", "--tls-certificate", "good.pem", "--tls-key", "expired.key"])
        .exits(64)
        .says("does not go with the key");
    project
        .run(&["serve", "--port", "0", "--tls-certificate", "data.csv", "--tls-key", "good.key"])
        .exits(64)
        .says("no certificate in PEM");
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let project = project();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let own = rcgen::KeyPair::generate().expect("a key");
    project.write("authority.pem", authority.self_signed(&own).expect("a certificate").pem());
    let issuer = rcgen::Issuer::new(authority, own);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    project.write("leaf.pem", leaf.signed_by(&key, &issuer).expect("a certificate").pem());
    project.write("leaf.key", key.serialize_pem());
    let service =
        Service::start(serve(&project, &["--tls-certificate", "leaf.pem", "--tls-key", "leaf.key"]));
    let run = |arguments: &[&str], trusted: Option<&str>| {
        let mut command = project.command(arguments);
        command.env("ADMIN_API_TOKEN", "right").env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)));
        let output = command.output().expect("ended");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let smoke = ["serve", "smoke", &service.url, "--ready", "--timeout", "0"];
    let patient = ["serve", "smoke", &service.url];
    let status = ["rollout", "status", "--url", &service.url];
    for arguments in [&patient[..], &status] {
        let (code, said) = run(arguments, Some("authority.pem"));
        assert!(code == Some(0) && !said.contains("does not answer"), "{said}");
    }
    for trusted in [None, Some("leaf.key"), Some("nowhere.pem")] {
        let (code, said) = run(&smoke, trusted);
        assert!(code == Some(1) && said.contains("is not ready"), "{trusted:?}: {said}");
        let (_, said) = run(&status, trusted);
        assert!(said.contains("does not answer"), "{trusted:?}: {said}");
    }
    let (_, said) = run(&smoke, None);
    assert!(said.contains("UnknownIssuer"), "{said}");
}

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
fn behind_a_proxy_each_caller_has_limits_of_its_own() {
    let project = project();
    let ask = |service: &Service, caller: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", caller)];
        let body = json!({ "features": row() }).to_string();
        service.request("POST", "/predict/shop", &headers, Some(body.as_bytes())).status
    };
    for (trusted, expected) in [("127.0.0.0/8,::1", 200), ("10.0.0.0/8", 429)] {
        let service = service(&project, &["--rate-limit", "1", "--trusted-proxies", trusted]);
        // Twice as many may come at once.
        assert_eq!([ask(&service, "203.0.113.1"), ask(&service, "203.0.113.1")], [200, 200]);
        assert_eq!(ask(&service, "203.0.113.1"), 429, "{trusted}");
        assert_eq!(ask(&service, "203.0.113.2"), expected, "{trusted}");
    }
    let refused = project.run(&["serve", "--trusted-proxies", "10.0.0.0/99"]).exits(64);
    refused.says("expected a network such as `10.0.0.0/8`");
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
fn a_certificate_that_was_renewed_is_used_and_one_that_does_not_fit_is_not() {
    let project = project();
    let copy =
        |from: &str, end: &str| project.write(&format!("live.{end}"), project.read(&format!("{from}.{end}")));
    let both = |from: &str| {
        copy(from, "pem");
        copy(from, "key");
    };
    let pems = ["one", "two"].map(|name| certificate(&project, name, 2120));
    both("one");
    let arguments = ["--tls-certificate", "live.pem", "--tls-key", "live.key"];
    let service = Service::start(serve(&project, &arguments));
    // Each question is one of a new connection, by whom trusts one certificate alone.
    let ask = |trusted: &str, method: &str, path: &str| {
        let root = ureq::tls::Certificate::from_pem(trusted.as_bytes()).expect("a certificate");
        let roots = ureq::tls::RootCerts::new_with_certs(&[root]);
        let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
        let config = ureq::config::Config::builder().tls_config(tls).http_status_as_error(false).build();
        let url = format!("{}{path}", service.url);
        send(&config.into(), method, &url, &[("x-admin-token", "right")], None)
    };
    let shows = |pem: &str| ask(pem, "GET", "/health/live").is_ok_and(|reply| reply.status == 200);
    service.until(|_| ask(&pems[0], "GET", "/health/ready").is_ok_and(|reply| reply.status == 200));
    assert!(shows(&pems[0]) && !shows(&pems[1]));
    // Half of the two is written: the one before is shown on.
    copy("two", "pem");
    let _ = ask(&pems[0], "POST", "/admin/reload").expect("an answer").is(200);
    let _ = ask(&pems[0], "POST", "/admin/reload").expect("an answer").is(200);
    assert!(shows(&pems[0]));
    assert_eq!(service.talk().matches("the certificate is not renewed").count(), 1, "{}", service.talk());
    copy("two", "key");
    let _ = ask(&pems[0], "POST", "/admin/reload").expect("an answer").is(200);
    assert!(shows(&pems[1]) && !shows(&pems[0]));
    assert_eq!(service.talk().matches("is new and is used").count(), 1, "{}", service.talk());
    fs_err::remove_file(project.path("live.key")).expect("removed");
    let _ = ask(&pems[1], "POST", "/admin/reload").expect("an answer").is(200);
    assert!(shows(&pems[1]));
}

#[test]
fn a_token_is_what_stands_before_the_end_of_line() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("ADMIN_API_TOKEN", "right\n");
    let _ = super::reload(&Service::ready(command)).is(200);
}

#[test]
fn a_smoke_test_judges_what_it_sees() {
    let project = project();
    let service = service(&project, &[]);
    let seen = project.run(&["serve", "smoke", &service.url]).exits(0);
    seen.says("shop v001 (verified)").says("accuracy").says("passed: all 4 rules");
    let rows = project
        .run(&["serve", "smoke", &service.url, "--rows", "data.csv", "--output", "smoke.json"])
        .exits(0);
    rows.says("(300 rows sent)");
    let report = project.json("smoke.json");
    assert_eq!(report["verdict"]["verdict"], "passed");
    assert!(
        report["report"]["figures"]["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.9),
        "{report}"
    );
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
    assert!(code == Some(0) && said.contains("passed: all 4 rules"), "{said}");
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
}
