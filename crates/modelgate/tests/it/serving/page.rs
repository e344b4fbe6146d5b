//! The page in a real browser: Chromium, driven through chromedriver over the W3C `WebDriver` protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelgate_testing::send;
use serde_json::{Value, json};

use super::{project, service};

/// The key under which `WebDriver` names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
}

impl Browser {
    /// Starts a browser; `None`, having said so, where there is none.
    fn start() -> Option<Self> {
        let driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = driver else {
            modelgate_testing::skip("chromedriver is not installed (Debian: chromium-driver)");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().expect("stdout")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.rsplit_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let config = ureq::config::Config::builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{}/session", port.expect("a port")),
            agent: config.into(),
        };
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

    fn open(&self, url: &str) {
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

    fn text(&self, selector: &str) -> String {
        let element = self.find(selector);
        self.ask("GET", &format!("/element/{element}/text"), &Value::Null)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn until_text(&self, selector: &str, part: &str) {
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
    fn keys(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    fn script(&self, script: &str) -> Value {
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

#[test]
fn a_person_fills_the_form_and_sees_the_answer() {
    let Some(browser) = Browser::start() else { return };
    let project = project();
    let service = service(&project, &[]);
    browser.open(&service.url);
    browser.until_text("#title", "shop");
    browser.until_text("#about", "v001");
    browser.until_text("#about", "passed its gate");
    assert_eq!(
        browser.script("return [...document.querySelectorAll('#fields select')].map(one => one.name)"),
        json!(["region"])
    );

    // A value that is none: the field says so, and has the focus.
    browser.script("document.getElementById('field-0').value = ''");
    browser.keys("#field-0", "old\u{e007}");
    browser.until_text("#field-0-error", "expected a whole number from 18 to 77; got a string");
    browser.until_text("#form-error", "not what the model takes");
    assert_eq!(browser.script("return [document.activeElement.id, document.getElementById('field-0').getAttribute('aria-invalid'), document.getElementById('result').hidden]"),
        json!(["field-0", "true", true]));

    // By keyboard alone: a number, then Enter.
    browser.script("document.getElementById('field-0').value = ''");
    browser.keys("#field-0", "18\u{e007}");
    browser.until_text("#prediction", "no");
    browser.until_text("#version", "v001");
    browser.until_text("#version", "sha256:");
    browser.until_text("#bars", "%");
    browser.until_text("#contributions", "age");
    assert_eq!(browser.text("#field-0-error"), "");
    let answer = service.post("/predict/shop", &browser.script("return row()")).is(200).json();
    assert_eq!(answer["predictions"], json!(["no"]));

    // Nothing is wider than a phone, nothing came from elsewhere, nothing failed.
    let fits = browser.script("return document.documentElement.scrollWidth <= window.innerWidth");
    let own = browser.script(
        "return performance.getEntriesByType('resource').every(one => one.name.startsWith(location.origin))",
    );
    assert_eq!((fits, own), (json!(true), json!(true)));

    // An administrator reloads.
    browser.script("document.querySelector('details').open = true");
    browser.keys("#token", "wrong\u{e007}");
    browser.until_text("#admin-result", "administrator's token");
    browser.script("document.getElementById('token').value = ''");
    browser.keys("#token", "right\u{e007}");
    browser.until_text("#admin-result", "newest already");

    browser.open(&format!("{}/docs", service.url));
    browser.until_text("body", "/predict/shop");
}
