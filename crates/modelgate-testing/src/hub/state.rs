//! What the fake Hub knows: repositories, commits, large files, and Spaces.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest as _, Sha256};

/// Starts the container of a Space: gets what it would see and returns the address that it listens on, or why it does not.
pub type Runner = Box<dyn Fn(&Started) -> Result<String, String> + Send + Sync>;

/// What the server knows and heard.
#[derive(Default)]
pub struct Hub {
    /// Repositories by kind and id, such as `models/me/model`.
    pub repositories: BTreeMap<String, Repository>,
    /// Large files by their SHA-256.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Parts of large files that are not whole, by SHA-256 and number.
    pub parts: BTreeMap<(String, usize), Vec<u8>>,
    /// What was asked: method and path with query.
    pub asked: Vec<String>,
    /// Answers that come before any other: status and `retry-after`.
    pub troubles: VecDeque<(u16, Option<u64>)>,
    /// The same, for the store of large files.
    pub storage_troubles: VecDeque<u16>,
    /// Before each of the next so many commits, somebody else commits.
    pub strangers: u32,
    /// Files are large from this size on; 10 MB when it is 0.
    pub large_from: u64,
    /// Large files come in parts of this size; whole when it is 0.
    pub part_bytes: u64,
    /// Starts Spaces; without one they run at once and nowhere.
    pub runner: Option<std::sync::Arc<Runner>>,
    /// A Space by its id, the stage that its builds end in, and the sentence of the error.
    pub broken: Option<(String, String, String)>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hub").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// A repository.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// Whether it is private.
    pub private: bool,
    /// The commits of `main`, oldest first; the first is empty.
    pub commits: Vec<Commit>,
    /// Tags: their commits.
    pub tags: BTreeMap<String, String>,
    /// What a Space has besides.
    pub space: Option<Space>,
}

/// A commit.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Its name.
    pub oid: String,
    /// Its message.
    pub title: String,
    /// Its files.
    pub tree: BTreeMap<String, Entry>,
}

/// A file of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// In the repository itself.
    Regular(Vec<u8>),
    /// In the store of large files: its SHA-256 and size.
    Large(String, u64),
}

/// What a Space has.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// Its kind, such as `docker`.
    pub sdk: String,
    /// Variables that everybody can read.
    pub variables: BTreeMap<String, String>,
    /// Secrets.
    pub secrets: BTreeMap<String, String>,
    /// Where it stands, such as `RUNNING`.
    pub stage: String,
    /// What went wrong.
    pub error: Option<String>,
    /// Where it listens.
    pub host: Option<String>,
    /// How often it was started.
    pub starts: u32,
    /// How often that was asked for.
    pub restarts: u32,
}

/// What a container of a Space sees.
#[derive(Clone, Debug)]
pub struct Started {
    /// The Space.
    pub id: String,
    /// How often it was started, this time included.
    pub starts: u32,
    /// Its environment: variables and secrets.
    pub environment: BTreeMap<String, String>,
    /// Its files.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Entry {
    /// Returns the name of the content: as git has it, or its SHA-256.
    pub(super) fn oid(&self) -> String {
        match self {
            Self::Regular(bytes) => blob(bytes),
            Self::Large(oid, _) => oid.clone(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Regular(bytes) => bytes.len() as u64,
            Self::Large(_, size) => *size,
        }
    }
}

/// Returns the name that git gives to a content.
pub(super) fn blob(bytes: &[u8]) -> String {
    let mut hash = sha1::Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hex(&hash.finalize())
}

/// Returns the SHA-256 of a content.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Repository {
    /// Makes a repository with its first commit.
    pub(super) fn new(id: &str, private: bool, sdk: Option<String>) -> Self {
        let mut made = Self { private, ..Self::default() };
        made.space = sdk.map(|sdk| Space { sdk, stage: "NO_APP_FILE".to_owned(), ..Space::default() });
        made.commit(&format!("initial commit of {id}"), BTreeMap::new());
        made
    }

    /// Adds a commit, and returns its name.
    pub fn commit(&mut self, title: &str, tree: BTreeMap<String, Entry>) -> String {
        let parent = self.commits.last().map(|commit| commit.oid.as_str()).unwrap_or_default();
        let oid = blob(format!("{parent} {title} {tree:?}").as_bytes());
        self.commits.push(Commit { oid: oid.clone(), title: title.to_owned(), tree });
        oid
    }

    /// Returns the commit that a branch, a tag or a name means.
    pub fn at(&self, revision: &str) -> Option<&Commit> {
        if revision == "main" {
            return self.commits.last();
        }
        let name = self.tags.get(revision).map_or(revision, String::as_str);
        self.commits.iter().find(|commit| commit.oid == name)
    }

    /// Returns the newest files.
    pub fn tree(&self) -> BTreeMap<String, Entry> {
        self.commits.last().map(|commit| commit.tree.clone()).unwrap_or_default()
    }
}

impl Hub {
    /// Returns the bytes of a file.
    pub fn bytes(&self, entry: &Entry) -> Vec<u8> {
        match entry {
            Entry::Regular(bytes) => bytes.clone(),
            Entry::Large(oid, _) => self.objects.get(oid).cloned().unwrap_or_default(),
        }
    }

    /// Returns the newest files of a repository, such as `spaces/me/app`.
    ///
    /// # Panics
    /// When there is none.
    pub fn files(&self, id: &str) -> BTreeMap<String, Vec<u8>> {
        let tree = self.repositories.get(id).expect("a repository").tree();
        tree.iter().map(|(path, entry)| (path.clone(), self.bytes(entry))).collect()
    }

    /// Returns a Space by its id, such as `me/app`.
    ///
    /// # Panics
    /// When there is none.
    pub fn space(&self, id: &str) -> &Space {
        let repository = self.repositories.get(&format!("spaces/{id}")).expect("a space");
        repository.space.as_ref().expect("a space")
    }

    /// Returns everything that was ever uploaded: the files of all commits and the large files.
    pub fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let mut all: Vec<(String, Vec<u8>)> =
            self.objects.iter().map(|(oid, bytes)| (oid.clone(), bytes.clone())).collect();
        for (id, repository) in &self.repositories {
            for commit in &repository.commits {
                for (path, entry) in &commit.tree {
                    all.push((format!("{id}/{path}"), self.bytes(entry)));
                }
            }
        }
        all
    }

    /// Returns the requests that changed something.
    pub fn writes(&self) -> Vec<String> {
        let reads = |asked: &&String| asked.starts_with("GET ") || asked.starts_with("HEAD ");
        self.asked.iter().filter(|asked| !reads(asked)).cloned().collect()
    }
}
