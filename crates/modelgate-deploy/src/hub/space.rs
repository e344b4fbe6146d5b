//! Spaces: variables, secrets, restarts, and waiting until one runs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Body;
use super::{Hub, HubError, Repository, Token};

/// The first pause between two looks at a Space; each is longer, up to the longest.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a Space that does not come may still be what it was before the commit.
const STALE: Duration = Duration::from_secs(60);

/// Where a Space stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It answers.
    Running,
    /// It is being built or started.
    Coming,
    /// It sleeps until somebody asks.
    Asleep,
    /// It does not come: an error, or somebody stopped it.
    Gone,
}

/// What the Hub says about a Space that runs or does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Runtime {
    /// Where it stands.
    pub stage: Stage,
    /// The Hub's word for it, such as `BUILD_ERROR`.
    pub word: String,
    /// What went wrong.
    pub error: Option<String>,
}

impl Runtime {
    fn of(answer: &Value) -> Self {
        let word = answer["stage"].as_str().unwrap_or("UNKNOWN");
        let stage = match word {
            "RUNNING" => Stage::Running,
            "BUILDING" | "RUNNING_BUILDING" | "APP_STARTING" | "RUNNING_APP_STARTING" => Stage::Coming,
            "SLEEPING" => Stage::Asleep,
            _ => Stage::Gone,
        };
        let plain = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(500).collect();
        Self { stage, word: plain(word), error: answer["errorMessage"].as_str().map(plain) }
    }

    /// Returns whether somebody stopped it: it stays so until it is started again.
    pub fn is_stopped(&self) -> bool {
        ["PAUSED", "STOPPED"].contains(&self.word.as_str())
    }
}

impl Hub {
    /// Returns where a Space stands.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn runtime(&self, space: &Repository) -> Result<Runtime, HubError> {
        Ok(Runtime::of(&self.get(&self.at(&format!("{}/runtime", space.api())))?.json()))
    }

    /// Returns the address that a Space answers at.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn host(&self, space: &Repository) -> Result<Option<String>, HubError> {
        let Some(info) = self.info(space, "main")? else { return Ok(None) };
        let host = info["host"].as_str().map(|host| host.trim_end_matches('/').to_owned());
        let of_subdomain = || info["subdomain"].as_str().map(|name| format!("https://{name}.hf.space"));
        let host = host.or_else(of_subdomain);
        match host {
            Some(host) if !(self.allows(&host) || is_local(&host) && is_local(self.endpoint())) => {
                Err(HubError::Answer {
                    what: format!("GET {}", space.api()),
                    reason: "the address of the Space is not https://".to_owned(),
                })
            }
            host => Ok(host),
        }
    }

    /// Returns the variables of a Space.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn variables(&self, space: &Repository) -> Result<Vec<(String, String)>, HubError> {
        let answer = self.get(&self.at(&format!("{}/variables", space.api())))?.json();
        let pair = |(key, value): (&String, &Value)| Some((key.clone(), value["value"].as_str()?.to_owned()));
        Ok(answer.as_object().map(|known| known.iter().filter_map(pair).collect()).unwrap_or_default())
    }

    /// Sets variables of a Space, those that are not so already; returns whether one changed.
    ///
    /// # Errors
    /// Fails when the token may not, or a secret has the name.
    pub fn set_variables(&self, space: &Repository, wanted: &[(String, String)]) -> Result<bool, HubError> {
        let there = self.variables(space)?;
        let url = self.at(&format!("{}/variables", space.api()));
        let mut changed = false;
        for (key, value) in wanted {
            if !there.iter().any(|(known, has)| known == key && has == value) {
                self.send("POST", &url, &[], Body::Json(&json!({ "key": key, "value": value })))?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Sets a secret of a Space.
    ///
    /// # Errors
    /// Fails when the token may not, or a variable has the name.
    pub fn set_secret(&self, space: &Repository, key: &str, value: &Token) -> Result<(), HubError> {
        let url = self.at(&format!("{}/secrets", space.api()));
        let bytes = json!({ "key": key, "value": value.expose() }).to_string().into_bytes();
        let shown = json!({ "key": key, "value": "<a secret>" }).to_string();
        self.send("POST", &url, &[], Body::Bytes("application/json", bytes, shown)).map(drop)
    }

    /// Starts a Space again.
    ///
    /// # Errors
    /// Fails when the token may not.
    pub fn restart(&self, space: &Repository) -> Result<(), HubError> {
        self.send("POST", &self.at(&format!("{}/restart", space.api())), &[], Body::None).map(drop)
    }

    /// Stops a Space: it answers nobody until it is started again.
    ///
    /// # Errors
    /// Fails when there is none, or the token may not.
    pub fn pause(&self, space: &Repository) -> Result<(), HubError> {
        self.send("POST", &self.at(&format!("{}/pause", space.api())), &[], Body::None).map(drop)
    }

    /// Waits until a Space runs, and returns the address that it answers at; `heard` is told each new stage. An error is final
    /// once the stage has changed, or after a minute: until then it may be that of the build before.
    ///
    /// # Errors
    /// Fails when it ends in an error, or does not run in time.
    pub fn wait(
        &self,
        space: &Repository,
        patience: Duration,
        heard: &dyn Fn(&str),
    ) -> Result<String, HubError> {
        let began = Instant::now();
        let (mut last, mut pause, mut moved) = (String::new(), PAUSE, false);
        let failed = |stage: String, reason: String| HubError::Space { space: space.id(), stage, reason };
        loop {
            let runtime = self.runtime(space)?;
            if runtime.word != last {
                heard(&runtime.word);
                moved = !last.is_empty();
                last.clone_from(&runtime.word);
            }
            let page = self.at(&space.page());
            match runtime.stage {
                Stage::Running => {
                    return self.host(space)?.ok_or_else(|| {
                        failed(runtime.word, "; the Hub does not say at which address it answers".to_owned())
                    });
                }
                Stage::Gone if moved || began.elapsed() >= STALE.min(patience) => {
                    let error = runtime.error.map_or_else(String::new, |error| format!(": {error}"));
                    return Err(failed(runtime.word, format!("{error}; its logs are at {page}")));
                }
                Stage::Asleep => self.restart(space)?,
                Stage::Coming | Stage::Gone => {}
            }
            if began.elapsed() >= patience {
                let reason = format!(" after {} s; its logs are at {page}", patience.as_secs());
                return Err(failed(runtime.word, reason));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn is_local(url: &str) -> bool {
    ["http://127.0.0.1:", "http://localhost:"].iter().any(|place| url.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_hub_are_understood() {
        let stage = |word: &str| Runtime::of(&json!({ "stage": word })).stage;
        assert_eq!(stage("RUNNING"), Stage::Running);
        for word in ["BUILDING", "APP_STARTING", "RUNNING_BUILDING", "RUNNING_APP_STARTING"] {
            assert_eq!(stage(word), Stage::Coming, "{word}");
        }
        for word in [
            "BUILD_ERROR",
            "RUNTIME_ERROR",
            "CONFIG_ERROR",
            "NO_APP_FILE",
            "PAUSED",
            "STOPPED",
            "DELETING",
            "new",
        ] {
            assert_eq!(stage(word), Stage::Gone, "{word}");
        }
        assert_eq!(stage("SLEEPING"), Stage::Asleep);
        let broken = Runtime::of(&json!({ "stage": "BUILD_ERROR", "errorMessage": "no\u{1b} base" }));
        assert_eq!(broken.error.as_deref(), Some("no base"));
    }
}
