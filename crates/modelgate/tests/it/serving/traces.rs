//! What the service tells its operator: a caller's trace in answers and lines, spans at a collector, and how loud it is.

use modelgate_testing::Service;
use serde_json::Value;

use super::{project, row, serve, service};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traced(service: &Service) -> modelgate_testing::Reply {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("content-type", "application/json"), ("traceparent", parent.as_str())];
    service.request("POST", "/predict/shop", &headers, Some(row().to_string().as_bytes())).is(200)
}

#[test]
fn a_callers_trace_is_in_the_answer_and_in_the_log() {
    let project = project();
    let service = service(&project, &["--log", "lines.jsonl"]);
    let reply = traced(&service);
    let answered = reply.header("traceparent").expect("a trace").to_owned();
    let parts: Vec<&str> = answered.split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"));
    assert_ne!(parts[2], "00f067aa0ba902b7");
    let plain = service.post("/predict/shop", &row()).is(200);
    assert_eq!(plain.header("traceparent"), None);
    service
        .until(|service| service.get("/metrics").text.contains("modelgate_prediction_log_written_total 2"));
    let text = project.read("lines.jsonl");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines[0]["trace_id"].as_str(), lines[0]["span_id"].as_str()), (Some(TRACE), Some(parts[2])));
    assert_eq!(lines[1]["trace_id"], Value::Null);
}

#[test]
fn levels_and_forms_of_its_sentences_are_honoured_or_refused() {
    let project = project();
    let mut command = serve(&project, &[]);
    command.env("LOG_FORMAT", "json");
    let child = command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn();
    let mut child = child.expect("started");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("stderr")));
    let serving = lines.by_ref().map_while(Result::ok).find(|line| line.contains("serving shop"));
    let _ = child.kill();
    let _ = child.wait();
    let line: Value = serde_json::from_str(&serving.expect("a line")).expect("JSON");
    assert_eq!((line["level"].as_str(), line["target"].as_str()), (Some("info"), Some("modelgate")));
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");

    for (name, value, says) in [
        ("LOG_LEVEL", "loud", "LOG_LEVEL: expected debug, info, warning or error"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: expected text or json"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5", "OTEL_BSP_SCHEDULE_DELAY is not honoured"),
        ("OTEL_LOGS_EXPORTER", "otlp", "--log"),
    ] {
        let output = serve(&project, &[]).env(name, value).output().expect("ended");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(64) && talk.contains(says), "{name}: {talk}");
    }
    let mut quiet = serve(&project, &["--require-model", "--startup-timeout", "1", "--package", "nothing"]);
    quiet.env("LOG_LEVEL", "ERROR").env("OTEL_SDK_DISABLED", "true").env("OTEL_ANYTHING", "1");
    let output = quiet.output().expect("ended");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(!talk.contains("listening on") && talk.contains("no model is served"), "{talk}");
}

#[test]
#[cfg(not(feature = "otlp"))]
fn a_build_without_traces_does_not_pretend() {
    let project = project();
    let output = serve(&project, &[])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .output()
        .expect("ended");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && talk.contains("--features otlp"), "{talk}");
}

#[cfg(feature = "otlp")]
mod collected {
    //! Spans at a collector that takes OTLP/HTTP in JSON and refuses the first request.

    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use super::*;

    type Heard = Arc<Mutex<Vec<(String, Value)>>>;

    fn collector() -> (String, Heard) {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let heard: Heard = Arc::default();
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for (number, stream) in socket.incoming().map_while(Result::ok).enumerate() {
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
                let status = if number == 0 { "503 Busy" } else { "200 OK" };
                if number > 0 {
                    all.lock().expect("heard").push((head, serde_json::from_slice(&body).expect("JSON")));
                }
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
                );
                let _ = reader.into_inner().write_all(answer.as_bytes());
            }
        });
        (url, heard)
    }

    fn spans(heard: &Heard) -> Vec<Value> {
        let heard = heard.lock().expect("heard");
        let spans = heard.iter().map(|(_, body)| body["resourceSpans"][0]["scopeSpans"][0]["spans"].clone());
        spans.filter_map(|spans| spans.as_array().cloned()).flatten().collect()
    }

    #[test]
    fn requests_predictions_reloads_and_loads_are_spans() {
        let project = project();
        let (url, heard) = collector();
        let mut command = serve(&project, &[]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_SERVICE_NAME", "churn");
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=se%20same");
        let service = Service::ready(command);
        let reply = traced(&service);
        let own = reply
            .header("traceparent")
            .and_then(|header| header.split('-').nth(2))
            .expect("a span")
            .to_owned();
        let _ = service.post("/predict/shop", &serde_json::json!({ "features": {} })).is(422);
        service.until(|_| spans(&heard).iter().filter(|span| span["name"] == "request").count() == 2);
        let all = spans(&heard);
        let named = |name: &str| all.iter().filter(|span| span["name"] == name).cloned().collect::<Vec<_>>();
        let request =
            named("request").into_iter().find(|span| span["traceId"] == TRACE).expect("the request");
        assert_eq!((request["spanId"].as_str(), request["kind"].as_i64()), (Some(own.as_str()), Some(2)));
        assert_eq!(request["parentSpanId"], "00f067aa0ba902b7");
        let predict =
            named("predict").into_iter().find(|span| span["traceId"] == TRACE).expect("a prediction");
        assert_eq!(predict["parentSpanId"].as_str(), Some(own.as_str()));
        let reload = named("reload").remove(0);
        let load =
            named("load").into_iter().find(|span| span["traceId"] == reload["traceId"]).expect("a load");
        assert_eq!(load["parentSpanId"], reload["spanId"]);
        for span in &all {
            assert_eq!(span["traceId"].as_str().map(str::len), Some(32), "{span}");
            assert_eq!(span["spanId"].as_str().map(str::len), Some(16), "{span}");
            let time = |key: &str| span[key].as_str().and_then(|text| text.parse::<u128>().ok()).expect(key);
            assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
        }
        let value = |key: &str| {
            let attributes = request["attributes"].as_array().expect("attributes").iter();
            attributes
                .clone()
                .find(|one| one["key"] == key)
                .map(|one| one["value"].clone())
                .unwrap_or_default()
        };
        assert_eq!(value("modelgate.version")["stringValue"], "v001");
        assert_eq!(value("http.response.status_code")["intValue"], "200");
        let (head, body) = heard.lock().expect("heard")[0].clone();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1") && head.contains("api-key: se same"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        let resource = &body["resourceSpans"][0]["resource"]["attributes"][0];
        assert_eq!(
            (&resource["key"], &resource["value"]["stringValue"]),
            (&"service.name".into(), &"churn".into())
        );
        assert!(service.get("/metrics").text.contains("modelgate_trace_spans_dropped_total 0"));
        assert!(!service.talk().contains("se same"));
    }
}
