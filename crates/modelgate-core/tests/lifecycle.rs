//! The one door: whatever is tried in whatever order, nothing reaches production without a passed verdict and an
//! approval of that very package.

use std::collections::BTreeMap;

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, Lineage, Registration, RegistryState, read_chain};
use modelgate_core::lifecycle::{Event, ModelState, Stage, step};
use modelgate_core::schema::Task;
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use proptest::prelude::*;

fn name() -> ModelName {
    "churn".parse().expect("name")
}

fn registration(number: u32, verdict: Verdict) -> Registration {
    let digest = Digest::of(&number.to_le_bytes());
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
    }
}

#[derive(Clone, Debug)]
enum Try {
    Register(Verdict),
    Do(u32, Event),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let reason = prop_oneof![Just(String::new()), Just("because".to_owned()), Just("a\u{7}b".to_owned())];
    let verdict = prop_oneof![Just(Verdict::Passed), Just(Verdict::Failed), Just(Verdict::Inconclusive)];
    let alias = prop_oneof![Just("champion"), Just("demo"), Just("staging")];
    let event = (0..7_u8, reason, alias).prop_map(|(kind, reason, alias)| match kind {
        0 => Event::Approve { reason },
        1 => Event::Reject { reason },
        2 => Event::Promote { reason },
        3 => Event::Stage { reason },
        4 => Event::RollBack { reason },
        5 => Event::Override { reason },
        _ => Event::SetAlias { alias: alias.parse().expect("alias") },
    });
    let one = prop_oneof![1 => verdict.prop_map(Try::Register), 5 => (1..6_u32, event).prop_map(|(at, event)| Try::Do(at, event))];
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
                let registration = Box::new(registration(version.0, *verdict));
                let event = LedgerEvent::Registered { model: name(), version, registration };
                state.apply(&event, "tester").expect("registering is always allowed");
                vec![event]
            }
            Try::Do(version, event) => {
                match step(&state, &name(), VersionNumber(*version), event, "tester") {
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
            let time = "2026-01-01T00:00:00Z".to_owned();
            ledger.push(LedgerEntry::seal(event, time, "tester".to_owned(), ledger.last()).expect("sealed"));
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
        let champion = state.aliases.get(&"champion".parse().expect("alias")).copied();
        prop_assert_eq!(champion, production.first().map(|(version, _)| **version));
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
    let seal =
        |event, previous| LedgerEntry::seal(event, String::new(), String::new(), previous).expect("sealed");
    let first = seal(registered, None);
    let second = seal(promoted, Some(&first));
    let error = RegistryState::replay([&first, &second]).expect_err("refused");
    assert_eq!((error.seq, error.refusal.0.contains("only a version that passed its gate")), (2, true));
}
