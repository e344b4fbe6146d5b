//! The page in a real browser.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use serde_json::{Value, json};

use super::{project, service};
use crate::browser::Browser;

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
        json!(["region", "member"])
    );

    // A value that is none: the field says so, and has the focus.
    browser.script("document.getElementById('field-0').value = ''");
    browser.keys("#field-0", "old\u{e007}");
    browser.until_text("#field-0-error", "expected a whole number from 18 to 77; got a string");
    browser.until_text("#form-error", "not what the model takes");
    assert_eq!(browser.script("return [document.activeElement.id, document.getElementById('field-0').getAttribute('aria-invalid'), document.getElementById('result').hidden]"),
        json!(["field-0", "true", true]));

    // A comma that may be one between thousands is asked about and nothing is sent; one before decimals is read.
    browser.script("document.getElementById('form').reset()");
    browser.script("document.getElementById('field-1').value = ''");
    browser.keys("#field-1", "2,500\u{e007}");
    browser.until_text("#field-1-error", "this may be 2500 or 2.500: write one of them");
    assert_eq!(
        browser.script(
            "return [document.activeElement.id, document.getElementById('result').hidden, document.getElementById('submit').disabled]"
        ),
        json!(["field-1", true, false])
    );
    let read = |text: &str| {
        browser.script(&format!(
            "return [value({{ type: 'float' }}, '{text}'), unclear({{ type: 'float' }}, '{text}') === null]"
        ))
    };
    for (text, number) in
        [("2,5", 2.5), ("-2,50", -2.5), ("0,125", 0.125), ("1234,567", 1234.567), ("2.5", 2.5)]
    {
        assert_eq!(read(text), json!([number, true]), "{text}");
    }
    for text in ["2,500", "-12,345", "1,234,567", "2,500.5", "2.500,5", "1,"] {
        assert_eq!(read(text), json!([text, false]), "{text}");
    }
    // A field that is empty is called so.
    browser.script("document.getElementById('form').reset()");
    browser.script("document.getElementById('field-0').value = ''");
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#field-0-error", "it is empty; expected a whole number from 18 to 77");
    // True and false are chosen, in the field of a feature that has them.
    browser.script("document.getElementById('form').reset()");
    for word in ["true", "false"] {
        browser.script(&format!("document.getElementById('field-3').value = '{word}'"));
        assert_eq!(browser.script("return row().member"), json!(word == "true"));
    }
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#version", "v001");
    // Only then may the form be sent again.
    browser.until_text("#why", "typical value");
    assert_eq!(
        (browser.text("#field-1-error"), browser.text("#field-3-error")),
        (String::new(), String::new())
    );
    browser.script("document.getElementById('form').reset()");

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
    let resources = browser.script("return performance.getEntriesByType('resource').map(one => one.name)");
    let resources = resources.as_array().expect("a list").clone();
    assert!(resources.iter().any(|one| one.as_str().is_some_and(|one| one.ends_with("/openapi.json"))));
    let foreign = |one: &&Value| !one.as_str().is_some_and(|one| one.starts_with(&service.url));
    assert_eq!(resources.iter().filter(foreign).collect::<Vec<_>>(), Vec::<&Value>::new());
    // Nor does the page refer to anything elsewhere that it would load later.
    let referred = browser.script(
        "return [...document.querySelectorAll('[src], link[href]')].map((one) => one.src || one.href)
           .filter((one) => !one.startsWith(location.origin) && !one.startsWith('data:'))",
    );
    assert_eq!(referred, json!([]));
}

