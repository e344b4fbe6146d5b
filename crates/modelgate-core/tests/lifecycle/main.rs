//! The one door: whatever is tried in whatever order, nothing reaches production without a passed verdict and an
//! approval of that very package.

mod quarantines;
mod rollouts;

use std::collections::BTreeMap;

use modelgate_core::chain::read_chain;
use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Lineage, Registration, RegistryState, Verification};
use modelgate_core::lifecycle::{Event, ModelState, Stage, step};
use modelgate_core::rollout::{Percent, RolloutState, Steps};
use modelgate_core::schema::Task;
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use proptest::prelude::*;

const TIME: &str = "2026-01-01T00:00:00Z";

fn name() -> ModelName {
    "churn".parse().expect("name")
}

fn registration(number: u32, verdict: Verdict) -> Registration {
    registration_of(number, number, verdict)
}

/// A version whose package is number `package`.
fn registration_of(number: u32, package: u32, verdict: Verdict) -> Registration {
    let digest = Digest::of(&package.to_le_bytes());
    Registration {
        digest,
        verdict,
        verdict_digest: digest,
        bootstrap: number == 1,
        lineage: Lineage {
            run_id: format!("run-{number}").parse().expect("run"),
            config: digest,
            dataset: digest,
            task: Task::Classification,
            algorithm: "random_forest".to_owned(),
            seed: 42,
            trained_at: "2026-01-01T00:00:00Z".to_owned(),
            tool_version: "0.1.0".to_owned(),
        },
        metrics: BTreeMap::from([("f1".to_owned(), 0.9)]),
        files: BTreeMap::new(),
        checks: BTreeMap::new(),
    }
}

fn share(share: u8) -> Percent {
    Percent::new(share).expect("a share")
}

fn steps() -> Steps {
    Steps::new(vec![share(5), share(100)]).expect("steps")
}

#[derive(Clone, Debug)]
enum Try {
    Register(Verdict),
    Do(u32, Event),
    Promote(u32, String),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let reason = prop_oneof![Just(String::new()), Just("because".to_owned()), Just("a\u{7}b".to_owned())];
    let verdict = prop_oneof![Just(Verdict::Passed), Just(Verdict::Failed), Just(Verdict::Inconclusive)];
    let alias = prop_oneof![Just("champion"), Just("demo"), Just("staging")];
    let event = (0..18_u8, reason.clone(), alias).prop_map(|(kind, reason, alias)| match kind {
        0 => Event::Approve { reason },
        1 => Event::Reject { reason },
        2 => Event::Promote { over: None, reason },
        3 => Event::Stage { reason },
        4 => Event::RollBack { reason },
        5 => Event::Override { reason },
        6 => Event::Quarantine { was_production: None, reason },
        7 => {
            Event::IntendRollBack { reason, verification: Verification::Verified, origin: "here".to_owned() }
        }
        8 => Event::UndoRollBack { reason },
        9 => Event::RemoveArtefacts { reason },
        10 => Event::Deploy { target: "prod".to_owned(), reason },
        11 => Event::StartRollout { steps: steps(), shadow: Percent::ZERO, reason },
        12 => Event::StepRollout { to: share(100), seen: None, reason },
        13 => Event::PauseRollout { reason },
        14 => Event::PromoteRollout { seen: None, reason },
        15 => Event::AbortRollout { reason },
        16 => Event::WatchRollout { at: share(5), verdict: Verdict::Passed, reason },
        _ => Event::SetAlias { alias: alias.parse().expect("alias"), reason },
    });
    let one = prop_oneof![
        2 => verdict.prop_map(Try::Register),
        10 => (1..6_u32, event).prop_map(|(at, event)| Try::Do(at, event)),
        2 => (1..6_u32, reason).prop_map(|(at, reason)| Try::Promote(at, reason)),
    ];
    prop::collection::vec(one, 1..60)
}

