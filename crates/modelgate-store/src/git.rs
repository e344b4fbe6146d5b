//! git's own program, started so that it works on the folder it is given and answers a program.

use std::path::Path;
use std::process::Command;

/// What git sets for the hooks and helpers that it starts itself: taken over, each of these leads to another repository than
/// the folder's.
const REDIRECTIONS: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Returns git in `folder`: in the repository that the folder is in, with English messages and no question on the terminal.
pub fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    for name in REDIRECTIONS {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_has_set_does_not_lead_elsewhere() {
        let command = git(Path::new("."));
        let set: Vec<_> = command.get_envs().collect();
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
            assert!(set.contains(&(name.as_ref(), None)), "{name} is taken over");
        }
        assert!(set.contains(&("LC_ALL".as_ref(), Some("C".as_ref()))));
    }
}
