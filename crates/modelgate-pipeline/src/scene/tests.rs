//! How versions leave production, come back to it and go, with commands that are killed and others that come between.

use std::path::PathBuf;

use modelgate_config::NotifyEvent;
use modelgate_core::lifecycle::{Event, Stage};
use modelgate_core::{Digest, VersionNumber};
use modelgate_model::LeftPackages;
use modelgate_model::signing::PrivateKey;

use super::{Scene, around, model};
use crate::error::PipelineError;
use crate::notify::Notice;
use crate::options::Surroundings;
use crate::rollback::{self, RollbackRequest, RolledBack};
use crate::unfinished::{self, Work, recover};
use crate::{retention, signature};

const BAD: &str = "trained on the leaked column";

/// The public key of [`key`].
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEHhhTL9R1TALzBB2cdc6zO4P/2BrH\n\
    zk/ogsyxyYvFiW6kbDEcTi/0DdlqNlPm5FRF0y3+SG7O11x6kMahiIHAow==\n-----END PUBLIC KEY-----\n";

impl Scene {
    fn mark(&self) -> PathBuf {
        self.path(".modelgate/unfinished/p.json")
    }

    fn digest(&self, version: u32) -> Digest {
        self.registry().registration(&model(), VersionNumber(version)).expect("registered").digest
    }

    fn packaged(&self) -> Option<Digest> {
        modelgate_model::verify(&self.path("models/packaged/p")).ok()
    }

