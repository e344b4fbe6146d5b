//! The page of `data profile` in a real browser, and names that nobody should give to columns.

use modelgate_testing::TestProject;
use serde_json::json;

use crate::BINARY;
use crate::browser::Browser;

/// Names with what is a sign in CSV, YAML, HTML, JSON, a template or a regular expression.
const NAMES: [&str; 8] =
    ["quote\"d", "it's", "\u{1f600} smile", "{x}", "<b>bold</b>", "a: b, c #d", "$(id) `id`", "ünï [0]"];

/// Sixty rows: numbers below the odd names, text below the last, and a target of two classes.
fn project() -> TestProject {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = NAMES.map(quoted).join(",") + ",y\n";
    for row in 0..60 {
        let numbers: Vec<String> = (1..NAMES.len()).map(|column| (row * column % 17).to_string()).collect();
        let word = quoted(["<script>alert(1)</script>", "& \"so\" on", "plain"][row % 3]);
        text.push_str(&format!(
            "{},{word},{}\n",
            numbers.join(","),
            ["no", "yes"][usize::from(row % 17 > 8)]
        ));
    }
    let config = "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {source: data.csv, target: y, contract: \
                  contracts/p.yaml}\n    train: {algorithm: random_forest, params: {n_estimators: 5}}\n    gate: {rules: [{metric: accuracy, \
                  at_least: 0.1}]}\n    promotion: {approval: automatic}\n";
    TestProject::with(BINARY, &text, config)
}

#[test]
fn a_person_sees_the_profile_of_columns_with_hostile_names() {
    let Some(browser) = Browser::start() else { return };
    let project = project();
    let _ = project.run(&["data", "profile", "--html", "profile.html"]).exits(0);
    browser.open(&format!("file://{}", project.path("profile.html").display()));
    browser.until_text("h1", "data.csv");
    browser.until_text("body", "60 rows × 9 columns");
    // A card for each column and one for the correlations; a histogram for each column of numbers.
    let count =
        |selector: &str| browser.script(&format!("return document.querySelectorAll('{selector}').length"));
    assert_eq!((count(".grid section"), count("section"), count("svg")), (json!(9), json!(10), json!(7)));
    let names =
        browser.script("return [...document.querySelectorAll('h3')].map(one => one.firstChild.data.trim())");
    let mut expected: Vec<&str> = NAMES.to_vec();
    expected.push("y");
    assert_eq!(names, json!(expected), "to the letter");
    assert_eq!(
        (count("b"), count("script")),
        (json!(0), json!(0)),
        "nothing of the data became part of the page"
    );
    browser.until_text(".grid section:nth-child(8)", "<script>alert(1)</script>");
    browser.until_text(".grid section:nth-child(1)", "most frequent");
    // The histograms are drawn, each bin with rows as a bar.
    let drawn = "return [...document.querySelectorAll('svg')].every(one => { const box = one.getBoundingClientRect(); \
                 return box.width > 100 && box.height > 50 && [...one.querySelectorAll('rect')].some(bar => \
                 bar.getBoundingClientRect().height > 30) })";
    assert_eq!(browser.script(drawn), json!(true));
    // Nothing is wider than a phone, and nothing is fetched.
    assert_eq!(
        browser.script("return document.documentElement.scrollWidth <= window.innerWidth"),
        json!(true)
    );
    assert_eq!(browser.script("return performance.getEntriesByType('resource').length"), json!(0));
}

#[test]
fn columns_with_odd_names_go_the_whole_way() {
    let project = project();
    project
        .run(&["data", "validate", "--infer"])
        .exits(0)
        .says("wrote contracts/p.yaml: 9 columns, from 60 rows");
    project.run(&["data", "validate"]).exits(0).says("all hold");
    project.run(&["run"]).exits(0).says("p v001 is").says("production");
    project.run(&["data", "profile"]).exits(0).says("{x}").says("<b>bold</b>");
    let page = project.run(&["report", "html"]).exits(0).stdout;
    assert!(
        !page.contains("<b>bold</b>") && page.contains("&lt;b&gt;bold&lt;/b&gt;"),
        "names are escaped in the report"
    );
    project.run(&["report", "markdown"]).exits(0).says("passed");
    let schema = project.read("models/packaged/p/manifest.json");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert!(NAMES.iter().all(|name| schema.to_string().contains(&json!(name).to_string())), "{schema}");
    let odcs = project.run(&["data", "contract", "export"]).exits(0).stdout;
    project.write("open.yaml", odcs);
    project.run(&["data", "validate", "--odcs", "--contract", "open.yaml"]).exits(0).says("all hold");
}
