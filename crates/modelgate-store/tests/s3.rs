//! Objects in S3, on the real protocol: moto's server, from the Python that `MODELGATE_INTEROP_DATA_PYTHON` names.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use modelgate_store::remote::{self, ObjectHome, RemoteError};
use modelgate_testing::{CuttingProxy, S3Server};

fn open(server: &S3Server, endpoint: Option<&str>, uri: &str) -> Box<dyn ObjectHome> {
    let variables = server.variables(endpoint);
    let environment =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    remote::open(uri, Path::new("."), &environment).expect("opened")
}

/// Bytes without a pattern that a part could be mistaken in.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn objects_come_back_and_conditional_writes_hold() {
    let Some(server) = S3Server::start() else { return };
    let home = open(&server, None, "s3://data/some/prefix");
    assert!(home.get("head").expect("get").is_none());
    assert_eq!(home.size("head").expect("size"), None);
    assert!(home.put_if_absent("head", b"one").expect("put"));
    assert!(!home.put_if_absent("head", b"two").expect("put"));
    let (bytes, version) = home.get("head").expect("get").expect("there");
    assert_eq!(bytes, b"one");
    assert!(home.put_if_unchanged("head", b"three", &version).expect("put"));
    assert!(!home.put_if_unchanged("head", b"four", &version).expect("put"));
    home.put("objects/ab/cd", b"x").expect("put");
    assert_eq!(home.list("objects").expect("list"), [("objects/ab/cd".to_owned(), 1)]);
    assert_eq!(home.list("").expect("list"), [("head".to_owned(), 5), ("objects/ab/cd".to_owned(), 1)]);
    assert_eq!(open(&server, None, "s3://data").list("some").expect("list").len(), 2);
    let missing = open(&server, None, "s3://nowhere/x").put("a", b"b").expect_err("no bucket");
    assert!(matches!(missing, RemoteError::NoBucket { .. }), "{missing}");
    let missing = open(&server, None, "s3://nowhere/x").list("").expect_err("no bucket");
    assert!(matches!(missing, RemoteError::NoBucket { .. }), "{missing}");
    let folder = tempfile::tempdir().expect("folder");
    let download = |uri: &str| open(&server, None, uri).download("a", &folder.path().join("a"), &|_| {});
    let missing = download("s3://nowhere/x").expect_err("no bucket");
    assert!(matches!(missing, RemoteError::NoBucket { .. }), "{missing}");
    let missing = download("s3://data/x").expect_err("no object");
    assert!(matches!(missing, RemoteError::Missing { .. }), "{missing}");
}

#[test]
fn a_large_object_goes_up_in_parts_and_comes_down_behind_what_is_there() {
    let Some(server) = S3Server::start() else { return };
    let home = open(&server, None, "s3://data");
    let folder = tempfile::tempdir().expect("folder");
    let source = folder.path().join("source");
    let bytes = noise(40_000_000);
    fs_err::write(&source, &bytes).expect("written");
    let progress = folder.path().join("progress.json");
    home.upload("big", &source, &progress, &|_| {}).expect("uploaded");
    assert!(!progress.exists());
    assert_eq!(home.size("big").expect("size"), Some(40_000_000));
    let target = folder.path().join("target");
    fs_err::write(&target, &bytes[..30_000_000]).expect("written");
    let moved = AtomicU64::new(0);
    let count = |more| {
        moved.fetch_add(more, Ordering::Relaxed);
    };
    home.download("big", &target, &count).expect("downloaded");
    assert_eq!(moved.into_inner(), 10_000_000);
    assert!(fs_err::read(&target).expect("read") == bytes);
    let error = home.download("none", &folder.path().join("none"), &|_| {}).expect_err("missing");
    assert!(matches!(error, RemoteError::Missing { .. }), "{error}");
}

#[test]
fn one_home_serves_many_threads() {
    let Some(server) = S3Server::start() else { return };
    let home = open(&server, None, "s3://data/many");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let home = &home;
            scope.spawn(move || {
                for number in 0..10 {
                    home.put(&format!("{thread}/{number}"), b"x").expect("put");
                }
            });
        }
    });
    assert_eq!(home.list("").expect("list").len(), 80);
}

#[test]
fn a_connection_that_drops_is_taken_up_again_both_ways() {
    let Some(server) = S3Server::start() else { return };
    let proxy = CuttingProxy::start(&server.endpoint, 6_000_000, 4);
    let home = open(&server, Some(&proxy.endpoint), "s3://data/cut");
    let folder = tempfile::tempdir().expect("folder");
    let source = folder.path().join("source");
    let bytes = noise(40_000_000);
    fs_err::write(&source, &bytes).expect("written");
    home.upload("big", &source, &folder.path().join("progress"), &|_| {}).expect("uploaded");
    let target = folder.path().join("target");
    home.download("big", &target, &|_| {}).expect("downloaded");
    assert!(fs_err::read(&target).expect("read") == bytes);
    assert_eq!(proxy.cuts(), 4);
}