    /// The version that is to be deployed.
    fn deployed(&self) -> serde_json::Value {
        let bytes = fs_err::read(self.path("outputs/p/deployment_manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        manifest["version"].clone()
    }

    fn stage(&self, version: u32) -> Stage {
        self.registry().model(&model()).expect("a model").versions[&VersionNumber(version)].stage
    }

    fn quarantine(&self, version: u32) -> Result<Digest, PipelineError> {
        let (mut registry, version) = (self.registry(), VersionNumber(version));
        rollback::quarantine(&self.project, &mut registry, &model(), version, BAD, &around())
    }

    fn take_out(&self, version: u32) {
        let (mut registry, version) = (self.registry(), VersionNumber(version));
        rollback::take_out(&self.project, &mut registry, &model(), version, BAD, &around()).expect("out");
    }

    fn go_back(&self, from: Option<u32>, to: u32) -> Result<RolledBack, PipelineError> {
        rollback::rollback(&self.project, &mut self.registry(), &to_version(from, to), &around())
    }

    /// What a collection in ten days would remove.
    fn leaving(&self) -> Vec<u32> {
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(240);
        let plan = retention::plan(&self.project, &self.registry(), &later.to_string()).expect("a plan");
        plan.versions.iter().map(|one| one.version.0).collect()
    }
}

fn to_version(from: Option<u32>, to: u32) -> RollbackRequest {
    RollbackRequest {
        model: model(),
        to: VersionNumber(to),
        from: from.map(VersionNumber),
        reason: BAD.to_owned(),
        skip_verification: false,
        override_quarantine: false,
    }
}

/// A private key that nobody has: its number is made of sevens.
fn key(scene: &Scene) -> PrivateKey {
    let name = "EC PRIVATE KEY";
    let text = "MDECAQEEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHoAoGCCqGSM49\nAwEH";
    let path = scene.path("own.key");
    fs_err::write(&path, format!("-----BEGIN {name}-----\n{text}\n-----END {name}-----\n")).expect("written");
    signature::private_key(&path).expect("a key")
}

#[test]
fn a_quarantine_of_production_that_broke_off_behind_the_ledger_is_completed_by_the_next_command() {
    let scene = Scene::new(1);
    // Nothing can be written there: the command ends between the ledger and the folder.
    let blocked = scene.path("models/packaged/.quarantined.json");
    fs_err::create_dir_all(&blocked).expect("made");
    let said = scene.quarantine(1).expect_err("the folder cannot be written");
    let sentence = "p v001 is quarantined, and nothing is in production, by the ledger, and the files of this checkout could not \
        follow";
    assert!(said.to_string().contains(sentence), "{said}");
    assert_eq!(said.notices()[0].event, NotifyEvent::Quarantined, "it is told now");
    assert_eq!(scene.stage(1), Stage::Quarantined);
    assert_eq!(scene.packaged(), Some(scene.digest(1)), "it is still where production loads it from");
    assert!(recover(&scene.project, &around()).error.is_some() && scene.mark().exists(), "it is tried again");
    fs_err::remove_dir(&blocked).expect("removed");
    let recovered = recover(&scene.project, &around());
    assert!(recovered.sentences[0].contains("they do now, in production is nothing"), "{recovered:?}");
    assert!(recovered.notices.is_empty(), "it was told");
    assert!(scene.packaged().is_none() && scene.deployed().is_null() && !scene.mark().exists());
    assert!(recover(&scene.project, &around()).sentences.is_empty(), "it is done once");
}

#[test]
fn a_signature_of_production_that_broke_off_behind_the_ledger_is_brought_to_its_package() {
    let scene = Scene::new(1);
    let (key, named, mut registry) = (key(&scene), (&model(), VersionNumber(1)), scene.registry());
    let project = &scene.project;
    signature::rehearse_signature(project, &registry, named, &key, "", &around())
        .expect("nothing is against it");
    assert!(scene.registry().model(&model()).expect("a model").versions[&named.1].signature.is_none());
    // Somebody puts a file of his own there when nothing stands against it any more.
    let stranger = scene.path("models/packaged/p/notes.txt");
    let now = || {
        fs_err::write(&stranger, "precious").expect("written");
        (around().now)()
    };
    let crossed = Surroundings { now: &now, actor: "tester".to_owned() };
    signature::sign_registered(project, &mut registry, named, &key, "", &crossed).expect_err("a stranger's");
    fs_err::remove_file(&stranger).expect("removed");
    let recovered = recover(project, &around());
    assert!(
        recovered.sentences[0].contains("had not followed a signature of p: they do now"),
        "{recovered:?}"
    );
    assert!(scene.path("models/packaged/p/model.sig").is_file() && !scene.mark().exists());
}

#[test]
fn a_rollback_whose_files_did_not_follow_took_place_and_is_not_done_once_more() {
    let scene = Scene::new(3);
    let project = &scene.project;
    let manifest = scene.path("outputs/p/deployment_manifest.json");
    fs_err::remove_file(&manifest).expect("removed");
    fs_err::create_dir_all(manifest.join("in-the-way")).expect("made");
    rollback::check_followed(project, &scene.registry(), &model()).expect("nothing is behind");
    let said = scene.go_back(Some(3), 2).expect_err("a folder is in the way");
    let sentence = "p v002 is in production again, and v003 is quarantined, by the ledger";
    assert!(said.to_string().contains(sentence), "{said}");
    let told: Vec<NotifyEvent> = said.notices().iter().map(|notice| notice.event).collect();
    assert_eq!(told, [NotifyEvent::RolledBack, NotifyEvent::Quarantined]);
    assert!(recover(project, &around()).error.is_some(), "it is tried again");
    let refused = rollback::check_followed(project, &scene.registry(), &model()).expect_err("it took place");
    let refused = refused.to_string();
    assert!(refused.contains("v002 is in production now") && refused.contains("--from v002"), "{refused}");
    // Of a version that is not in production too.
    let left = scene.path("models/packaged/.quarantined.json");
    fs_err::remove_file(&left).expect("removed");
    fs_err::create_dir_all(left.join("in-the-way")).expect("made");
    let said = scene.quarantine(1).expect_err("a folder is in the way").to_string();
    assert!(said.contains("p v001 is quarantined by the ledger"), "{said}");
    fs_err::remove_dir_all(&left).expect("removed");
    fs_err::remove_dir_all(&manifest).expect("removed");
    let recovered = recover(project, &around());
    assert!(
        recovered.sentences[0].contains("had not followed a rollback of p: they do now"),
        "{recovered:?}"
    );
    let named = LeftPackages::read(&scene.path("models/packaged"));
    assert_eq!(named.version(&scene.digest(1)), Some(VersionNumber(1)));
    assert!(scene.deployed() == 2 && !scene.mark().exists());
    rollback::check_followed(project, &scene.registry(), &model()).expect("nothing is behind");
}

#[test]
fn the_mark_of_a_version_before_is_completed_and_goes() {
    let scene = Scene::new(1);
    drop(unfinished::begin(&scene.project, Work::Promotion, &model(), VersionNumber(1)).expect("a mark"));
    let former = scene.path(".modelgate/unfinished.json");
    fs_err::rename(scene.mark(), &former).expect("moved");
    let recovered = recover(&scene.project, &around());
    assert!(recovered.sentences[0].contains("in production is v001") && !former.exists(), "{recovered:?}");
}

#[test]
fn a_mark_of_one_model_stays_when_another_is_worked_on_and_when_nothing_comes_of_a_later_one() {
    let scene = Scene::new(1);
    let (own, other) = (model(), "q".parse().expect("a name"));
    let begin = |model, version| {
        unfinished::begin(&scene.project, Work::Promotion, model, VersionNumber(version)).expect("a mark")
    };
    let interrupted = begin(&own, 1);
    drop(interrupted);
    let left = fs_err::read(scene.mark()).expect("a mark");
    begin(&other, 1).end().expect("done");
    begin(&other, 1).undo().expect("nothing done");
    begin(&own, 2).undo().expect("nothing done");
    assert_eq!(fs_err::read(scene.mark()).expect("a mark"), left);
    assert!(!scene.path(".modelgate/unfinished/q.json").exists());
    let recovered = recover(&scene.project, &around());
    assert!(recovered.sentences[0].contains("in production is v001"), "{recovered:?}");
    assert_eq!(recovered.notices[0].event, NotifyEvent::Promoted);
    begin(&own, 1).end().expect("done");
    assert!(!scene.mark().exists());
}

#[test]
fn what_a_killed_removal_left_goes_and_nothing_is_to_be_deployed() {
    let scene = Scene::new(1);
    drop(unfinished::begin(&scene.project, Work::TakeOut, &model(), VersionNumber(1)).expect("a mark"));
    scene.apply(1, &Event::Quarantine { was_production: Some(true), reason: BAD.to_owned() });
    // It is on its way out, in one step, and was killed before all of it had gone.
    let leaving = scene.path("models/packaged/.p.1.0123456789abcdef.0.tmp");
    fs_err::rename(scene.path("models/packaged/p"), &leaving).expect("moved");
    fs_err::remove_file(leaving.join("manifest.json")).expect("removed");
    assert_eq!(scene.deployed(), 1);
    let recovered = recover(&scene.project, &around());
    assert!(recovered.error.is_none() && recovered.sentences[0].contains("is completed"), "{recovered:?}");
    assert!(!leaving.exists() && scene.deployed().is_null());
}

#[test]
fn a_quarantine_that_crosses_a_promotion_is_refused_and_a_former_production_comes_back_to_an_empty_place() {
    let mut scene = Scene::new(1);
    scene.run(2);
    let mut late = scene.registry();
    scene.promote(2);
    // Decided when v002 was not in production, and nobody had been told what leaves with it.
    let version = VersionNumber(2);
    let refused = rollback::quarantine(&scene.project, &mut late, &model(), version, BAD, &around());
    let refused = refused.expect_err("it is in production").to_string();
    assert!(refused.contains("v002 reached production since this was decided"), "{refused}");
    assert_eq!(scene.stage(2), Stage::Production);
    let refused = scene.quarantine(2).expect_err("v001 can be gone back to").to_string();
    assert!(refused.contains("goes back to v001"), "{refused}");

    let mut late = scene.registry();
    scene.take_out(2);
    // Whoever meant to leave v002 is told that it has left.
    let project = &scene.project;
    let refused = rollback::rollback(project, &mut late, &to_version(Some(2), 1), &around());
    assert!(refused.is_err() && scene.stage(1) == Stage::Archived);
    let refused = scene.go_back(Some(2), 1).expect_err("nothing is there").to_string();
    assert!(refused.contains("nothing is in production, where v002 was"), "{refused}");
    let registry = scene.registry();
    let found = rollback::targets(&registry, &model(), 9).expect("read");
    assert_eq!(found.iter().map(|one| one.version.0).collect::<Vec<_>>(), [1]);
    assert_eq!(rollback::default_target(&registry, &model()).expect("there"), VersionNumber(1));
    let refused = scene.go_back(None, 2).expect_err("it is quarantined").to_string();
    assert!(refused.contains("the package of v002 is quarantined"), "{refused}");
    rollback::rehearse(project, &registry, &to_version(None, 1), &around()).expect("nothing is against it");
    assert_eq!(scene.stage(1), Stage::Archived);
    let done = scene.go_back(None, 1).expect("back");
    assert_eq!(done, RolledBack { from: None, to: VersionNumber(1), digest: scene.digest(1) });
    assert_eq!(scene.packaged(), Some(scene.digest(1)));
    assert!(scene.deployed() == 1 && !scene.mark().exists());
    // Who decided while nothing was there leaves what has come there since.
    let refused = scene.go_back(None, 1).expect_err("it is there").to_string();
    assert!(refused.contains("v001 is in production, where nothing was"), "{refused}");
}

#[test]
fn a_collection_leaves_what_can_be_gone_back_to_and_what_is_damaged_fills_no_place() {
    let mut scene = Scene::new(3);
    scene.configure("retention: {keep: 1d, rollback_targets: 1}\n");
    assert_eq!(scene.leaving(), [1]);
    let model_of =
        scene.registry().registration(&model(), VersionNumber(2)).expect("v002").files["model.onnx"];
    let hex = model_of.hex();
    let object = scene.path(&format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..]));
    let aside = scene.path("aside");
    fs_err::rename(&object, &aside).expect("moved");
    assert_eq!(scene.leaving(), [2], "v001 alone can take over");
    fs_err::rename(&aside, &object).expect("moved back");
    scene.take_out(3);
    assert_eq!(scene.leaving(), [1, 3], "v002 can be gone back to, also while nothing is in production");
    // Unsigned it cannot take over as it lies: it stays, since it may be signed, and so does what is signed.
    scene.project.config.signing.require_signature = true;
    assert_eq!(scene.leaving(), [1, 3]);
    let key = key(&scene);
    fs_err::write(scene.path("own.pub"), PUBLIC).expect("written");
    scene.project.config.signing.public_keys = vec!["own.pub".to_owned()];
    let mut registry = scene.registry();
    let named = (&model(), VersionNumber(1));
    signature::sign_registered(&scene.project, &mut registry, named, &key, "", &around()).expect("signed");
    assert_eq!(scene.leaving(), [3]);
}