#[test]
fn the_page_is_walked_through_and_used_by_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let project = project();
    let service = service(&project, &[]);
    browser.dress(400, 400, "light");
    browser.open(&service.url);
    browser.until_text("#title", "shop");
    // Where the focus is; an outline has to show it, and nothing may lie over it where it is scrolled to. A browser scrolls in its
    // own time after the key, and a busy one may not: the script does it then.
    let at = || {
        let look = || {
            browser.script(
                "const one = document.activeElement, style = getComputedStyle(one);
                 const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
                 const { left, bottom } = one.getBoundingClientRect();
                 const there = document.elementFromPoint(left + 5, bottom - 2);
                 return [one.id || one.textContent.trim(), seen && there === one, one.tabIndex >= 0,
                         { seen, there: there && there.outerHTML.slice(0, 80), left, bottom, innerHeight, scrollY }];",
            )
        };
        let (began, mut found) = (std::time::Instant::now(), look());
        while found[1] != json!(true) && began.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(100));
            browser.script("document.activeElement.scrollIntoView({ block: 'nearest' })");
            found = look();
        }
        let name = found[0].as_str().unwrap_or_default().to_owned();
        assert_eq!((&found[1], &found[2]), (&json!(true), &json!(true)), "`{name}`: {}", found[3]);
        name
    };
    let next = || {
        browser.press(TAB);
        at()
    };
    for expected in [
        "field-0",
        "field-1",
        "field-2",
        "field-3",
        "submit",
        "Typical values",
        "For administrators",
        "All paths",
        "Health",
        "Metrics",
    ] {
        assert_eq!(next(), expected);
    }
    // And back, by the keys alone, to send the form.
    let back = || {
        browser.press_with(SHIFT, TAB);
        at()
    };
    for expected in ["Health", "All paths", "For administrators"] {
        assert_eq!(back(), expected);
    }
    // What is folded opens by a key, and what is in it is reached.
    browser.press(" ");
    assert_eq!(next(), "token");
    for letter in ["r", "i", "g", "h", "t", ENTER] {
        browser.press(letter);
    }
    browser.until_text("#admin-result", "newest already");
    assert_eq!(back(), "For administrators");
    for expected in ["Typical values", "submit"] {
        assert_eq!(back(), expected);
    }
    browser.press(ENTER);
    browser.until_text("#version", "v001");
    browser.until_text("#bars", "%");
    // A select is changed by the arrow keys.
    let region = "return document.querySelector('#fields select').value";
    let before = browser.script(region);
    while back() != browser.script("return document.querySelector('#fields select').id") {}
    let moved = [DOWN, UP].iter().any(|key| {
        browser.press(key);
        browser.script(region) != before
    });
    assert!(moved, "the region stays {before}");
}

/// Keys, as `WebDriver` names them.
const TAB: &str = "\u{e004}";
const SHIFT: &str = "\u{e008}";
const ENTER: &str = "\u{e007}";
const UP: &str = "\u{e013}";
const DOWN: &str = "\u{e015}";

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
    browser.keys("#key", "wrong\u{e007}");
    browser.until_text("#form-error", "does not take this key");
    browser.until_text("#access-result", "this key is wrong");
    browser.script("document.getElementById('key').value = ''");
    browser.script("document.getElementById('field-0').value = '18'");
    browser.keys("#key", "open-sesame\u{e007}");
    browser.until_text("#version", "v001");
    browser.until_text("#contributions", "Age at signing");
    // What the contract does not allow is said beside its field.
    browser.script("document.getElementById('field-0').value = '121'");
    browser.keys("#field-1", "\u{e007}");
    browser.until_text("#field-0-error", "it is too large; expected from 0 to 120, by the data contract");
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

