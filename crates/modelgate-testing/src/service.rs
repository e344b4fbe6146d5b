//! A running prediction service, and requests to it.

use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::NamedTempFile;

/// A service in a process of its own; it is killed when this is dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Such as `http://127.0.0.1:40000`.
    pub url: String,
    /// What goes to stderr: in a file, so that what was said before an answer is there with the answer.
    talk: NamedTempFile,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, by their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub text: String,
}

impl Reply {
    /// Returns the body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Checks the status.
    ///
    /// # Panics
    /// Shows the body when it is another.
    #[track_caller]
    #[must_use]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// Returns the whole lines of a file.
fn said(talk: &NamedTempFile) -> String {
    let mut text = fs_err::read_to_string(talk.path()).expect("read");
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

impl Service {
    /// Starts `command`, a `modelgate serve --port 0 …`, and waits until it listens.
    ///
    /// # Panics
    /// When it ends or says nothing for 60 seconds.
    pub fn start(mut command: Command) -> Self {
        let talk = NamedTempFile::new().expect("a temporary file");
        let stderr = talk.reopen().expect("a temporary file");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("started");
        let began = Instant::now();
        let url = loop {
            let said = said(&talk);
            let line = said.lines().find_map(|line| line.strip_prefix("listening on "));
            if let Some(url) = line.and_then(|line| line.split(' ').next()) {
                break url.to_owned();
            }
            let ended = child.try_wait().expect("a child");
            assert!(
                ended.is_none() && began.elapsed() < Duration::from_secs(60),
                "no service ({ended:?}):\n{said}"
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, url, talk }
    }

    /// Starts `command` and waits until it is ready.
    ///
    /// # Panics
    /// When it is not after 60 seconds.
    pub fn ready(command: Command) -> Self {
        let service = Self::start(command);
        service.until(|service| service.get("/health/ready").status == 200);
        service
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it does not after 60 seconds; shows what the service said.
    pub fn until(&self, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not come:\n{}", self.talk());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the lines that it said on stderr.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn talk(&self) -> String {
        said(&self.talk)
    }

    /// Returns the number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], None)
    }

    /// Sends JSON.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, &[("content-type", "application/json")], Some(body.to_string().as_bytes()))
    }

    /// Sends anything.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        self.try_request(method, path, headers, body).expect("an answer")
    }

    /// Sends anything.
    ///
    /// # Errors
    /// Says why no answer came.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, String> {
        let config = ureq::config::Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        send(&config.into(), method, &format!("{}{path}", self.url), headers, body)
    }

    /// Returns its standard output; what is written before it is read waits in a pipe.
    ///
    /// # Panics
    /// When it was taken before.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output")
    }

    /// Sends a signal, and waits for the end; returns the exit code.
    ///
    /// # Panics
    /// When it does not end in 60 seconds.
    #[cfg(unix)]
    pub fn end(mut self, signal: &str) -> i32 {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no signal was sent");
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end:\n{}", self.talk());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end and returns the exit code.
    ///
    /// # Panics
    /// When there is no child.
    pub fn wait(mut self) -> i32 {
        self.child.wait().expect("a child").code().unwrap_or(-1)
    }
}

/// Sends a request by `agent`, whose connections are used again.
///
/// # Errors
/// Says why no answer came.
pub fn send(
    agent: &ureq::Agent,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Reply, String> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let built = request.body(body.unwrap_or_default().to_vec()).map_err(|error| error.to_string())?;
    let mut response = agent.run(built).map_err(|error| error.to_string())?;
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let (status, headers) = (response.status().as_u16(), headers.collect());
    let body = response.body_mut().with_config().limit(1 << 28);
    let text = body.read_to_string().map_err(|error| error.to_string())?;
    Ok(Reply { status, headers, text })
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
