//! A real S3 server for tests: moto's, from the Python that `MODELGATE_INTEROP_DATA_PYTHON` names; and proxies that cut
//! connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const START: &str = r#"
import sys, threading
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer
# moto looks whether there is an object, and writes it, in two steps: of two writers at once both would win.
put, one_at_a_time = S3Response.put_object, threading.Lock()
def put_in_one_step(self):
    with one_at_a_time:
        return put(self)
S3Response.put_object = put_in_one_step
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
import boto3
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                      aws_access_key_id="test", aws_secret_access_key="secret")
client.create_bucket(Bucket="data")
key, secret = "test", "secret"
if sys.argv[1:] == ["strict"]:
    iam = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                       aws_access_key_id="test", aws_secret_access_key="secret")
    iam.create_user(UserName="user")
    made = iam.create_access_key(UserName="user")["AccessKey"]
    key, secret = made["AccessKeyId"], made["SecretAccessKey"]
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=policy)
print(port, key, secret, flush=True)
for line in sys.stdin:
    method, bucket, key = line.split()
    if method == "flip":
        body = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        body[0] ^= 1
        client.put_object(Bucket=bucket, Key=key, Body=bytes(body))
    print("done", flush=True)
"#;

/// Returns the Python with DVC and moto's server, or says that the test is skipped.
pub fn data_python() -> Option<std::path::PathBuf> {
    let python = std::env::var_os("MODELGATE_INTEROP_DATA_PYTHON").map(Into::into);
    if python.is_none() {
        crate::skip("MODELGATE_INTEROP_DATA_PYTHON names no Python with DVC and moto's server");
    }
    python
}

/// An S3 server on a free port with an empty bucket `data`; ended when dropped.
#[derive(Debug)]
pub struct S3Server {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
    /// Its address, `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// The id of the access key that it takes.
    pub key_id: String,
    /// The key's secret.
    pub secret: String,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl S3Server {
    /// Starts a server that takes any credentials, or says that the test is skipped.
    ///
    /// # Panics
    /// When the Python is there and cannot start it.
    pub fn start() -> Option<Self> {
        Self::launch("open")
    }

    /// Starts a server that checks who asks.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_strict() -> Option<Self> {
        Self::launch("strict")
    }

    fn launch(mode: &str) -> Option<Self> {
        let mut command = Command::new(data_python()?);
        if mode == "strict" {
            // The calls that set the server up; everything behind them is checked.
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", "4");
        }
        command.args(["-c", START, mode]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("started");
        let mut answers = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("a line");
        let mut words = line.split_whitespace().map(ToOwned::to_owned);
        let (Some(port), Some(key_id), Some(secret)) = (words.next(), words.next(), words.next()) else {
            panic!("the server did not start: `{line}`");
        };
        Some(Self { process, answers, endpoint: format!("http://127.0.0.1:{port}"), key_id, secret })
    }

    /// Changes the first byte of an object behind everybody's back.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn flip_first_byte(&mut self, bucket: &str, key: &str) {
        let stdin = self.process.stdin.as_mut().expect("piped");
        writeln!(stdin, "flip {bucket} {key}").expect("asked");
        stdin.flush().expect("asked");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        assert_eq!(line.trim(), "done", "the object {key} could not be changed");
    }

