//! Requests at a rate that does not depend on the answers: an open loop, as users are one. Built by `run.sh` with `rustc -O`.
//!
//!     open_loop HOST:PORT PATH BODY_FILE RATE SECONDS CONNECTIONS
//!
//! A request has its time before the run begins; its latency counts from that time, also when it has to wait for a connection,
//! so that a server that stalls cannot hide what it kept waiting (coordinated omission). One thread asks all connections in
//! turn without sleeping: it needs a core of its own. Prints one line of JSON.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

struct Connection {
    stream: TcpStream,
    /// When the request that is under way was due.
    due: Option<Instant>,
    received: Vec<u8>,
}

/// Returns the status and the whole length of an answer, once its head is there.
fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())?;
    Some((status, end + length))
}

fn connect(address: &str) -> Connection {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream.set_nonblocking(true).expect("no waiting");
    Connection { stream, due: None, received: Vec::new() }
}

fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return false,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, body, rate, seconds, connections] = arguments.as_slice() else {
        eprintln!("open_loop HOST:PORT PATH BODY_FILE RATE SECONDS CONNECTIONS");
        std::process::exit(64);
    };
    let body = std::fs::read(body).expect("a body");
    let rate: f64 = rate.parse().expect("a rate");
    let seconds: f64 = seconds.parse().expect("seconds");
    let count: usize = connections.parse().expect("connections");
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(&body);
    let mut all: Vec<Connection> = (0..count).map(|_| connect(address)).collect();
    let mut idle: VecDeque<usize> = (0..count).collect();
    let total = (rate * seconds) as u64;
    let (mut sent, mut failed) = (0_u64, 0_u64);
    let mut latencies: Vec<u32> = Vec::with_capacity(total as usize);
    let began = Instant::now();
    let due = |number: u64| began + Duration::from_secs_f64(number as f64 / rate);
    // What is not answered long after its time never will be.
    let end = due(total) + Duration::from_secs(30);
    let mut buffer = vec![0; 1 << 20];
    while latencies.len() as u64 + failed < total {
        let now = Instant::now();
        while sent < total && due(sent) <= now {
            let Some(at) = idle.pop_front() else { break };
            let connection = &mut all[at];
            connection.due = Some(due(sent));
            sent += 1;
            if !send(&mut connection.stream, &request) {
                failed += 1;
                *connection = connect(address);
                idle.push_back(at);
            }
        }
        for (at, connection) in all.iter_mut().enumerate() {
            let Some(begun) = connection.due else { continue };
            let broken = match connection.stream.read(&mut buffer) {
                Ok(0) => true,
                Ok(length) => {
                    connection.received.extend(&buffer[..length]);
                    false
                }
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            if broken {
                failed += 1;
                *connection = connect(address);
                idle.push_back(at);
            } else if let Some((status, length)) = head(&connection.received)
                && connection.received.len() >= length
            {
                if status == 200 {
                    latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
                } else {
                    failed += 1;
                }
                connection.received.clear();
                connection.due = None;
                idle.push_back(at);
            }
        }
        if now > end {
            failed = total - latencies.len() as u64;
        }
    }
    let took = began.elapsed().as_micros();
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = ((latencies.len() as f64 * share).ceil() as usize).max(1) - 1;
        latencies.get(place).copied().unwrap_or(0)
    };
    println!(
        "{{\"requests\": {}, \"us\": {took}, \"p50\": {}, \"p99\": {}, \"p999\": {}, \"failed\": {failed}}}",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(0.999)
    );
}
