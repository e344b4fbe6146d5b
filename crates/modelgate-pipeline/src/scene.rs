//! What tests of the life of a version start from: a project whose runs took place in this process.

mod tests;

use modelgate_core::lifecycle::Event;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::Registry;

use crate::options::{
    ApprovalAnswer, ApprovalRequest, Approver, Reporter, RunOptions, StageReport, Surroundings,
};
use crate::project::Project;
use crate::promotion::{PromotionRequest, promote};
use crate::stage::Stage;

/// A pipeline whose models wait for a person.
const CONFIG: &str = "version: 1
project: shop
pipelines:
  p:
    task: classification
    data: {source: data.csv, target: y}
    train: {algorithm: random_forest, params: {n_estimators: 2}}
    gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.6}]}
    promotion: {approval: required}
";

/// Somebody who reports nothing and answers nothing.
pub(crate) struct Silent;

impl Reporter for Silent {
    fn started(&mut self, _stage: Stage) {}
    fn note(&mut self, _sentence: &str) {}
    fn finished(&mut self, _report: &StageReport) {}
}

impl Approver for Silent {
    fn ask(&mut self, _request: &ApprovalRequest) -> ApprovalAnswer {
        ApprovalAnswer::Nobody
    }
}

pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) project: Project,
}

impl Scene {
    /// A project in which `versions` versions of `p` were judged, approved and promoted in turn.
    pub(crate) fn new(versions: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = (0..120).map(|row| format!("{}.5,{},{}\n", row % 10, row % 7, u8::from(row % 10 >= 5)));
        let table = "a,b,y\n".to_owned() + &rows.collect::<String>();
        fs_err::write(folder.path().join("data.csv"), table).expect("written");
        let project = configured(&folder, "", 1);
        let mut scene = Self { folder, project };
        for version in 1..=versions {
            scene.run(version);
            scene.promote(version);
        }
        scene
    }

    /// Sets more of the project file.
    pub(crate) fn configure(&mut self, more: &str) {
        self.project = configured(&self.folder, more, 1);
    }

    /// Judges and registers a version by a seed of its own, and approves it.
    pub(crate) fn run(&mut self, version: u32) {
        let seeded = configured(&self.folder, "", version);
        let pipeline = seeded.pipeline(Some("p")).expect("a pipeline");
        let ran = crate::run::run(&pipeline, &RunOptions::default(), &around(), &mut Silent, &mut Silent);
        assert!(ran.is_ok(), "{:?}", ran.err());
        self.apply(version, &Event::Approve { reason: String::new() });
    }

    pub(crate) fn promote(&self, version: u32) {
        let mut registry = self.registry();
        let request = PromotionRequest {
            model: model(),
            version: VersionNumber(version),
            over: crate::production::version(&registry, &model()),
            reason: String::new(),
            override_quarantine: false,
        };
        promote(&self.project, &mut registry, &request, &around()).expect("promoted");
    }

    pub(crate) fn registry(&self) -> Registry {
        crate::run::registry(&self.project).expect("a registry")
    }

    /// Writes an event as a command does that is killed behind it.
    pub(crate) fn apply(&self, version: u32, event: &Event) {
        let (version, now) = (VersionNumber(version), (around().now)());
        self.registry().apply(&model(), version, event, &now, "tester").expect("allowed");
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn configured(folder: &tempfile::TempDir, more: &str, seed: u32) -> Project {
    let text = format!("{CONFIG}{more}");
    fs_err::write(folder.path().join("modelgate.yaml"), text).expect("written");
    let environment = |name: &str| (name == "MODELGATE_SEED").then(|| seed.to_string());
    Project::find(folder.path(), &environment).expect("a project")
}

pub(crate) fn model() -> ModelName {
    "p".parse().expect("a name")
}

pub(crate) fn around() -> Surroundings<'static> {
    Surroundings { now: &|| jiff::Timestamp::now().to_string(), actor: "tester".to_owned() }
}
