//! `--dry-run` of decisions: what they would do, what stands against them, and nothing that is written.

use super::{CONFIG, project};

#[test]
fn decisions_are_rehearsed_and_nothing_is_written() {
    let waiting = CONFIG.replace("approval: automatic", "approval: required");
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", &waiting);
    let third = project.command(&["run"]).env("MODELGATE_SEED", "3").output().expect("started");
    assert_eq!(third.status.code(), Some(4), "{}", String::from_utf8_lossy(&third.stderr));
    let ledger = || project.read(".modelgate/ledger.jsonl");
    let before = (ledger(), project.read("baselines/p.json"));
    let rehearsed = |command: &[&str]| project.run(&[&["model"], command, &["--dry-run"]].concat());
    for (command, would) in [
        (&["approve", "p"][..], "p: v003 would be approved; nothing was done"),
        (&["reject", "p", "--reason", "no"], "p: v003 would be rejected; nothing was done"),
        (&["stage", "p"], "p: v003 would be in staging; nothing was done"),
        (&["quarantine", "p", "v001", "--reason", "no"], "p: v001 would be quarantined; nothing was done"),
        (&["alias", "p", "best", "v001"], "p: v001 would be what `best` points at; nothing was done"),
    ] {
        assert_eq!(rehearsed(command).exits(0).stdout.trim_end(), would);
        assert_eq!((ledger(), project.read("baselines/p.json")), before, "{command:?}");
    }
    // What stands against a decision stands against its rehearsal.
    for (command, code, said) in [
        (&["promote", "p"][..], 1, "approve"),
        (&["reject", "p"], 64, "--reason is needed"),
        (&["quarantine", "p", "v002"], 64, "--reason is needed"),
        (&["approve", "p", "v001"], 1, "archived"),
        (&["stage", "p", "v002"], 1, "v002 is production and cannot be staged"),
        (&["promote", "p", "v009"], 1, "v009"),
        (&["rollback", "p", "--to-version", "9", "--yes", "--reason", "no"], 1, "9"),
        (
            &["rollback", "p", "--from", "1", "--yes", "--reason", "no"],
            1,
            "v002 is in production, where v001 was",
        ),
        (&["alias", "p", "champion", "v001"], 1, "champion"),
        (&["alias", "p", "none", "--delete"], 1, "none"),
    ] {
        rehearsed(command).exits(code).says(said);
        project.run(&[&["model"], command].concat()).exits(code).says(said);
        assert_eq!((ledger(), project.read("baselines/p.json")), before, "{command:?}");
    }
    // What waits is tried in staging, and approved there.
    project.run(&["model", "stage", "p", "--reason", "to be tried"]).exits(0).says("--stage staging");
    project.run(&["model", "show", "p", "challenger"]).exits(0).says("v003 is staging");
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    let _ = project.run(&["model", "alias", "p", "best", "v001"]).exits(0);
    let before = (ledger(), project.read("baselines/p.json"));
    rehearsed(&["promote", "p"]).exits(0).says("v003 would be in production in place of v002");
    rehearsed(&["promote", "p", "--over", "v001"]).exits(1).says("v002");
    rehearsed(&["alias", "p", "best", "--delete"])
        .exits(0)
        .says("v001 would no longer be what `best` points at");
    let json = project.run(&["--output-format", "json", "model", "promote", "p", "--dry-run"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&json["dry_run"], &json["version"]), (&true.into(), &3.into()), "{json}");
    assert_eq!((ledger(), project.read("baselines/p.json")), before);
    let promoted = project.run(&["--output-format", "json", "model", "promote", "p"]).exits(0);
    let promoted: serde_json::Value = serde_json::from_str(&promoted.stdout).expect("JSON");
    assert_eq!((&promoted["stage"], &promoted["version"]), (&"production".into(), &3.into()), "{promoted}");
    let bad = ["--output-format", "json", "model", "quarantine", "p", "v001", "--reason", "bad"];
    let bad: serde_json::Value = serde_json::from_str(&project.run(&bad).exits(0).stdout).expect("JSON");
    assert_eq!(bad["stage"], "quarantined", "{bad}");
    assert_eq!(project.json("baselines/p.json")["version"], 3);
}
