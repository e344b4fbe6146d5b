//! The conditions that the checks of events are made of, each with the sentence that refuses.

use super::{MAX_REASON, ModelState, RESERVED_ALIASES, Refusal, Stage, VersionState};
use crate::rollout::{self, Meanwhile, Percent, Rollout, RolloutEvent, meanwhile};
use crate::verdict::Verdict;
use crate::{Alias, Digest, VersionNumber};

impl ModelState {
    pub(super) fn no_rollback(&self) -> Result<(), Refusal> {
        match &self.pending {
            None => Ok(()),
            Some(pending) => Err(Refusal(format!(
                "a rollback from {} to {} is under way since {}, by {}: the next command of the checkout that began it \
                 completes it, and `modelgate model rollback MODEL --undo` gives it up",
                pending.from, pending.version, pending.time, pending.actor
            ))),
        }
    }

    pub(super) fn no_rollout(&self) -> Result<(), Refusal> {
        match self.active_rollout() {
            None => Ok(()),
            Some(rollout) => Err(Refusal(format!(
                "a rollout is under way: {}; `rollout promote` or `rollout abort` ends it",
                rollout.sentence()
            ))),
        }
    }

    pub(super) fn no_rollout_of(&self, version: VersionNumber) -> Result<(), Refusal> {
        refuse_unless(self.active_rollout().is_none_or(|rollout| rollout.canary != version), || {
            format!("a rollout of {version} is under way: promote or abort that")
        })
    }

    /// Returns the rollout of `version`, which is under way, after `event`.
    pub(super) fn rolled(
        &self,
        version: VersionNumber,
        digest: &Digest,
        event: RolloutEvent,
    ) -> Result<Rollout, Refusal> {
        let own = self.rollout.as_ref().filter(|rollout| rollout.canary == version);
        let rollout = own.ok_or_else(|| Refusal(format!("there is no rollout of {version}")))?;
        refuse_unless(*digest == rollout.canary_digest, || {
            format!("the rollout is of another package than {version}'s")
        })?;
        let after = rollout::step(rollout, event)?;
        if matches!(event, RolloutEvent::Step { .. } | RolloutEvent::Promote) {
            refuse_unless(self.production == Some(rollout.stable), || {
                let stable = rollout.stable;
                format!(
                    "{stable} is not in production any more: abort this rollout, which quarantines nothing then, and begin \
                     another"
                )
            })?;
            self.no_rollback()?;
        }
        Ok(after)
    }

    /// Refuses what was decided when the rollout stood otherwise.
    pub(super) fn stands_as(&self, seen: Option<&Rollout>) -> Result<(), Refusal> {
        match seen.map(|seen| meanwhile(seen, self.rollout.as_ref())) {
            None | Some(Meanwhile::Same) => Ok(()),
            Some(other) => Err(Refusal(format!("{other}: look at it, and ask again if it is still meant"))),
        }
    }

    /// Refuses more than half of the requests to a canary that is not approved. Asked of what is new alone: a ledger from
    /// before is still read.
    pub(super) fn approved_for_share(&self, version: VersionNumber, share: Percent) -> Result<(), Refusal> {
        if !share.is_most() {
            return Ok(());
        }
        self.approved_for_production(version, self.get(version)?).map_err(|Refusal(why)| {
            Refusal(format!(
                "{why}, and {share} is more than half of the requests: that is asked of production"
            ))
        })
    }

    /// Returns why a package may neither be served nor signed, as far as it is known by its digest: it is quarantined, or none
    /// of the versions that it is has passed its gate without being rejected. Against one that is unknown here nothing stands.
    pub fn against_package(&self, digest: &Digest) -> Option<String> {
        if let Some(holder) = self.quarantined(digest) {
            return Some(format!("it is quarantined as {holder}"));
        }
        let mut found = self.versions.iter().filter(|(_, state)| state.digest == *digest).peekable();
        found.peek()?;
        let mut last = None;
        for (version, state) in found {
            if state.verdict == Verdict::Passed && state.stage != Stage::Rejected {
                return None;
            }
            last = Some(match state.stage {
                Stage::Rejected => format!("it is rejected as {version}"),
                _ => format!("its gate says {}, as {version}", state.verdict),
            });
        }
        last
    }

    pub(super) fn not_quarantined(
        &self,
        version: VersionNumber,
        state: &VersionState,
    ) -> Result<(), Refusal> {
        match self.quarantined(&state.digest) {
            None => Ok(()),
            Some(other) => Err(Refusal(format!(
                "the package of {version} is quarantined{}: `model promote` or `model rollback` with `--override-quarantine \
                 --reason …` takes it out",
                if other == version { String::new() } else { format!(" as {other}") }
            ))),
        }
    }

