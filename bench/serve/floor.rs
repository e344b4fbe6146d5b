//! A server that does nothing: each request gets the same two letters, from a thread of its connection that waits for it. What
//! its slowest requests take is what the machine adds to those of any server. Built by `run.sh` with `rustc -O`.
//!
//!     floor PORT

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Answers requests that come in one piece each, until the connection ends.
fn serve(mut stream: TcpStream) {
    let mut buffer = [0; 64 << 10];
    let _ = stream.set_nodelay(true);
    while let Ok(1..) = stream.read(&mut buffer) {
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_err() {
            return;
        }
    }
}

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("floor PORT");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}