/// Does what is allowed of `tries`; returns the state and the ledger.
fn play(tries: &[Try]) -> (ModelState, Vec<LedgerEntry>) {
    let mut state = ModelState::default();
    let mut ledger: Vec<LedgerEntry> = Vec::new();
    for one in tries {
        let events = match one {
            Try::Register(verdict) => {
                let version = state.next_version();
                // Some versions have the same package.
                let registration = Box::new(registration_of(version.0, version.0 % 3, *verdict));
                let event = LedgerEvent::Registered { model: name(), version, registration };
                state.apply(&event, "tester", TIME).expect("registering is always allowed");
                vec![event]
            }
            Try::Do(..) | Try::Promote(..) => {
                let (version, event) = match one {
                    Try::Do(version, event) => (*version, event.clone()),
                    Try::Promote(version, reason) => {
                        (*version, Event::Promote { over: state.production(), reason: reason.clone() })
                    }
                    Try::Register(_) => continue,
                };
                match step(&state, &name(), VersionNumber(version), &event, "tester", TIME) {
                    Ok((next, events)) => {
                        state = next;
                        events
                    }
                    Err(refusal) => {
                        assert!(!refusal.0.is_empty());
                        continue;
                    }
                }
            }
        };
        for event in events {
            let head = ledger.last().map(LedgerEntry::head);
            let sealed = LedgerEntry::seal(event, (None, None), TIME.to_owned(), "tester".to_owned(), head);
            ledger.push(sealed.expect("sealed"));
        }
    }
    (state, ledger)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_reaches_production_without_a_passed_verdict_and_an_approval_of_its_digest(tries in tries()) {
        let (state, _) = play(&tries);
        for found in state.versions.values() {
            if matches!(found.stage, Stage::Production | Stage::Archived) {
                prop_assert_eq!(found.verdict, Verdict::Passed);
                prop_assert_eq!(found.approval.as_ref().map(|approval| approval.digest), Some(found.digest));
            }
        }
        let production: Vec<_> = state.versions.iter().filter(|(_, found)| found.stage == Stage::Production).collect();
        prop_assert!(production.len() <= 1);
        let (versions, aliases) = (state.versions.clone(), state.aliases.clone());
        let rebuilt = ModelState::from_parts(versions, aliases, state.pending.clone(), state.rollout.clone());
        prop_assert_eq!(&rebuilt, &state, "what is kept beside the versions follows from them");
        if let Some((version, found)) = production.first() {
            let after = state.quarantined(&found.digest);
            prop_assert!(after.is_none(), "{version} is in production and quarantined");
        }
        if let Some(rollout) = state.active_rollout() {
            let canary = &state.versions[&rollout.canary];
            prop_assert_eq!((canary.verdict, canary.digest), (Verdict::Passed, rollout.canary_digest));
            prop_assert!(matches!(canary.stage, Stage::Candidate | Stage::Approved | Stage::Staging));
            prop_assert_eq!(state.quarantined(&canary.digest), None);
        }
        let champion = state.aliases.get(&"champion".parse().expect("alias")).copied();
        prop_assert_eq!(champion, production.first().map(|(version, _)| **version));
    }

    /// A quarantine is left by an override alone: not by a collection, and not by another version of the package.
    #[test]
    fn a_quarantined_package_stays_quarantined_until_it_is_overridden(tries in tries()) {
        let (_, ledger) = play(&tries);
        let mut state = RegistryState::default();
        let mut marked: BTreeMap<VersionNumber, Digest> = BTreeMap::new();
        for entry in &ledger {
            let before = state.models.get(&name()).cloned().unwrap_or_default();
            state.apply(entry).expect("allowed");
            let model = &state.models[&name()];
            match &entry.event {
                LedgerEvent::RolledBack { quarantined, .. } => {
                    let _ = marked.insert(*quarantined, model.versions[quarantined].digest);
                }
                LedgerEvent::Quarantined { version, digest, .. } => {
                    let _ = marked.insert(*version, *digest);
                }
                LedgerEvent::Overridden { version, .. } => {
                    let _ = marked.remove(version);
                }
                LedgerEvent::Approved { digest, .. } | LedgerEvent::Promoted { digest, .. } => {
                    prop_assert!(before.quarantined(digest).is_none());
                }
                _ => {}
            }
            for (version, digest) in &marked {
                prop_assert!(model.versions[version].quarantined);
                prop_assert!(model.quarantined(digest).is_some());
                prop_assert!(model.production().is_none_or(|one| model.versions[&one].digest != *digest));
                let staged = model.aliases.get(&"staging".parse().expect("alias"));
                prop_assert!(staged.is_none_or(|one| model.versions[one].digest != *digest));
            }
        }
    }

    #[test]
    fn the_ledger_replays_to_the_same_state(tries in tries()) {
        let (state, ledger) = play(&tries);
        let replayed = RegistryState::replay(&ledger).expect("allowed");
        let found = replayed.models.get(&name()).cloned().unwrap_or_default();
        prop_assert_eq!(found, state);
    }

    #[test]
    fn a_changed_removed_or_moved_line_is_found(tries in tries(), place: prop::sample::Index, kind in 0..3_u8) {
        let (_, ledger) = play(&tries);
        prop_assume!(ledger.len() > 2);
        let mut lines: Vec<String> = ledger.iter().map(|entry| entry.to_line().expect("line")).collect();
        prop_assert_eq!(read_chain(&lines.concat()).expect("whole"), ledger);
        let at = place.index(lines.len() - 1);
        match kind {
            0 => lines[at] = lines[at].replacen("tester", "nobody", 1),
            1 => drop(lines.remove(at)),
            _ => lines.swap(at, at + 1),
        }
        prop_assert!(read_chain(&lines.concat()).is_err());
    }
}