    /// Returns whether a version can be gone back to: a former production whose package is neither quarantined nor the one
    /// in production.
    pub fn can_be_gone_back_to(&self, version: VersionNumber) -> bool {
        let digest = |version: VersionNumber| self.versions.get(&version).map(|found| found.digest);
        self.versions.get(&version).is_some_and(|found| {
            found.stage == Stage::Archived
                && self.quarantined(&found.digest).is_none()
                && self.production.and_then(digest) != Some(found.digest)
        })
    }

    /// Quarantine is of a package: what is in production, or about to be, cannot be put there under another number. The
    /// version in production is quarantined itself where no other can take over, which only who looks at their files and
    /// signatures can tell: then nothing is in production.
    pub(super) fn not_at_work(&self, version: VersionNumber, digest: &Digest) -> Result<(), Refusal> {
        let is =
            |other: VersionNumber| self.versions.get(&other).is_some_and(|found| found.digest == *digest);
        if let Some(production) = self.production.filter(|production| is(*production)) {
            if production != version {
                return Err(Refusal(format!(
                    "the package of {version} is in production as {production}: roll back to another version, which \
                     quarantines it, or quarantine {production} where there is none"
                )));
            }
            self.no_rollback()?;
            return self.no_rollout();
        }
        match self.pending.as_ref().map(|pending| pending.version).filter(|target| is(*target)) {
            Some(target) => Err(Refusal(format!("a rollback to {target} is under way"))),
            None => Ok(()),
        }
    }

    /// Refuses what was decided when `version` was in production and is not any more, or the other way round.
    pub(super) fn in_production_as(&self, version: VersionNumber, was: Option<bool>) -> Result<(), Refusal> {
        let is = self.production == Some(version);
        refuse_unless(was.is_none_or(|was| was == is), || {
            let what = if is { "reached" } else { "left" };
            format!(
                "{version} {what} production since this was decided: look at it, and ask again if it is still meant"
            )
        })
    }

    pub(super) fn approved_for_production(
        &self,
        version: VersionNumber,
        state: &VersionState,
    ) -> Result<(), Refusal> {
        passed(version, state, "reach production")?;
        let approved = state.approval.as_ref().is_some_and(|approval| approval.digest == state.digest);
        refuse_unless(approved, || format!("{version} is not approved"))
    }
}

pub(super) fn refuse_unless(holds: bool, why: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal(why())) }
}

pub(super) fn passed(version: VersionNumber, state: &VersionState, what: &str) -> Result<(), Refusal> {
    refuse_unless(state.verdict == Verdict::Passed, || {
        format!(
            "the verdict of {version} is {}: only a version that passed its gate can {what}",
            state.verdict
        )
    })
}

pub(super) fn in_stage(
    version: VersionNumber,
    state: &VersionState,
    allowed: &[Stage],
    what: &str,
) -> Result<(), Refusal> {
    refuse_unless(allowed.contains(&state.stage), || match state.stage {
        Stage::Candidate => format!("{version} is a candidate: it must be approved before it can be {what}"),
        Stage::Removed => format!("the artefacts of {version} are removed: it cannot be {what}"),
        Stage::Approved | Stage::Archived if what == "rejected" => format!(
            "{version} is {} and cannot be rejected: `modelgate model quarantine` keeps it from production",
            state.stage
        ),
        stage => format!("{version} is {stage} and cannot be {what}"),
    })
}

pub(super) fn not_reserved(alias: &Alias) -> Result<(), Refusal> {
    refuse_unless(!RESERVED_ALIASES.contains(&alias.as_str()), || {
        format!("the alias {alias} follows promotion and staging: it cannot be set or removed by hand")
    })
}

/// Refuses an alias that differs from one that follows the lifecycle in its capitals alone: who asks for `Production` means
/// what is in production. A ledger that has such an alias from before is still read, and the alias can be removed.
pub(super) fn not_reserved_in_capitals(alias: &Alias) -> Result<(), Refusal> {
    match reserved_alias(alias.as_str()) {
        Some(reserved) if reserved != alias.as_str() => Err(Refusal(format!(
            "`{alias}` reads as the alias {reserved}, which follows promotion and staging; choose a name such as `audited`"
        ))),
        _ => Ok(()),
    }
}

