//! Lines for whoever looks after the service, on standard error: as text, or as JSON.

use std::io::Write;
use std::sync::OnceLock;

use serde_json::json;

use crate::error::one_line;
use crate::settings::{Talk, TalkLevel};

static TALK: OnceLock<Talk> = OnceLock::new();

/// Says once how lines are written; without it they are text, and all of them.
pub(crate) fn set(talk: Talk) {
    let _ = TALK.set(talk);
}

/// Something happened.
pub(crate) fn info(sentence: &str) {
    say(TalkLevel::Info, sentence);
}

/// Somebody may want to look.
pub(crate) fn warn(sentence: &str) {
    say(TalkLevel::Warning, sentence);
}

fn say(level: TalkLevel, sentence: &str) {
    let talk = TALK.get().copied().unwrap_or_default();
    if level >= talk.level {
        // Nobody may be listening.
        let _ = std::io::stderr().write_all(line(talk, level, sentence).as_bytes());
    }
}

/// Returns a line as it is written, with its end.
pub(crate) fn line(talk: Talk, level: TalkLevel, sentence: &str) -> String {
    let sentence = one_line(sentence);
    if talk.json {
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let line = json!({ "time": time, "level": level.name(), "message": sentence, "target": "modelgate" });
        format!("{line}\n")
    } else {
        format!("modelgate: {sentence}\n")
    }
}
