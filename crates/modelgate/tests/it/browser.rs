//! Chromium, driven through chromedriver over the W3C `WebDriver` protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelgate_testing::send;
use serde_json::{Value, json};

/// The key under which `WebDriver` names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with the window of a phone.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
}

/// Starts a driver of browsers and returns it with its port; `None`, having said so, where there is none.
fn driver() -> Option<(Child, String)> {
    for _ in 0..5 {
        let started =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = started else {
            modelgate_testing::skip("chromedriver is not installed (Debian: chromium-driver)");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().expect("stdout")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.rsplit_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        if let Some(port) = port {
            return Some((driver, port));
        }
        // It found its port taken by another that started at the same time, and has ended.
        driver.wait().expect("it ended");
    }
    panic!("no driver says its port")
}

impl Browser {
    /// Starts a browser; `None`, having said so, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let (driver, port) = driver()?;
        let config = ureq::config::Config::builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let mut browser =
            Self { driver, session: format!("http://127.0.0.1:{port}/session"), agent: config.into() };
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=400,900",
        ];
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": flags } } } });
        let made = browser.ask("POST", "", &wanted);
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("{made}"));
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if method == "POST" { Some(body.to_string()) } else { None };
        let headers = [("content-type", "application/json")];
        let url = format!("{}{path}", self.session);
        let reply = send(&self.agent, method, &url, &headers, text.as_ref().map(String::as_bytes))
            .expect("an answer");
        reply.json()["value"].clone()
    }

    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    fn find(&self, selector: &str) -> String {
        let began = Instant::now();
        loop {
            let found = self.ask("POST", "/element", &json!({ "using": "css selector", "value": selector }));
            if let Some(element) = found[ELEMENT].as_str() {
                return element.to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no {selector}: {found}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn text(&self, selector: &str) -> String {
        let element = self.find(selector);
        self.ask("GET", &format!("/element/{element}/text"), &Value::Null)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn until_text(&self, selector: &str, part: &str) {
        let began = Instant::now();
        while !self.text(selector).contains(part) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{selector} says {:?}, not {part:?}",
                self.text(selector)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types into the focused element, key by key.
    pub(crate) fn keys(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses a key, wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        self.strokes(&[("keyDown", key), ("keyUp", key)]);
    }

    /// Presses a key while another is held.
    pub(crate) fn press_with(&self, held: &str, key: &str) {
        self.strokes(&[("keyDown", held), ("keyDown", key), ("keyUp", key), ("keyUp", held)]);
    }

    fn strokes(&self, strokes: &[(&str, &str)]) {
        let strokes: Vec<Value> =
            strokes.iter().map(|(kind, key)| json!({ "type": kind, "value": key })).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.ask("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// Sets the size of the window and the scheme of colours that a person prefers.
    pub(crate) fn dress(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        for (command, parameters) in [
            ("Emulation.setDeviceMetricsOverride", size),
            ("Emulation.setEmulatedMedia", json!({ "features": features })),
        ] {
            self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
        }
    }

    /// Takes a picture of what is seen, as PNG, and keeps it below `target/`.
    pub(crate) fn picture(&self, name: &str) -> Vec<u8> {
        let text = self.ask("GET", "/screenshot", &Value::Null);
        let bytes = base64(text.as_str().expect("a picture"));
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        fs_err::create_dir_all(&folder).expect("a folder");
        fs_err::write(folder.join(name), &bytes).expect("written");
        bytes
    }

    /// Shows the page as it is printed by a person who prefers this scheme of colours.
    pub(crate) fn on_paper(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let parameters = json!({ "media": "print", "features": features });
        self.ask(
            "POST",
            "/goog/cdp/execute",
            &json!({ "cmd": "Emulation.setEmulatedMedia", "params": parameters }),
        );
    }

    /// Prints the page, as PDF.
    pub(crate) fn print(&self) -> Vec<u8> {
        let text = self.ask("POST", "/print", &json!({}));
        base64(text.as_str().unwrap_or_else(|| panic!("{text}")))
    }

    pub(crate) fn script(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, or else with its driver.
        let _ = send(&self.agent, "DELETE", &self.session, &[], None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Reads base64; what is none of it is passed over.
fn base64(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}
