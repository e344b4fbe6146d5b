//! Quarantine: it is of a package, outlives the artefacts, and of production it leaves nothing there.

use super::*;

#[test]
fn a_quarantined_package_is_refused_under_every_version_that_has_it() {
    let mut state = approved(2);
    let mut again = registration(2, Verdict::Passed);
    again.verdict_digest = Digest::of(b"another verdict");
    let event =
        LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration: Box::new(again) };
    state.apply(&event, "tester", TIME).expect("registered");
    for event in [intend("bad"), Event::RollBack { reason: "bad".to_owned() }] {
        state = step(&state, &name(), VersionNumber(1), &event, "tester", TIME).expect("allowed").0;
    }
    let approve = Event::Approve { reason: String::new() };
    assert!(refusal(&state, 3, &approve).contains("is quarantined as v002: `model promote` or"));
    let free = Event::Override { reason: "the data were wrong".to_owned() };
    state = step(&state, &name(), VersionNumber(2), &free, "tester", TIME).expect("allowed").0;
    let _ = step(&state, &name(), VersionNumber(3), &approve, "tester", TIME).expect("allowed");
}

/// Three versions; the first and the third are one package, and the third is in production.
fn the_first_again() -> ModelState {
    let mut state = approved(2);
    let again = Box::new(registration_of(3, 1, Verdict::Passed));
    let event = LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration: again };
    state.apply(&event, "tester", TIME).expect("registered");
    let over = state.production();
    for event in [Event::Approve { reason: String::new() }, Event::Promote { over, reason: String::new() }] {
        state = step(&state, &name(), VersionNumber(3), &event, "tester", TIME).expect("allowed").0;
    }
    state
}

#[test]
fn a_package_in_production_or_gone_back_to_is_not_quarantined_under_another_number() {
    let state = the_first_again();
    let bad = Event::Quarantine { was_production: None, reason: "found bad".to_owned() };
    let said = refusal(&state, 1, &bad);
    assert!(said.contains("the package of v001 is in production as v003: roll back"), "{said}");
    // v002 is under way to production: v001 is another package and may be quarantined after it.
    let (state, _) = step(&state, &name(), VersionNumber(2), &intend("x"), "tester", TIME).expect("allowed");
    assert!(refusal(&state, 2, &bad).contains("a rollback to v002 is under way"));
    let back = Event::RollBack { reason: "x".to_owned() };
    let (state, _) = step(&state, &name(), VersionNumber(2), &back, "tester", TIME).expect("allowed");
    assert_eq!(state.quarantined(&state.versions[&VersionNumber(1)].digest), Some(VersionNumber(3)));
    assert!(refusal(&state, 1, &intend("x")).contains("the package of v001 is quarantined as v003"));
}

#[test]
fn a_quarantine_outlives_the_artefacts_and_is_overridden_all_the_same() {
    let mut state = approved(2);
    for (version, event) in [
        (1, intend("bad")),
        (1, Event::RollBack { reason: "bad".to_owned() }),
        (2, Event::RemoveArtefacts { reason: "retention".to_owned() }),
    ] {
        state = step(&state, &name(), VersionNumber(version), &event, "tester", TIME).expect("allowed").0;
    }
    assert_eq!(state.versions[&VersionNumber(2)].stage, Stage::Removed);
    let again = Box::new(registration_of(3, 2, Verdict::Passed));
    let event = LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration: again };
    state.apply(&event, "tester", TIME).expect("registered");
    let approve = Event::Approve { reason: String::new() };
    for event in [approve.clone(), Event::Stage { reason: String::new() }] {
        assert!(refusal(&state, 3, &event).contains("is quarantined as v002"));
    }
    let rebuilt =
        ModelState::from_parts(state.versions.clone(), state.aliases.clone(), state.pending.clone(), None);
    assert_eq!(rebuilt, state);
    let free = Event::Override { reason: "the data were wrong".to_owned() };
    state = step(&state, &name(), VersionNumber(2), &free, "tester", TIME).expect("allowed").0;
    assert_eq!(state.versions[&VersionNumber(2)].stage, Stage::Removed, "its artefacts do not come back");
    let _ = step(&state, &name(), VersionNumber(3), &approve, "tester", TIME).expect("allowed");
    assert!(refusal(&state, 2, &free).contains("v002 is not quarantined"));
}

