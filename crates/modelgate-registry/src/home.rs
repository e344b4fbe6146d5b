//! What a home of a registry must do: append to the ledger if its head is still the expected one, and keep objects.

use std::collections::BTreeMap;

use modelgate_core::Digest;

use crate::RegistryError;

/// Objects by digest, kept together with an append.
pub type Objects = BTreeMap<Digest, Vec<u8>>;

/// A place that keeps a ledger and objects.
pub trait Home: Send {
    /// Returns the place in words.
    fn name(&self) -> String;

    /// Returns the ledger's text: whole lines only.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or read.
    fn read(&mut self) -> Result<String, RegistryError>;

    /// Keeps `objects`, then adds `lines` to the ledger if it is still `expected`.
    ///
    /// Returns `false`, having added nothing, when another writer was faster.
    ///
    /// # Errors
    /// Fails when the place cannot be reached or written.
    fn append(&mut self, expected: &str, lines: &str, objects: &Objects) -> Result<bool, RegistryError>;

    /// Returns an object, checked against its digest.
    ///
    /// # Errors
    /// Fails when it is missing or damaged.
    fn get(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError>;
}

/// Returns the text without a last line that has no line feed: the rest of a write that was killed.
pub(crate) fn whole_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |end| end + 1)]
}
