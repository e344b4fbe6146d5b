//! What lies on this disk of a registry that is not asked, or that cannot be opened: its ledger, or the copy of it, and the
//! index. That is enough to know what was found bad, and nothing more is decided by it.

use std::path::Path;

use modelgate_core::ledger::RegistryState;

use super::Registry;
use crate::RegistryUri;
use crate::chain_file::for_each_entry;
use crate::home::Home;
use crate::index::Index;
use crate::stamp::Stamp;

/// What is known of a registry without a look at it.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// What the ledger says as far as it can be read; where that is not all of it, what the index says of it too.
    pub states: Vec<RegistryState>,
    /// Whether the ledger was read to its end, and holds what the index has seen of it.
    pub whole: bool,
}

impl Registry {
    /// Returns what lies on this disk of the registry of the project in `project`. Nobody is asked, and what cannot be read
    /// says nothing.
    pub fn on_disk(uri: &RegistryUri, project: &Path) -> OnDisk {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // Where the copy of a bucket's ledger lies does not hang on who may read the bucket.
        let anybody = |name: &str| {
            let is_login = matches!(name, "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY");
            set(name).or_else(|| is_login.then(|| "nobody".to_owned()))
        };
        let home = Self::home_of(uri, project, &set).or_else(|_| Self::home_of(uri, project, &anybody));
        home.map(|home| read(home.as_ref(), &project.join(".modelgate"))).unwrap_or_default()
    }
}

fn read(home: &dyn Home, state_folder: &Path) -> OnDisk {
    let path = state_folder.join("registry.db");
    let index = if path.is_file() { Index::open_file(path).ok() } else { None };
    let indexed = index.and_then(|mut index| index.load(&home.key()).ok());
    let indexed = indexed.and_then(|(end, state)| Some((end?, state)));
    let Ok(stamp) = Stamp::of(home.ledger()) else {
        return OnDisk { states: indexed.into_iter().map(|(_, state)| state).collect(), whole: false };
    };
    let (seen, indexed) = match indexed {
        Some((end, state)) if end.stamp == stamp.as_str() => {
            return OnDisk { states: vec![state], whole: true };
        }
        Some((end, state)) => (end.position.head, Some(state)),
        None => (None, None),
    };
    let mut state = RegistryState::default();
    let mut holds_seen = seen.is_none();
    let read = for_each_entry(home.ledger(), 0, stamp.size(), None, |entry, _| {
        state.apply(&entry)?;
        holds_seen |= seen == Some(entry.head());
        Ok(())
    });
    let whole = read.is_ok() && holds_seen;
    let states = std::iter::once(state).chain(indexed.filter(|_| !whole)).collect();
    OnDisk { states, whole }
}