#[test]
fn a_version_whose_artefacts_are_removed_is_quarantined_all_the_same() {
    let bad = Event::Quarantine { was_production: None, reason: "trained on the leaked column".to_owned() };
    let gone = Event::RemoveArtefacts { reason: "retention".to_owned() };
    let state = all(approved(2), 1, &[gone, bad.clone()]);
    assert_eq!(state.versions[&VersionNumber(1)].stage, Stage::Removed, "its artefacts do not come back");
    let again = Box::new(registration_of(3, 1, Verdict::Passed));
    let event = LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration: again };
    let mut after = state.clone();
    after.apply(&event, "tester", TIME).expect("registered");
    assert!(refusal(&after, 3, &Event::Approve { reason: String::new() }).contains("is quarantined as v001"));
    assert!(refusal(&state, 1, &bad).contains("v001 is quarantined already"));
}

#[test]
fn the_version_in_production_is_quarantined_itself_and_nothing_is_there_then() {
    let mut state = ModelState::default();
    let play = |state: &mut ModelState, version: u32, event: Event| {
        let (next, events) = step(state, &name(), VersionNumber(version), &event, "tester", TIME)?;
        *state = next;
        Ok::<_, modelgate_core::lifecycle::Refusal>(events)
    };
    let register = |state: &mut ModelState, number: u32| {
        let (version, registration) =
            (VersionNumber(number), Box::new(registration(number, Verdict::Passed)));
        let event = LedgerEvent::Registered { model: name(), version, registration };
        state.apply(&event, "tester", TIME).expect("registered");
    };
    let (empty, bad) = (String::new, || "it does not answer".to_owned());
    register(&mut state, 1);
    play(&mut state, 1, Event::Approve { reason: empty() }).expect("approved");
    play(&mut state, 1, Event::Promote { over: None, reason: empty() }).expect("promoted");
    play(&mut state, 1, Event::Quarantine { was_production: None, reason: bad() })
        .expect("there is no other");
    assert_eq!((state.production(), state.aliases.len()), (None, 0));
    assert_eq!(state.versions[&VersionNumber(1)].stage, Stage::Quarantined);

    // The next begins anew, and is the one that the version behind it goes back to: that one is not quarantined alone.
    for number in [2, 3] {
        register(&mut state, number);
        play(&mut state, number, Event::Approve { reason: empty() }).expect("approved");
        let over = state.production();
        play(&mut state, number, Event::Promote { over, reason: empty() }).expect("promoted");
    }
    assert!(!state.can_be_gone_back_to(VersionNumber(1)) && state.can_be_gone_back_to(VersionNumber(2)));
    // Whether v002 can take over, its files tell, and not the state: v003 may be taken out all the same.
    let mut without = state.clone();
    // Who took v003 for one that is not in production is told, and so is who took v002 for the one that is.
    for (version, was, what) in
        [(3, false, "v003 reached production since"), (2, true, "v002 left production since")]
    {
        let event = Event::Quarantine { was_production: Some(was), reason: bad() };
        let refused = play(&mut without, version, event).expect_err("decided on something else");
        assert!(refused.0.contains(what), "{refused:?}");
    }
    play(&mut without, 3, Event::Quarantine { was_production: Some(true), reason: bad() })
        .expect("as it was seen");
    assert_eq!(without.production(), None);
    // A former production comes back where nothing is there, and nowhere else.
    let again = |over| Event::Promote { over, reason: empty() };
    play(&mut state, 2, again(Some(VersionNumber(3)))).expect_err("v003 is in production");
    play(&mut without, 3, again(None)).expect_err("it is quarantined");
    play(&mut without, 2, again(None)).expect("it was approved, and was there");
    assert_eq!(without.production(), Some(VersionNumber(2)));
    // A canary would be left without what it is compared with.
    play(&mut state, 2, Event::Quarantine { was_production: None, reason: bad() }).expect("archived");
    register(&mut state, 4);
    let start = Event::StartRollout { steps: steps(), shadow: Percent::ZERO, reason: empty() };
    play(&mut state, 4, start).expect("started");
    let refused = play(&mut state, 3, Event::Quarantine { was_production: None, reason: bad() })
        .expect_err("a rollout is under way");
    assert!(refused.0.contains("`rollout abort`"), "{refused:?}");
}
