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

    /// Sets the size of the window and the scheme of colours that a person prefers.
    fn dress(&self, width: u32, height: u32, scheme: &str) {
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
    fn picture(&self, name: &str) -> Vec<u8> {
        let text = self.ask("GET", "/screenshot", &Value::Null);
        let bytes = base64(text.as_str().expect("a picture"));
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        fs_err::create_dir_all(&folder).expect("a folder");
        fs_err::write(folder.join(name), &bytes).expect("written");
        bytes
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

#[test]
fn a_form_has_labels_units_and_a_field_for_a_key_in_light_and_dark() {
    let Some(browser) = Browser::start() else { return };
    let project = modelgate_testing::TestProject::with(crate::BINARY, &super::table(300), super::CONFIG);
    project.replace("modelgate.yaml", "source: data.csv,", "source: data.csv, contract: contract.yaml,");
    project.write(
        "contract.yaml",
        "version: 1\nextra_columns: allow\ncolumns:\n  age: {type: int, min: 0, max: 120, label: Age at signing, unit: years}\n  \
         income: {type: float, min: 0, label: Monthly income, unit: EUR}\n",
    );
    let _ = project.run(&["run"]).exits(0);
    let mut command = super::serve(&project, &[]);
    command.env("MODELGATE_API_KEYS", "open-sesame");
    let service = modelgate_testing::Service::ready(command);
    browser.dress(400, 900, "light");
    browser.open(&service.url);
    browser.until_text("label[for=field-0]", "Age at signing (years)");
    browser.until_text("#field-0-hint", "0 to 120 · training: 18 to 77");
    browser.until_text("#field-1-hint", "at least 0");

    // Without the key the page asks for it, and with it the answer comes.
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#form-error", "asks for a key");
    assert_eq!(
        browser.script("return [document.activeElement.id, document.getElementById('access').hidden]"),
        json!(["key", false])
    );
    let phone = browser.picture("phone-light-key.png");
    browser.script("document.getElementById('field-0').value = '18'");
    browser.keys("#key", "open-sesame\u{e007}");
    browser.until_text("#version", "v001");
    browser.until_text("#contributions", "Age at signing");
    // What the contract does not allow is said beside its field.
    browser.script("document.getElementById('field-0').value = '121'");
    browser.keys("#field-1", "\u{e007}");
    browser.until_text("#field-0-error", "expected from 0 to 120, by the data contract");
    browser.picture("phone-light-error.png");
    browser.script("document.getElementById('field-0').value = '40'");
    browser.keys("#field-1", "\u{e007}");
    browser.until_text("#version", "v001");
    let mut pictures = vec![phone];
    for (width, height, scheme, name) in [
        (400, 900, "light", "phone-light.png"),
        (400, 900, "dark", "phone-dark.png"),
        (1280, 900, "light", "desktop-light.png"),
        (1280, 900, "dark", "desktop-dark.png"),
    ] {
        browser.dress(width, height, scheme);
        let fits = browser.script("return document.documentElement.scrollWidth <= window.innerWidth");
        assert_eq!(fits, json!(true), "{name}");
        // Text and ground differ enough to be read by people who see little (WCAG 2, 4.5 to 1).
        let contrast = browser.script(CONTRAST);
        assert!(contrast.as_f64().is_some_and(|contrast| contrast >= 4.5), "{name}: {contrast}");
        pictures.push(browser.picture(name));
    }
    for (at, one) in pictures.iter().enumerate() {
        assert!(one.starts_with(b"\x89PNG") && one.len() > 5000, "picture {at}");
        assert!(pictures[..at].iter().all(|other| other != one), "picture {at} is another one's");
    }
}

/// The least contrast of the texts on the page with the ground that they stand on.
const CONTRAST: &str = "
const light = (text) => {
  const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return getComputedStyle(document.body).backgroundColor;
};
const seen = [...document.querySelectorAll('h1, h2, p, label, span, button, a, input, select, summary')]
  .filter((one) => one.offsetParent && one.textContent.trim());
return Math.min(...seen.map((one) => {
  const [a, b] = [light(getComputedStyle(one).color), light(ground(one))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}));
";
