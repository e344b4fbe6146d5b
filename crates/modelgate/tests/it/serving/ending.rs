//! How a service ends: what is under way is answered, and a second signal waits for nothing.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use modelgate_testing::Service;

use super::limits::{answer, begun, in_flight};
use super::{project, row, service};

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