#[test]
fn an_upload_that_failed_goes_on_with_the_parts_that_arrived() {
    let Some(server) = S3Server::start() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let (source, progress) = (folder.path().join("source"), folder.path().join("progress"));
    let bytes = noise(40_000_000);
    fs_err::write(&source, &bytes).expect("written");
    let proxy = CuttingProxy::start(&server.endpoint, 1_000_000, 0);
    let home = open(&server, Some(&proxy.endpoint), "s3://data/failed");
    let moved = AtomicU64::new(0);
    // The first part gets through; then nothing does.
    let count = |more| {
        moved.fetch_add(more, Ordering::Relaxed);
        proxy.cut_next(i64::MAX);
    };
    let error = home.upload("big", &source, &progress, &count).expect_err("cut");
    assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
    assert!(progress.exists(), "the state of the upload is kept");
    assert_eq!(moved.load(Ordering::Relaxed), 16 << 20);
    proxy.cut_next(0);
    let rest = AtomicU64::new(0);
    let count = |more| {
        rest.fetch_add(more, Ordering::Relaxed);
    };
    home.upload("big", &source, &progress, &count).expect("uploaded");
    assert_eq!(rest.into_inner(), 40_000_000 - (16 << 20));
    let target = folder.path().join("target");
    home.download("big", &target, &|_| {}).expect("downloaded");
    assert!(fs_err::read(&target).expect("read") == bytes);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let environment = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:9".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
        _ => None,
    };
    let home = remote::open("s3://data/x", Path::new("."), &environment).expect("opened");
    let error = home.get("a").expect_err("nobody there").to_string();
    assert!(error.contains("s3://data/x") && error.contains("could not be reached"), "{error}");
}

#[test]
fn credentials_that_are_wrong_are_told_apart_from_a_server_that_is_away() {
    let Some(server) = S3Server::start_strict() else { return };
    open(&server, None, "s3://data").put("a", b"b").expect("the right credentials");
    let environment = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(server.endpoint.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("wrong".to_owned()),
        _ => None,
    };
    let home = remote::open("s3://data", Path::new("."), &environment).expect("opened");
    for error in [home.get("a").expect_err("get"), home.put("a", b"c").expect_err("put")] {
        assert!(matches!(error, RemoteError::Refused { .. }), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

/// A server of one object; returns its address, and what each request was. `answer` gives the head of what is answered, and
/// the body, to a method.
fn server_of(answer: fn(&str) -> (&'static str, &'static str)) -> (String, Arc<Mutex<Vec<String>>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let Some(request) = lines.next() else { continue };
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let method = request.split(' ').next().unwrap_or_default();
            seen.lock().expect("no test has panicked").push(method.to_owned());
            let (head, body) = answer(method);
            let answer = format!(
                "HTTP/1.1 {head}\r\nETag: \"x\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                 Connection: close\r\n\r\n{body}"
            );
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    (format!("http://{address}"), asked)
}

fn open_at(endpoint: &str) -> Box<dyn ObjectHome> {
    let variables =
        [("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];
    let environment =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    remote::open("s3://data", Path::new("."), &environment).expect("opened")
}

#[test]
fn an_object_that_was_replaced_while_it_was_fetched_ends_the_download() {
    // It says it has ten bytes, and sends none of those that are not here yet.
    let (endpoint, _) = server_of(|method| match method {
        "HEAD" => ("200 OK\r\nContent-Length: 10", ""),
        _ => ("206 Partial Content\r\nContent-Range: bytes 3-9/10\r\nContent-Length: 0", ""),
    });
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("a");
    std::fs::write(&file, "abc").expect("written");
    let error = open_at(&endpoint).download("a", &file, &|_| {}).expect_err("nothing came").to_string();
    assert!(error.contains("`a` ends at byte 3, and had 10 bytes: it was replaced meanwhile"), "{error}");
}

#[test]
fn an_object_is_fetched_with_one_request() {
    let (endpoint, asked) = server_of(|_| ("200 OK\r\nContent-Length: 5", "12345"));
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("a");
    open_at(&endpoint).download("a", &file, &|_| {}).expect("downloaded");
    assert_eq!(std::fs::read(&file).expect("there"), b"12345");
    assert_eq!(*asked.lock().expect("no panic"), ["GET"]);
    // An empty one as well, and one that is not there is named.
    let (endpoint, _) = server_of(|_| ("200 OK\r\nContent-Length: 0", ""));
    let file = folder.path().join("b");
    open_at(&endpoint).download("b", &file, &|_| {}).expect("downloaded");
    assert_eq!(std::fs::read(&file).expect("there"), b"");
    let (endpoint, _) = server_of(|_| ("404 Not Found\r\nContent-Length: 0", ""));
    let error = open_at(&endpoint).download("c", &folder.path().join("c"), &|_| {}).expect_err("not there");
    assert!(matches!(error, RemoteError::Missing { .. }), "{error}");
}
