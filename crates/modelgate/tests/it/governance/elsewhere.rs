//! A package that no run of the project made.

use modelgate_testing::TestProject;

use super::policies::with_promotion;
use super::{CONFIG, easy, project};
use crate::BINARY;

#[test]
fn a_package_made_elsewhere_is_judged_here() {
    let maker = project(CONFIG, 1);
    let package = maker.path("models/packaged/p");
    let package = package.to_str().expect("path");
    let few = |config: &str| config.replace("at_least: 0.7", "at_least: 0.7, min_samples: 2");
    let config = with_promotion("approval: required");
    let taker = TestProject::with(BINARY, &easy(), &config);
    let take = ["model", "promote", "p", "--from-run", package, "--reason", "from CI"];
    // It was made of these data with another seed: few rows are left that it has not learned from.
    taker.run(&take).exits(3).says("the package was trained on them");
    let taker = TestProject::with(BINARY, &easy(), &few(&config));
    for _ in 0..2 {
        taker
            .run(&take)
            .exits(4)
            .says("v001: passed")
            .says("waits for approval")
            .says("this import once more");
    }
    let _ = taker.run(&["model", "approve", "p"]).exits(0);
    taker.run(&take).exits(0).says("p v001 is in production");
    assert_eq!(super::packaged(&taker), super::packaged(&maker));
    taker.run(&take).exits(0).says("p v001 is this package, and in production already");
    assert!(!taker.run(&["model", "list"]).exits(0).stdout.contains("v002"));
    let automatic = TestProject::with(BINARY, &easy(), &few(CONFIG));
    automatic.run(&take).exits(4).says("promotion.approval is automatic, and a person decides of v001");
    let _ = automatic.run(&["model", "approve", "p"]).exits(0);
    automatic.run(&take).exits(0).says("v001 is in production");
    let position = super::registry(&automatic).position();
    automatic.run(&take).exits(0).says("p v001 is this package, and in production already");
    assert_eq!(super::registry(&automatic).position(), position);
    // Its own verdict says nothing here.
    let strict =
        TestProject::with(BINARY, &easy(), &CONFIG.replace("at_least: 0.7", "at_most: 0.1, min_samples: 2"));
    strict.run(&take).exits(2).says("v001: failed");
    // Nor is there a reason to try again where the data here are not as they should be.
    let held = CONFIG.replace("target: y}", "target: y, contract: c.yaml}");
    let held = TestProject::with(BINARY, &easy(), &held);
    held.write("c.yaml", "version: 1\ncolumns: {a: {type: float, max: 1}, b: {type: int}, y: {type: int}}\n");
    held.run(&take).exits(2).says("the data do not keep their contract");
    let other = TestProject::with(BINARY, &easy(), &CONFIG.replace("  p:\n", "  q:\n"));
    let foreign = ["model", "promote", "q", "--from-run", package];
    other.run(&foreign).exits(1).says("holds a package of `p`, not of `q`");
    let mut bytes = fs_err::read(maker.path("models/packaged/p/model.onnx")).expect("model");
    bytes[40] ^= 1;
    maker.write("models/packaged/p/model.onnx", bytes);
    taker.run(&take).exits(1).says("`model.onnx` was changed");
}
