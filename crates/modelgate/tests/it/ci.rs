//! What CI does with the binary: what it says on GitHub, and the workflows that it runs.

mod comment;
mod workflows;