#[test]
fn what_is_quarantined_is_named_beside_the_packages_when_its_artefacts_are_gone_too() {
    let mut scene = Scene::new(2);
    scene.quarantine(1).expect("it is not in production");
    let named = || LeftPackages::read(&scene.path("models/packaged")).version(&scene.digest(1));
    assert_eq!(named(), Some(VersionNumber(1)));
    scene.apply(1, &Event::RemoveArtefacts { reason: "retention".to_owned() });
    let follow =
        || crate::promotion::materialise(&scene.project, &scene.registry(), &model()).expect("followed");
    follow();
    assert_eq!(named(), Some(VersionNumber(1)));
    // A mark that the ledger, taken back to an earlier day, does not know stays; what a person took out goes.
    let (folder, lost) = (scene.path("models/packaged"), Digest::of(b"lost"));
    let marks = [(scene.digest(1), VersionNumber(1)), (lost, VersionNumber(9))];
    let text = serde_json::to_vec(&LeftPackages::default().with(&model(), marks)).expect("JSON");
    fs_err::write(folder.join(".quarantined.json"), text).expect("written");
    scene.apply(1, &Event::Override { reason: "the feed was wrong".to_owned() });
    follow();
    assert_eq!(LeftPackages::read(&folder).of(&model()).collect::<Vec<_>>(), [(lost, VersionNumber(9))]);
    scene.configure("notify: {url: \"http://127.0.0.1:9/\", allow_private: true}\n");
    // Kept before the event, which was never written: nobody hears of it.
    let never = Notice::quarantined(&model(), VersionNumber(2), scene.digest(2), BAD);
    let folder = scene.path(".modelgate/untold");
    fs_err::create_dir_all(&folder).expect("made");
    fs_err::write(folder.join("one.json"), serde_json::to_string(&never).expect("JSON")).expect("written");
    let recovered = recover(&scene.project, &around());
    assert!(recovered.notices.is_empty() && !folder.join("one.json").exists(), "{recovered:?}");
    assert!(recovered.sentences[0].contains("not told, since it is not so by the ledger"), "{recovered:?}");
}

