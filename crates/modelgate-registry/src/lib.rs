//! The ledger in its homes, versions, stages, aliases and the index.
