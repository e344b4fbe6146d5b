//! A look at services that say what a test wants.

use std::io::{Read, Write};

use super::*;

/// A service that answers each request with the next of these, and the last one from then on; returns where it is.
fn service(answers: Vec<(u16, &'static str, &'static str)>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut predictions = answers.iter();
        let mut last = predictions.next().expect("an answer");
        let mut first = true;
        for stream in listener.incoming() {
            let mut stream = stream.expect("a caller");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let length = request.split("content-length: ").nth(1).and_then(|text| text.lines().next());
            let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            stream.read_exact(&mut vec![0; length]).expect("a body");
            let (status, header, body) = match request.split(' ').nth(1) {
                Some("/models") => (200, "", "{\"models\": [{\"name\": \"shop\"}]}"),
                Some("/models/shop") => {
                    (200, "", "{\"name\": \"shop\", \"features\": [{\"name\": \"x\", \"type\": \"int\"}]}")
                }
                Some(path) if path.starts_with("/predict") => {
                    if !std::mem::take(&mut first) {
                        last = predictions.next().unwrap_or(last);
                    }
                    *last
                }
                _ => (200, "", "{}"),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{header}\r\n"
            );
            stream.write_all((head + body).as_bytes()).expect("answered");
        }
    });
    url
}

const GOOD: (u16, &str, &str) = (200, "", "{\"predictions\": [1]}");
const BUSY: (u16, &str, &str) = (429, "retry-after: 0\r\n", "{}");

fn look(url: String, requests: Option<usize>, rows: &[&str]) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.csv");
    fs_err::write(&path, format!("x\n{}\n", rows.join("\n"))).expect("written");
    let timeout = Duration::from_millis(200);
    let options =
        Options { url, model: None, rows: Some(path), requests, timeout, api_key: None, bearer: None };
    smoke(&options).expect("seen")
}

#[test]
fn a_service_that_was_asked_too_often_is_asked_again_when_it_says_so() {
    let report = look(service(vec![GOOD, BUSY, BUSY, GOOD]), Some(3), &["1", "2", "3"]);
    assert_eq!((report.answered, report.figures["refused_rate"]), (3, Some(0.0)), "{report:?}");
    // One that says so for ever, or for longer than there is time, has refused; the other rows are not sent.
    let later = (429, "retry-after: 60\r\n", "{}");
    for never in [BUSY, later] {
        let report = look(service(vec![GOOD, never]), None, &["1", "2", "3", "4"]);
        assert_eq!((report.answered, report.figures["requests"]), (1, Some(2.0)), "{report:?}");
        assert_eq!((report.figures["refused_rate"], report.rows_left_out), (Some(0.5), Some(2)));
    }
    let report = look(service(vec![(401, "", "{}"), BUSY]), Some(5), &["1"]);
    assert_eq!((report.answered, report.first_status), (0, Some(401)), "{report:?}");
}

#[test]
fn so_many_rows_are_sent_as_requests_are_asked_for() {
    for (requests, sent, left_out) in [(Some(2), 2.0, Some(3)), (Some(7), 7.0, None), (None, 100.0, None)] {
        let report = look(service(vec![GOOD]), requests, &["1", "2", "3", "4", "5"]);
        assert_eq!((report.figures["requests"], report.rows_left_out), (Some(sent), left_out));
    }
}

#[test]
fn only_what_speaks_http_is_an_address() {
    for url in ["http://127.0.0.1:8080", "https://models.example/prefix", "HTTP://localhost"] {
        assert!(is_address(url), "{url}");
    }
    for url in ["ftp://x", "127.0.0.1:8080", "localhost", "", "http://", "/models", "http://a b"] {
        assert!(!is_address(url), "{url}");
    }
}
