//! What callers may take up: predictions at once, bodies, connections, requests in a second.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modelgate_testing::Service;
use serde_json::json;

use super::{project, row, serve, service};

/// Opens a connection and sends the beginning of a prediction: everything but the last byte of its body.
pub(super) fn begun(service: &Service) -> (TcpStream, u8) {
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

pub(super) fn answer(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

pub(super) fn in_flight(service: &Service, count: usize) {
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
