//! Rollouts: a canary goes through its steps and the door, or ends.

use super::*;

fn start() -> Event {
    Event::StartRollout { steps: steps(), shadow: Percent::ZERO, reason: "try it".to_owned() }
}

fn to(percent: u8) -> Event {
    Event::StepRollout { to: share(percent), seen: None, reason: because() }
}

#[test]
fn a_canary_reaches_production_through_its_steps_an_approval_and_the_door() {
    let over = Some(VersionNumber(1));
    let end = Event::PromoteRollout { seen: None, reason: because() };
    let promote = [end, Event::Promote { over, reason: because() }];
    let state = all(with_candidates(), 2, &[start()]);
    assert_eq!(state.active_rollout().map(|rollout| rollout.canary), Some(VersionNumber(2)));
    assert!(refusal(&state, 2, &promote[0]).contains("the next is 100%"));
    assert!(refusal(&state, 2, &to(100)).contains("v002 is not approved, and 100% is more than half"));
    let state = all(state, 2, &[Event::Approve { reason: because() }, to(100)]);
    assert!(refusal(&state, 2, &promote[1]).contains("`rollout promote` or `rollout abort` ends it"));
    let state = all(state, 2, &promote);
    assert_eq!(state.production(), Some(VersionNumber(2)));
    let rollout = state.rollout.as_ref().expect("a rollout");
    assert_eq!((rollout.state, state.active_rollout()), (RolloutState::Promoted, None));
}

#[test]
fn two_who_saw_the_same_step_once() {
    let state = all(with_candidates(), 2, &[start()]);
    assert!(refusal(&state, 3, &start()).contains("a rollout is under way: v002 beside v001, running at 5%"));
    let state = all(state, 2, &[Event::Approve { reason: because() }, to(100)]);
    assert!(refusal(&state, 2, &to(100)).contains("promote it or abort it"));
    let state = all(state, 3, &[Event::Approve { reason: because() }]);
    assert!(refusal(&state, 3, &to(100)).contains("there is no rollout of v003"));
}

#[test]
fn what_a_look_found_is_written_down_and_moves_nothing() {
    let look = |at: u8| Event::WatchRollout {
        at: share(at),
        verdict: Verdict::Passed,
        reason: "passed on 31 requests".to_owned(),
    };
    let began = all(with_candidates(), 2, &[start()]);
    assert!(refusal(&began, 2, &look(100)).contains("v002 has 5% by now, and was looked at with 100%"));
    assert!(refusal(&began, 3, &look(5)).contains("there is no rollout of v003"));
    let nothing = Event::WatchRollout { at: share(5), verdict: Verdict::Passed, reason: String::new() };
    assert!(refusal(&began, 2, &nothing).contains("a reason is needed"));
    let seen = began.active_rollout().cloned().map(Box::new);
    let state = all(began, 2, &[look(5), Event::Approve { reason: because() }]);
    let rollout = state.rollout.clone().expect("a rollout");
    assert_eq!(
        rollout.watched.as_ref().map(|found| (found.verdict, found.sentence.as_str())),
        Some((Verdict::Passed, "passed on 31 requests"))
    );
    assert_eq!(rollout.reason, "try it");
    // Whoever saw the rollout before may go on, and then there is another share that nobody has looked at.
    let on = all(state, 2, &[Event::StepRollout { to: share(100), seen, reason: because() }]);
    assert_eq!(on.rollout.and_then(|rollout| rollout.watched), None);
}

#[test]
fn what_was_decided_when_a_rollout_stood_otherwise_is_not_done() {
    let event = Event::StartRollout {
        steps: Steps::new([10, 40, 50].map(share).to_vec()).expect("steps"),
        shadow: Percent::ZERO,
        reason: because(),
    };
    let began = all(with_candidates(), 2, &[event]);
    let seen = began.active_rollout().cloned().map(Box::new);
    let step = |to: u8| Event::StepRollout { to: share(to), seen: seen.clone(), reason: because() };
    let end = Event::PromoteRollout { seen: seen.clone(), reason: because() };
    let paused = all(began.clone(), 2, &[Event::PauseRollout { reason: "the boss looks".to_owned() }]);
    for event in [&step(40), &end] {
        let said = refusal(&paused, 2, event);
        assert!(said.contains("v002 was paused meanwhile by tester: the boss looks"), "{said}");
    }
    // Whoever knows of the pause goes on.
    let _ = all(paused, 2, &[to(40)]);
    let on = all(began, 2, &[step(40)]);
    assert!(refusal(&on, 2, &step(50)).contains("v002 went from 10% to 40% meanwhile, by tester"));
}