#[test]
fn on_a_phone_the_answer_is_brought_into_view() {
    let Some(browser) = Browser::start() else { return };
    let mut table = (0..20).map(|at| format!("measure_{at},")).collect::<String>() + "member,label\n";
    for row in 0..200 {
        let cells = (0..20).map(|at| format!("{}.5,", (row * (at + 3)) % 17)).collect::<String>();
        let member = ["true", "false", ""][row % 3];
        table.push_str(&format!("{cells}{member},{}\n", if row * 3 % 17 > 8 { "yes" } else { "no" }));
    }
    let project = modelgate_testing::TestProject::with(crate::BINARY, &table, super::CONFIG);
    let _ = project.run(&["run"]).exits(0);
    let service = service(&project, &[]);
    browser.dress(390, 844, "light");
    browser.open(&service.url);
    browser.until_text("#title", "shop");
    // Who listens to the page hears of an answer by a part that was there before.
    let heard =
        "const said = document.getElementById('said'); return [said.getAttribute('role'), said.textContent]";
    assert_eq!(browser.script(heard), json!(["status", ""]));
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#why", "typical value");
    let seen = "const { top, bottom } = document.getElementById('prediction').getBoundingClientRect();
                return [top >= 0 && bottom <= innerHeight, document.activeElement.id];";
    let began = std::time::Instant::now();
    while browser.script(seen) != json!([true, "result"]) {
        assert!(began.elapsed().as_secs() < 30, "{}", browser.script(seen));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    browser.picture("phone-answer.png");
    assert_eq!(browser.script(heard)[1], json!(format!("Answer: {}", browser.text("#prediction"))));
    // Beside the form it is seen anyway: who changes one field after the other stays where he is.
    browser.dress(1280, 900, "light");
    browser.script("scrollTo(0, 0)");
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#said", "Answer");
    assert_eq!(browser.script("return document.activeElement.id"), json!("field-0"));
    browser.until_text("#why", "typical value");
    booleans_some_of_which_are_missing(&browser, &service);
    numbers_and_names_as_they_came(&browser);
    what_goes_wrong_takes_nothing_away(&browser);
}

fn booleans_some_of_which_are_missing(browser: &Browser, service: &modelgate_testing::Service) {
    let options = "return [...document.getElementById('field-20').options].map((one) => one.textContent)";
    assert_eq!(browser.script(options), json!(["(none)", "true", "false"]));
    for (word, sent) in [("true", json!(true)), ("false", json!(false)), ("", Value::Null)] {
        let row =
            browser.script(&format!("document.getElementById('field-20').value = '{word}'; return row()"));
        assert_eq!(row["member"], sent);
        let answer = service.post("/predict/shop", &row).is(200).json();
        assert_eq!(answer["warnings"], Value::Null, "{answer}");
    }
}

/// No digit of an answer or of what a value is held against is left out; what training had is told in six. A name is a name whatever
/// it means to a browser.
fn numbers_and_names_as_they_came(browser: &Browser) {
    let found = browser.script(
        "answered({ predictions: [602292.3], version: 'v001', digest: 'sha256:0' });
         const shown = $('prediction').textContent, before = model;
         const bounds = hint({ type: 'float', allowed: { max: 602292.3 }, range: [0.1234567, 1234567.5] });
         $('field-0').value = '5.5';
         model = { features: [{ name: '__proto__', type: 'float' }] };
         const sent = JSON.stringify(row());
         model = before;
         return [shown, bounds, sent];",
    );
    let bounds = "at most 602292.3 · training: 0.123457 to 1234568";
    assert_eq!(found, json!(["602292.3", bounds, "{\"__proto__\":5.5}"]));
}

fn what_goes_wrong_takes_nothing_away(browser: &Browser) {
    // Why it is so cannot be said: the answer stays.
    browser.script(
        "window.asked = call;
         call = (path, options) => path.startsWith('explain') ? Promise.reject(new Error('busy')) : asked(path, options);",
    );
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#why", "cannot be said now: busy");
    let seen = browser.script("return [$('result').hidden, $('form-error').hidden, $('submit').disabled]");
    assert_eq!(seen, json!([false, true, false]));
    // Another model does not come: this one stays, also in the picker and the address.
    browser.script(
        "$('model').replaceChildren(...['shop', 'other'].map((one) => element('option', { value: one })));
         $('model').value = 'other';
         call = () => Promise.reject(new Error('gone'));
         pick();",
    );
    browser.until_text("#form-error", "other cannot be shown now: gone");
    let seen = browser
        .script("return [$('model').value, $('title').textContent, location.search, $('submit').disabled]");
    assert_eq!(seen, json!(["shop", "shop", "", false]));
    // Of two that were asked for the last one is shown, whichever comes first.
    browser.script(
        "const waiting = [], named = (name) => ({ ...model, name });
         call = () => new Promise((come) => waiting.push(come));
         load('first'); load('second');
         waiting[1](named('second')); waiting[0](named('first'));",
    );
    browser.until_text("#title", "second");
    browser.script("call = asked; load('shop')");
    browser.until_text("#title", "shop");
    // Open since before the features changed: the form is made anew, with what stood in it.
    browser.script(
        "const [first, , ...others] = model.features;
         model = { ...model, version: 'v000', features: [{ ...first, name: 'gone' }, ...others] };
         $('fields').replaceChildren(...model.features.map(field));
         $('field-1').value = '3.25';",
    );
    browser.keys("#field-1", "\u{e007}");
    browser.until_text("#form-error", "has version v001 by now");
    let seen = browser.script(
        "return [model.features.length, $('field-2').value, document.activeElement.id,
                 [...document.querySelectorAll('#fields .error')].map((one) => one.textContent).join('')]",
    );
    assert_eq!(seen, json!([21, "3.25", "field-2", ""]));
    browser.picture("renewed.png");
    browser.keys("#field-2", "\u{e007}");
    browser.until_text("#version", "v001");
}