#[test]
fn a_promotion_that_was_written_past_the_door_does_not_replay() {
    let registered = LedgerEvent::Registered {
        model: name(),
        version: VersionNumber(1),
        registration: Box::new(registration(1, Verdict::Failed)),
    };
    let digest = Digest::of(&1_u32.to_le_bytes());
    let reason = String::new();
    let promoted =
        LedgerEvent::Promoted { model: name(), version: VersionNumber(1), digest, previous: None, reason };
    let seal = |event, previous| {
        LedgerEntry::seal(event, (None, None), String::new(), "x".to_owned(), previous).expect("sealed")
    };
    let first = seal(registered, None);
    let second = seal(promoted, Some(first.head()));
    let error = RegistryState::replay([&first, &second]).expect_err("refused");
    assert_eq!((error.seq, error.refusal.0.contains("only a version that passed its gate")), (2, true));
}

fn approved(versions: u32) -> ModelState {
    let mut state = ModelState::default();
    for number in 1..=versions {
        let version = VersionNumber(number);
        let registration = Box::new(registration(number, Verdict::Passed));
        let event = LedgerEvent::Registered { model: name(), version, registration };
        state.apply(&event, "tester", TIME).expect("registered");
        let over = state.production();
        for event in
            [Event::Approve { reason: String::new() }, Event::Promote { over, reason: String::new() }]
        {
            state = step(&state, &name(), version, &event, "tester", TIME).expect("allowed").0;
        }
    }
    state
}

/// Three versions, the first in production, the others candidates.
fn with_candidates() -> ModelState {
    let mut state = approved(1);
    for number in 2..=3 {
        let version = VersionNumber(number);
        let registration = Box::new(registration(number, Verdict::Passed));
        let event = LedgerEvent::Registered { model: name(), version, registration };
        state.apply(&event, "tester", TIME).expect("registered");
    }
    state
}

fn all(mut state: ModelState, version: u32, events: &[Event]) -> ModelState {
    for event in events {
        state = step(&state, &name(), VersionNumber(version), event, "tester", TIME).expect("allowed").0;
    }
    state
}

fn because() -> String {
    "because".to_owned()
}

fn refusal(state: &ModelState, version: u32, event: &Event) -> String {
    step(state, &name(), VersionNumber(version), event, "tester", TIME).expect_err("refused").0
}

fn intend(reason: &str) -> Event {
    Event::IntendRollBack {
        reason: reason.to_owned(),
        verification: Verification::Verified,
        origin: "here".to_owned(),
    }
}

#[test]
fn a_rollback_is_intended_first_and_nothing_else_reaches_production_meanwhile() {
    let state = approved(3);
    let back = Event::RollBack { reason: "bad".to_owned() };
    assert!(refusal(&state, 2, &back).contains("no rollback from v003 to v002 was intended"));
    let (state, _) =
        step(&state, &name(), VersionNumber(2), &intend("bad"), "tester", TIME).expect("allowed");
    assert_eq!(state.production(), Some(VersionNumber(3)));
    assert!(refusal(&state, 1, &intend("bad")).contains("a rollback from v003 to v002 is under way"));
    let (state, _) = step(&state, &name(), VersionNumber(2), &back, "tester", TIME).expect("allowed");
    assert_eq!(state.production(), Some(VersionNumber(2)));
    assert_eq!(state.versions[&VersionNumber(3)].stage, Stage::Quarantined);
    assert_eq!(state.pending, None);
}

