//! Atomic files, the content-addressed store and the project lock.