#[test]
fn the_pages_work_below_a_path_of_a_proxys_own() {
    let Some(browser) = Browser::start() else { return };
    let project = project();
    let service = service(&project, &[]);
    let proxy = proxied(service.url.trim_start_matches("http://"));
    browser.open(&format!("http://{proxy}/ml/"));
    browser.until_text("#title", "shop");
    browser.keys("#field-0", "\u{e007}");
    browser.until_text("#why", "typical value");
    let links = "return [...document.querySelectorAll('footer a')].map((one) => new URL(one.href).pathname)";
    assert_eq!(browser.script(links), json!(["/ml/docs", "/ml/health", "/ml/metrics"]));
    let below =
        "return performance.getEntriesByType('resource').filter((one) => !one.name.startsWith('data:')
                   && !new URL(one.name).pathname.startsWith('/ml/')).map((one) => one.name)";
    assert_eq!(browser.script(below), json!([]));
    // The page of the paths, also as its folder, tries them where they are.
    for path in ["docs", "docs/"] {
        browser.open(&format!("http://{proxy}/ml/{path}"));
        browser.until_text("body", "/predict/shop");
        assert_eq!(browser.script(below), json!([]), "{path}");
    }
    let press = |selector: &str| {
        browser.until_text(selector, "");
        browser.script(&format!("document.querySelector('{selector}').click()"));
    };
    press("#operations-health-live .opblock-summary-control");
    press("#operations-health-live .try-out__btn");
    press("#operations-health-live .execute");
    browser.until_text("#operations-health-live .live-responses-table", "200");
    browser.until_text("#operations-health-live .request-url", &format!("http://{proxy}/ml/health/live"));
}

/// A reverse proxy that has the service below `/ml/`; what is not below it is not found. Returns its address.
fn proxied(service: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let service = service.to_owned();
    std::thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            let service = service.clone();
            std::thread::spawn(move || pass_on(caller, &service));
        }
    });
    address
}

/// Passes one request on, without its `/ml`, and the answer back.
fn pass_on(mut caller: TcpStream, service: &str) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        caller.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let Some((method, rest)) = head.split_once(" /ml/") else {
        return caller
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .ok();
    };
    let mut service = TcpStream::connect(service).ok()?;
    let lines = rest.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let head = format!("{method} /{}\r\nconnection: close\r\n\r\n", kept.join("\r\n"));
    service.write_all(head.as_bytes()).ok()?;
    let mut body = caller.try_clone().ok()?;
    let mut sent = service.try_clone().ok()?;
    std::thread::spawn(move || std::io::copy(&mut body, &mut sent));
    std::io::copy(&mut service, &mut caller).ok()?;
    caller.shutdown(Shutdown::Both).ok()
}