#[test]
fn most_of_the_requests_are_for_what_is_approved() {
    let alone = |share_of: u8| Event::StartRollout {
        steps: Steps::new(vec![share(share_of)]).expect("steps"),
        shadow: Percent::ZERO,
        reason: because(),
    };
    let state = with_candidates();
    for most in [51, 100] {
        let said = refusal(&state, 2, &alone(most));
        assert!(said.contains("v002 is not approved, and"), "{said}");
    }
    let _ = all(state.clone(), 2, &[alone(50)]);
    let _ = all(state, 2, &[Event::Approve { reason: because() }, alone(100)]);
}

#[test]
fn an_aborted_canary_is_quarantined_and_cannot_come_back() {
    let state = all(with_candidates(), 2, &[start(), Event::PauseRollout { reason: because() }]);
    assert!(
        refusal(&state, 2, &Event::AbortRollout { reason: String::new() }).contains("a reason is needed")
    );
    let abort = [
        Event::AbortRollout { reason: because() },
        Event::Quarantine { was_production: None, reason: because() },
    ];
    let state = all(state, 2, &abort);
    assert_eq!(state.versions[&VersionNumber(2)].stage, Stage::Quarantined);
    for event in [start(), Event::Approve { reason: because() }] {
        assert!(refusal(&state, 2, &event).contains("is quarantined"), "{event:?}");
    }
    assert!(refusal(&state, 2, &abort[0]).contains("the rollout of v002 is aborted already"));
    let _ = all(state, 3, &[start()]);
}

#[test]
fn a_rollout_needs_a_verdict_production_and_another_package() {
    let mut state = ModelState::default();
    for (number, verdict) in [(1, Verdict::Passed), (2, Verdict::Inconclusive)] {
        let registration = Box::new(registration(number, verdict));
        let event = LedgerEvent::Registered { model: name(), version: VersionNumber(number), registration };
        state.apply(&event, "tester", TIME).expect("registered");
    }
    assert!(refusal(&state, 1, &start()).contains("nothing is in production"));
    let go = [Event::Approve { reason: because() }, Event::Promote { over: None, reason: because() }];
    let mut state = all(state, 1, &go);
    assert!(refusal(&state, 2, &start()).contains("only a version that passed its gate can answer requests"));
    assert!(refusal(&state, 1, &start()).contains("v001 is production and cannot be a canary"));
    let mut again = registration(1, Verdict::Passed);
    again.verdict_digest = Digest::of(b"another verdict");
    let event =
        LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration: Box::new(again) };
    state.apply(&event, "tester", TIME).expect("registered");
    assert!(refusal(&state, 3, &start()).contains("v003 is the package of v001, which is in production"));
}

#[test]
fn production_that_moved_meanwhile_ends_what_a_rollout_can_do() {
    let mut state = approved(2);
    let registration = Box::new(registration(3, Verdict::Passed));
    let event = LedgerEvent::Registered { model: name(), version: VersionNumber(3), registration };
    state.apply(&event, "tester", TIME).expect("registered");
    let state = all(state, 3, &[Event::Approve { reason: because() }, start()]);
    assert!(refusal(&state, 3, &intend("back")).contains("a rollout of v003 is under way"));
    let state = all(state, 1, &[intend("worse"), Event::RollBack { reason: because() }]);
    assert!(refusal(&state, 3, &to(100)).contains("v002 is not in production any more: abort this rollout"));
    let state = all(state, 3, &[Event::AbortRollout { reason: because() }]);
    assert_eq!(state.production(), Some(VersionNumber(1)));
}

#[test]
fn who_rejects_or_quarantines_a_canary_ends_its_rollout() {
    for event in
        [Event::Reject { reason: because() }, Event::Quarantine { was_production: None, reason: because() }]
    {
        let state = all(with_candidates(), 2, &[start(), event]);
        let rollout = state.rollout.as_ref().expect("a rollout");
        assert_eq!((rollout.state, rollout.reason.as_str()), (RolloutState::Aborted, "because"));
    }
    let state = all(with_candidates(), 2, &[start()]);
    let gone = Event::RemoveArtefacts { reason: because() };
    assert!(refusal(&state, 2, &gone).contains("a rollout of v002 is under way"));
}