#[test]
fn what_left_staging_for_a_newer_one_may_be_removed_and_what_is_there_may_not() {
    let gone = Event::RemoveArtefacts { reason: "retention".to_owned() };
    let stage = Event::Stage { reason: String::new() };
    let state = all(with_candidates(), 2, std::slice::from_ref(&stage));
    assert!(refusal(&state, 2, &gone).contains("an alias points at v002"));
    let state = all(state, 3, std::slice::from_ref(&stage));
    let state = all(state, 2, std::slice::from_ref(&gone));
    assert_eq!(state.versions[&VersionNumber(2)].stage, Stage::Removed);
    assert!(refusal(&state, 3, &gone).contains("an alias points at v003"));
}

#[test]
fn an_approved_version_is_not_rejected_and_is_told_what_keeps_it_from_production() {
    let approve = Event::Approve { reason: String::new() };
    let state = all(with_candidates(), 2, &[approve]);
    let said = refusal(&state, 2, &Event::Reject { reason: because() });
    assert!(said.contains("v002 is approved and cannot be rejected: `modelgate model quarantine`"), "{said}");
}

#[test]
fn an_alias_that_reads_as_a_version_is_refused_and_one_from_before_is_still_read() {
    let mut state = approved(2);
    for text in ["v005", "5", "v1"] {
        let alias = || text.parse().expect("alias");
        let said = refusal(&state, 1, &Event::SetAlias { alias: alias(), reason: String::new() });
        assert!(said.contains(&format!("`{text}` reads as the number of a version")), "{said}");
        let old = LedgerEvent::AliasSet {
            model: name(),
            version: VersionNumber(1),
            alias: alias(),
            reason: String::new(),
        };
        state.apply(&old, "tester", TIME).expect("a ledger that has it replays");
        let removed = LedgerEvent::AliasDeleted { model: name(), alias: alias(), reason: String::new() };
        state.apply(&removed, "tester", TIME).expect("it can be removed");
    }
    // So it is with one that follows the lifecycle, in other letters.
    for text in ["Production", "CHAMPION", "sTaging"] {
        let alias = || text.parse().expect("alias");
        let said = refusal(&state, 1, &Event::SetAlias { alias: alias(), reason: String::new() });
        assert!(said.contains(&format!("`{text}` reads as the alias {}", text.to_lowercase())), "{said}");
        let (version, reason) = (VersionNumber(1), String::new());
        let old = LedgerEvent::AliasSet { model: name(), version, alias: alias(), reason: reason.clone() };
        state.apply(&old, "tester", TIME).expect("a ledger that has it replays");
        let removed = LedgerEvent::AliasDeleted { model: name(), alias: alias(), reason };
        state.apply(&removed, "tester", TIME).expect("it can be removed");
    }
    let named = Event::SetAlias { alias: "version-5".parse().expect("alias"), reason: String::new() };
    let _ = all(state, 1, &[named]);
}

#[test]
fn a_promotion_over_another_production_than_was_seen_is_refused() {
    let mut state = approved(2);
    let third = Box::new(registration(3, Verdict::Passed));
    let event = LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration: third };
    state.apply(&event, "tester", TIME).expect("registered");
    let approve = Event::Approve { reason: String::new() };
    state = step(&state, &name(), VersionNumber(3), &approve, "tester", TIME).expect("allowed").0;
    let promote = |over| Event::Promote { over, reason: String::new() };
    let said = refusal(&state, 3, &promote(Some(VersionNumber(1))));
    assert!(
        said.contains("v002 reached production meanwhile, where v001 was when this was decided"),
        "{said}"
    );
    assert!(refusal(&state, 3, &promote(None)).contains("where nothing was when this was decided"));
    let seen = promote(Some(VersionNumber(2)));
    let _ = step(&state, &name(), VersionNumber(3), &seen, "tester", TIME).expect("allowed");
}

#[test]
fn an_actor_whose_name_would_forge_a_line_is_refused() {
    let state = approved(1);
    let alias = Event::SetAlias { alias: "a".parse().expect("alias"), reason: "asked for".to_owned() };
    for actor in ["", "eve\n   9 2026 boss", "eve\u{1b}[1A", "eve\u{2028}x", &"x".repeat(600)] {
        let said = step(&state, &name(), VersionNumber(1), &alias, actor, TIME).expect_err("refused").0;
        assert!(said.contains("MODELGATE_ACTOR"), "{said}");
    }
    let (_, events) = step(&state, &name(), VersionNumber(1), &alias, "Zoë B.", TIME).expect("allowed");
    assert_eq!(events[0].sentence(), "alias a set to v001: asked for");
}