/// Returns the alias that follows the lifecycle which a text names, in whatever capitals.
pub fn reserved_alias(text: &str) -> Option<&'static str> {
    RESERVED_ALIASES.into_iter().find(|reserved| reserved.eq_ignore_ascii_case(text))
}

/// Refuses an alias that reads as the number of a version: who names `v005` means that version. A ledger that has such an
/// alias from before is still read, and the alias can be removed.
pub(super) fn no_version(alias: &Alias) -> Result<(), Refusal> {
    refuse_unless(alias.as_str().parse::<VersionNumber>().is_err(), || {
        format!(
            "`{alias}` reads as the number of a version and cannot be an alias; choose a name such as `audited`"
        )
    })
}

/// Refuses a reason that the ledger does not hold: one that is too long or has control characters, or none where it is `needed`.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_reason(reason: &str, needed: bool) -> Result<(), Refusal> {
    refuse_unless(!needed || !reason.trim().is_empty(), || "a reason is needed".to_owned())?;
    refuse_unless(reason.len() <= MAX_REASON, || {
        format!("the reason has {} bytes; {MAX_REASON} are allowed", reason.len())
    })?;
    let control = reason.chars().any(|letter| is_hidden(letter) && letter != '\n' && letter != '\t');
    refuse_unless(!control, || "the reason holds control characters".to_owned())
}

/// Holds for what a terminal acts on, or reorders text or breaks lines by, without showing it.
fn is_hidden(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Refuses the name of an actor that a line of the log cannot hold.
///
/// # Errors
/// Says what a name may be.
pub fn check_actor(actor: &str) -> Result<(), Refusal> {
    check_words(ACTOR, actor)
}

const ACTOR: &str = "the actor's name (`MODELGATE_ACTOR`)";

/// Holds for what is not seen at all, in no place of a text: a name with it reads as another one. Joiners are seen in the
/// scripts that have them.
fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether a name has letters that are not seen, or blanks at an end: who reads it takes it for another one.
fn reads_as_another(name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    let joins_nothing = |at: usize| {
        let joined = |at: Option<usize>| {
            at.and_then(|at| letters.get(at))
                .is_some_and(|letter| letter.is_alphanumeric() && !letter.is_ascii())
        };
        matches!(letters[at], '\u{200c}' | '\u{200d}') && !(joined(at.checked_sub(1)) && joined(Some(at + 1)))
    };
    name.trim() != name
        || letters.iter().any(|letter| is_unseen(*letter))
        || (0..letters.len()).any(joins_nothing)
}

/// Refuses the name of somebody who is about to act: as [`check_actor`], and a blank one or one that reads as another, which
/// older ledgers may hold.
///
/// # Errors
/// Says what a name may be.
pub fn check_who_acts(actor: &str) -> Result<(), Refusal> {
    check_actor(actor)?;
    refuse_unless(!actor.trim().is_empty(), || format!("{ACTOR} is blank: nobody could tell who it was"))?;
    refuse_unless(!reads_as_another(actor), || {
        format!("{ACTOR} has blanks at an end, or letters that are not seen: it reads as another name")
    })
}

pub(super) fn overtaken(seen: Option<VersionNumber>, now: Option<VersionNumber>) -> String {
    let words = |version: Option<VersionNumber>| version.map_or("nothing".to_owned(), |one| one.to_string());
    format!(
        "{} reached production meanwhile, where {} was when this was decided: look at it, and promote again if it is \
         still meant",
        words(now),
        words(seen)
    )
}

pub(super) fn check_words(what: &str, text: &str) -> Result<(), Refusal> {
    refuse_unless(!text.is_empty() && text.len() <= 512 && !text.chars().any(is_hidden), || {
        format!("{what} has 1 to 512 bytes and no control characters")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_acts_under_a_name_that_reads_as_another() {
        for name in ["alice", "policy:automatic", "Anna Müller", "山田", "می\u{200c}خواهم", "uid:7"]
        {
            assert_eq!(check_who_acts(name), Ok(()), "{name}");
        }
        for name in [
            "al\u{200b}ice",
            "al\u{200d}ice",
            "\u{feff}alice",
            "al\u{ad}ice",
            "alice\u{e0041}",
            "alice\u{200d}",
            " alice",
            "alice ",
            "alice\u{a0}",
            "",
            " ",
            "al\u{202e}ice",
        ] {
            assert!(check_who_acts(name).is_err(), "{name:?}");
        }
        // What older ledgers hold is still read.
        assert_eq!(check_actor(" al\u{200b}ice"), Ok(()));
    }
}
