//! The plots by their names, and `report.html` as a person opens it.

use std::collections::BTreeSet;

use modelgate_testing::TestProject;
use serde_json::json;

use super::planted;
use crate::BINARY;
use crate::browser::Browser;

/// The files in the folder of plots must be these in all their forms, light and dark, and each what its name says.
#[track_caller]
fn has_plots(project: &TestProject, pipeline: &str, names: &[&str]) {
    let folder = format!("outputs/{pipeline}/plots");
    let entries = fs_err::read_dir(project.path(&folder)).expect("plots");
    let found: BTreeSet<String> =
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    let forms = ["svg", "dark.svg", "png", "dark.png"];
    let expected: BTreeSet<String> =
        names.iter().flat_map(|name| forms.map(|form| format!("{name}.{form}"))).collect();
    assert_eq!(found, expected);
    for name in names {
        let file = |form: &str| {
            fs_err::read(project.path(&format!("{folder}/{name}.{form}")))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let [light, dark] = ["svg", "dark.svg"].map(|form| String::from_utf8(file(form)).expect("UTF-8"));
        for (svg, background, other) in [(&light, "#FFFFFF", "#0D1117"), (&dark, "#0D1117", "#FFFFFF")] {
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{name}");
            let first = svg.split("<rect ").nth(1).expect("a background");
            assert!(
                first.contains(background) && !svg.contains(&format!("fill=\"{other}\"")),
                "{name}: {first}"
            );
        }
        let texts = |svg: &str| svg.matches("<text ").count();
        assert!(texts(&light) > 2 && texts(&light) == texts(&dark), "{name}");
        for form in ["png", "dark.png"] {
            let bytes = file(form);
            assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n", "{name}.{form}");
            assert_eq!(bytes[16..24], [0, 0, 2, 208, 0, 0, 2, 88], "{name}.{form}: 720 × 600");
        }
        assert_ne!(file("png"), file("dark.png"), "{name}");
    }
}

#[test]
fn a_classifier_has_every_plot_light_and_dark() {
    let (project, _) = planted::in_production();
    let first = [
        "confusion_matrix",
        "roc",
        "precision_recall",
        "calibration",
        "importance",
        "dependence_1",
        "dependence_2",
        "dependence_3",
        "slices",
    ];
    project.replace("modelgate.yaml", "slices: []", "slices: [region]");
    let _ = project.run(&["run"]).exits(0);
    // The figures over versions come with the second one.
    project.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.9}");
    let _ = project.run(&["run"]).exits(0);
    has_plots(&project, "planted", &[&first[..], &["history"]].concat());
    for name in ["confusion_matrix.svg", "confusion_matrix.png"] {
        let [above, inside] = ["", "plots/"]
            .map(|folder| fs_err::read(project.path(&format!("outputs/planted/{folder}{name}"))));
        assert_eq!(above.expect("the main plot"), inside.expect("the main plot"), "{name}");
    }
}

#[test]
fn a_regression_has_every_plot_light_and_dark() {
    let lines: String = (0..400)
        .map(|row| {
            let (a, b, region) = (row * 7 % 101, row * 13 % 89, ["north", "south"][row % 2]);
            format!("{row},{a},{b},{region},{}.25\n", a * 3 + b + row % 2 * 40 + row * 31 % 11)
        })
        .collect();
    let config = "version: 1
project: p
pipelines:
  p:
    task: regression
    data: {source: data.csv, target: y, key: id}
    train: {algorithm: ridge, params: {alpha: 1.0}}
    evaluate: {slices: [region]}
    gate: {rules: [{metric: r2, at_least: 0.5}]}
    promotion: {approval: automatic}
";
    let project = TestProject::with(BINARY, &format!("id,a,b,region,y\n{lines}"), config);
    let _ = project.run(&["run"]).exits(0);
    let plots = [
        "residuals",
        "predicted_actual",
        "importance",
        "dependence_1",
        "dependence_2",
        "dependence_3",
        "slices",
    ];
    has_plots(&project, "p", &plots);
    assert!(
        project.path("outputs/p/residuals.svg").is_file()
            && project.path("outputs/p/residuals.png").is_file()
    );
    project.replace("modelgate.yaml", "alpha: 1.0", "alpha: 2.0");
    let _ = project.run(&["run"]).exits(0);
    has_plots(&project, "p", &[&plots[..], &["history"]].concat());
}

#[test]
fn a_person_reads_the_report_at_600_pixels_and_prints_it() {
    let Some(browser) = Browser::start() else { return };
    let (project, _) = planted::in_production();
    project.replace("modelgate.yaml", "{C: 1.0}", "{C: 0.0001}");
    let _ = project.run(&["run"]).exits(2);
    let hostile = super::hostile();
    for (project, pipeline, said) in [(&project, "planted", "failed"), (&hostile, "p", "inconclusive")] {
        let page = project.path(&format!("outputs/{pipeline}/report.html"));
        for scheme in ["light", "dark"] {
            browser.dress(600, 900, scheme);
            browser.open(&format!("file://{}", page.display()));
            browser.until_text(".verdict", said);
            let wide = "return [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > \
                        window.innerWidth && !one.closest('.wide')).slice(0, 5).map(one => one.outerHTML.slice(0, 200))";
            let beyond = browser.script(wide);
            assert_eq!(beyond, json!([]), "{pipeline}, {scheme}: beyond the edge");
            let scrolls = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
            assert!(
                scrolls.as_i64().is_some_and(|pixels| pixels <= 0),
                "{pipeline}, {scheme}: {scrolls} pixels aside"
            );
            let asked = "return performance.getEntriesByType('resource').map(one => one.name)";
            assert_eq!(browser.script(asked), json!([]), "{pipeline}: nothing is fetched");
            let outside =
                "return [...document.querySelectorAll('[src], link, script, object, iframe, image')].length";
            assert_eq!(browser.script(outside), json!(0), "{pipeline}: nothing could be");
            let plots = "return [...document.querySelectorAll('figure svg')].map(one => one.getBoundingClientRect().width)";
            let widths = browser.script(plots);
            let widths: Vec<f64> =
                widths.as_array().expect("plots").iter().filter_map(serde_json::Value::as_f64).collect();
            assert!(widths.len() > 3 && widths.iter().all(|width| *width > 250.0), "{pipeline}: {widths:?}");
            browser.picture(&format!("report-{pipeline}-{scheme}.png"));
        }
        // Dark stays on the screen: paper is white. It is 718 pixels wide between the margins, and nothing scrolls there.
        browser.dress(718, 1000, "dark");
        browser.on_paper("dark");
        let scrolls = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
        assert!(
            scrolls.as_i64().is_some_and(|pixels| pixels <= 0),
            "{pipeline}: {scrolls} pixels beside the paper"
        );
        let colours = browser.script(
            "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]",
        );
        assert_eq!(colours, json!(["rgb(255, 255, 255)", "rgb(31, 41, 55)"]), "{pipeline}");
        let paper = browser.print();
        assert!(paper.starts_with(b"%PDF-"), "{pipeline}");
        let pages = String::from_utf8_lossy(&paper).matches("/Type /Page\n").count();
        assert!((2..=40).contains(&pages), "{pipeline}: {pages} pages in {} bytes", paper.len());
    }
}
