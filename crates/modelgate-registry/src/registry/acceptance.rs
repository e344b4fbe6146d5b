//! Going on with a ledger that lacks what this project has seen of it: what a restore from an older backup needs, and what
//! nothing else may do silently.

use std::path::Path;

use modelgate_core::Digest;
use modelgate_core::ledger::Head;

use super::Registry;
use crate::stamp::Stamp;
use crate::{RegistryError, RegistryUri};

/// Two ends of a ledger: the one that this project had seen, and the one that it goes on from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The last event that was seen.
    pub seen: Option<Head>,
    /// The last event that there is.
    pub found: Option<Head>,
    /// Whether what was seen is not in the ledger.
    pub given_up: bool,
    /// The registry's name in the index.
    pub home: String,
    /// Other registries that this project has seen, of which nobody has said yet that it goes on without them.
    pub left: Vec<String>,
}

impl Registry {
    /// Goes on from the ledger as it is, which has to end at the event with the hash `head`, or to be empty, although this
    /// project has seen other events of it, or has seen others. Runs stay. Before anything is given up, `record` is told of it.
    ///
    /// # Errors
    /// Fails when it ends elsewhere, was changed, cannot be reached, or as `record` does; nothing is then accepted.
    pub fn accept(
        uri: &RegistryUri,
        project: &Path,
        head: Option<&Digest>,
        variable: &dyn Fn(&str) -> Option<String>,
        record: &mut dyn FnMut(&Accepted) -> Result<(), RegistryError>,
    ) -> Result<Accepted, RegistryError> {
        let home = Self::home_of(uri, project, variable)?;
        let mut registry = Self::unread(home, &project.join(".modelgate"))?;
        registry.home.pull(true)?;
        let key = registry.home.key();
        let seen = registry.index.get_mut().followed(&key)?.and_then(|seen| seen.position.head);
        let stamp = Stamp::of(registry.home.ledger())?;
        let (state, changes) = registry.read_all(None, stamp.size())?;
        let end = changes.end(stamp.as_str());
        let found = end.as_ref().and_then(|end| end.position.head);
        if found.as_ref().map(|found| &found.hash) != head {
            let none = || "none".to_owned();
            return Err(RegistryError::NotTheHead {
                home: registry.home.name(),
                found: found.map_or(0, |found| found.seq),
                head: found.map_or_else(none, |found| found.hash.to_string()),
                given: head.map_or_else(none, ToString::to_string),
            });
        }
        // Events behind the one that was seen are no reason to give it up.
        (registry.followed, registry.state) = (end.clone(), state);
        let kept = match seen {
            Some(seen) => registry.event_of(&seen.hash)?.is_some(),
            None => true,
        };
        let known = crate::accepted::is_begun(&registry.state_folder, &key)?;
        let left = if known { Vec::new() } else { registry.others_with(None)? };
        let accepted = Accepted { seen, found, given_up: !kept, home: key.clone(), left };
        if accepted.given_up || !accepted.left.is_empty() {
            record(&accepted)?;
        }
        if accepted.given_up {
            let index = registry.index.get_mut();
            index.forget(&key)?;
            if let Some(end) = &end {
                index.extend(&key, None, true, &registry.state, &changes, end)?;
            }
        }
        Ok(accepted)
    }
}