    /// Returns the variables that lead to this server, at another address if one is given.
    pub fn variables(&self, endpoint: Option<&str>) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", endpoint.unwrap_or(&self.endpoint).to_owned()),
            ("AWS_ACCESS_KEY_ID", self.key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}

/// A TCP proxy that closes connections after so many bytes from the server, so often.
#[derive(Debug)]
pub struct CuttingProxy {
    /// Its address, `http://127.0.0.1:PORT`.
    pub endpoint: String,
    cuts_left: Arc<AtomicI64>,
    cut: Arc<AtomicUsize>,
}

impl CuttingProxy {
    /// Starts a proxy to `endpoint` that cuts the first `cuts` connections in which more than `limit` bytes move,
    /// in either direction.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(endpoint: &str, limit: usize, cuts: i64) -> Self {
        let target: SocketAddr = endpoint.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let cuts_left = Arc::new(AtomicI64::new(cuts));
        let cut = Arc::new(AtomicUsize::new(0));
        let (left, done) = (Arc::clone(&cuts_left), Arc::clone(&cut));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(target) else { continue };
                let ends = [(&client, &server), (&server, &client)];
                for (from, to) in ends {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let (left, done) = (Arc::clone(&left), Arc::clone(&done));
                    std::thread::spawn(move || relay(from, to, limit, &left, &done));
                }
            }
        });
        Self { endpoint: format!("http://{address}"), cuts_left, cut }
    }

    /// Sets how many more connections are cut from now on; 0 lets everything through.
    pub fn cut_next(&self, cuts: i64) {
        self.cuts_left.store(cuts, Ordering::SeqCst);
    }

    /// Returns how many connections were cut.
    pub fn cuts(&self) -> usize {
        self.cut.load(Ordering::SeqCst)
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, limit: usize, left: &AtomicI64, done: &AtomicUsize) {
    let mut block = vec![0; 64 << 10];
    let mut moved = 0;
    while let Ok(read @ 1..) = from.read(&mut block) {
        if to.write_all(&block[..read]).is_err() {
            break;
        }
        moved += read;
        if moved > limit && left.fetch_sub(1, Ordering::SeqCst) > 0 {
            done.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// What a connection breaks before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The server has the request; its answer is lost.
    Answer,
    /// The server never has the request.
    Request,
}

/// Which requests are lost.
#[derive(Clone, Debug)]
struct Loss {
    lost: Lost,
    /// How the line of a request begins.
    method: &'static str,
    /// What its path holds.
    part: &'static str,
    /// So many different paths are let through before.
    spared: usize,
    /// So many requests are still to be lost.
    left: usize,
    seen: Vec<String>,
}

/// An HTTP proxy that loses requests, or the answers to them, as a network does: the connection ends without a word.
#[derive(Debug)]
pub struct LosingProxy {
    /// Its address, `http://127.0.0.1:PORT`.
    pub endpoint: String,
    loss: Arc<Mutex<Option<Loss>>>,
    lost: Arc<AtomicUsize>,
}

impl LosingProxy {
    /// Starts a proxy to `endpoint` that lets everything through.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(endpoint: &str) -> Self {
        let target: SocketAddr = endpoint.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (loss, lost) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let shared = (Arc::clone(&loss), Arc::clone(&lost));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (loss, lost) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                std::thread::spawn(move || {
                    // Who is cut off has lost nothing else.
                    let _ = hand_on(&client, target, &loss, &lost);
                    let _ = client.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { endpoint: format!("http://{address}"), loss, lost }
    }

    /// Loses from now on every request of `method` whose path holds `part`, and its repetitions, but for the first
    /// `spared` paths.
    ///
    /// # Panics
    /// When a thread of the proxy did.
    pub fn lose(&self, lost: Lost, method: &'static str, part: &'static str, spared: usize) {
        self.begin(Loss { lost, method, part, spared, left: usize::MAX, seen: Vec::new() });
    }

    /// Loses the next request of `method` whose path holds `part`, and nothing after it.
    ///
    /// # Panics
    /// As [`Self::lose`].
    pub fn lose_once(&self, lost: Lost, method: &'static str, part: &'static str) {
        self.begin(Loss { lost, method, part, spared: 0, left: 1, seen: Vec::new() });
    }

    fn begin(&self, loss: Loss) {
        *self.loss.lock().expect("no panic") = Some(loss);
        self.lost.store(0, Ordering::SeqCst);
    }

    /// Lets everything through again, and returns how many requests were lost.
    ///
    /// # Panics
    /// As [`Self::lose`].
    pub fn lose_nothing(&self) -> usize {
        *self.loss.lock().expect("no panic") = None;
        self.lost.load(Ordering::SeqCst)
    }
}

impl Loss {
    /// Returns whether a request, by its first line, is lost.
    fn hits(&mut self, line: &str) -> bool {
        let mut words = line.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return false };
        if method != self.method || !path.contains(self.part) {
            return false;
        }
        let place = self.seen.iter().position(|seen| seen == path).unwrap_or_else(|| {
            self.seen.push(path.to_owned());
            self.seen.len() - 1
        });
        let hit = place >= self.spared && self.left > 0;
        self.left -= usize::from(hit);
        hit
    }
}

/// Hands one request on and its answer back, and ends the connection: the next request has its own.
fn hand_on(
    client: &TcpStream,
    target: SocketAddr,
    loss: &Mutex<Option<Loss>>,
    lost: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        let ends = line == "\r\n";
        if ends {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        head.extend_from_slice(line.as_bytes());
        if ends {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let first = String::from_utf8_lossy(&head);
    let first = first.lines().next().unwrap_or_default();
    let hit = {
        let mut loss = loss.lock().map_err(|_| std::io::Error::other("a thread panicked"))?;
        loss.as_mut().and_then(|loss| loss.hits(first).then_some(loss.lost))
    };
    if hit.is_some() {
        lost.fetch_add(1, Ordering::SeqCst);
    }
    if hit == Some(Lost::Request) {
        return Ok(());
    }
    let mut server = TcpStream::connect(target)?;
    server.write_all(&head)?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if hit.is_none() {
        let mut client = client;
        client.write_all(&answer)?;
    }
    Ok(())
}