#[test]
fn reasons_that_cannot_be_kept_are_refused() {
    let state = approved(2);
    for (reason, expected) in [
        (String::new(), "a reason is needed"),
        (" \n".to_owned(), "a reason is needed"),
        ("x".repeat(1 << 20), "the reason has 1048576 bytes; 4096 are allowed"),
        ("a\u{1b}[2Jb".to_owned(), "control characters"),
        ("a\u{202e}b".to_owned(), "control characters"),
    ] {
        let said = refusal(&state, 1, &intend(&reason));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn targets_that_cannot_be_gone_back_to_are_refused() {
    let mut state = approved(3);
    assert!(refusal(&state, 3, &intend("x")).contains("v003 is in production already"));
    assert!(refusal(&state, 9, &intend("x")).contains("there is no version v009"));
    let gone = Event::RemoveArtefacts { reason: "gc".to_owned() };
    state = step(&state, &name(), VersionNumber(1), &gone, "tester", TIME).expect("allowed").0;
    assert!(refusal(&state, 1, &intend("x")).contains("the artefacts of v001 are removed"));
    let bad = Event::Quarantine { was_production: None, reason: "found bad".to_owned() };
    state = step(&state, &name(), VersionNumber(2), &bad, "tester", TIME).expect("allowed").0;
    assert!(refusal(&state, 2, &intend("x")).contains("is quarantined"));
}

fn ledger_of(count: u32) -> Vec<String> {
    let tries: Vec<Try> = (0..count).map(|_| Try::Register(Verdict::Passed)).collect();
    let (_, entries) = play(&tries);
    entries.iter().map(|entry| entry.to_line().expect("line")).collect()
}

#[test]
fn what_was_done_to_a_ledger_is_said_in_words() {
    let lines = ledger_of(5);
    let said = |lines: &[String]| read_chain(&lines.concat()).expect_err("found").to_string();
    let without = |at: usize| {
        let mut lines = lines.clone();
        drop(lines.remove(at));
        lines
    };
    assert!(said(&without(2)).contains("line 3: it does not follow the line before it: event 3 was removed"));
    let mut gap = lines.clone();
    drop(gap.drain(1..3));
    assert!(said(&gap).contains("events 2 to 3 were removed"));
    let mut twice = lines.clone();
    twice.insert(3, lines[1].clone());
    assert!(said(&twice).contains("event 2 stands behind event 3"));
    // A second history with the same beginning number, cut and joined.
    let (_, other) = play(&[Try::Register(Verdict::Failed), Try::Register(Verdict::Passed)]);
    let merged = [other[0].to_line().expect("line"), lines[1].clone()];
    assert!(said(&merged).contains("two histories were merged"));
    let mut flipped = lines.clone();
    flipped[1] = flipped[1].replacen("random_forest", "random_forist", 1);
    assert!(said(&flipped).contains("line 2: its content does not match its hash"));
    let spaced = vec![lines[0].replacen("\":", "\": ", 1)];
    assert!(said(&spaced).contains("it is not in canonical form"));
    let newer = vec![lines[0].replacen("\"schema_version\":1", "\"schema_version\":2", 1)];
    assert!(said(&newer).contains("schema version 2"));
}

#[test]
fn what_a_person_rejected_is_not_deployed_and_a_ledger_that_says_so_is_still_read() {
    let registration = Box::new(registration(1, Verdict::Passed));
    let event = LedgerEvent::Registered { model: name(), version: VersionNumber(1), registration };
    let mut state = ModelState::default();
    state.apply(&event, "tester", TIME).expect("registered");
    let reject = Event::Reject { reason: "biased".to_owned() };
    let (state, _) = step(&state, &name(), VersionNumber(1), &reject, "tester", TIME).expect("a candidate");
    let deploy = Event::Deploy { target: "prod".to_owned(), reason: String::new() };
    assert_eq!(refusal(&state, 1, &deploy), "v001 is rejected and cannot be deployed");
    let before = LedgerEvent::Deployed {
        model: name(),
        version: VersionNumber(1),
        digest: state.versions[&VersionNumber(1)].digest,
        target: "prod".to_owned(),
        reason: String::new(),
    };
    assert_eq!(state.check(&before), Ok(()));
}