#[test]
fn what_was_in_production_may_be_signed_whatever_is_required_since() {
    let mut scene = Scene::new(2);
    scene.run(3);
    scene.configure("policy: {required_rules: [{id: floor, metric: f1, at_least: 0.1}]}\n");
    let registry = scene.registry();
    let check = |version| {
        signature::check_signable(&scene.project, &registry, &model(), VersionNumber(version), false)
    };
    check(1).expect("a rollback asks for its signature alone");
    check(2).expect("it is in production");
    let refused = check(3).expect_err("a promotion asks for the rule").to_string();
    assert!(refused.contains("judged without `floor`"), "{refused}");
}

#[test]
fn a_folder_that_nobody_signed_is_checked_by_its_manifest() {
    let scene = Scene::new(1);
    let folder = scene.path("models/packaged/p");
    assert_eq!(signature::verify_unsigned_folder(&folder).expect("whole"), scene.digest(1));
    fs_err::write(folder.join("model.onnx"), "damaged").expect("written");
    let refused = signature::verify_unsigned_folder(&folder).expect_err("damaged").to_string();
    assert!(refused.contains("model.onnx"), "{refused}");
    let refused =
        signature::verify_unsigned_folder(&scene.path("models")).expect_err("no package").to_string();
    assert!(refused.contains("neither a `model.sig` nor"), "{refused}");
}
