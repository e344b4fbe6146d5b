//! What a registry has to say beside its answers, such as that its index was damaged and is made anew. As with a panic's
//! hook there is one listener for the process, which the program sets; without one nothing is said.

use std::sync::OnceLock;

type Listener = Box<dyn Fn(&str) + Send + Sync>;

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Hands each notice to `listener` from now on; the first who listens is the one.
pub fn listen(listener: impl Fn(&str) + Send + Sync + 'static) {
    let _ = LISTENER.set(Box::new(listener));
}

/// Says something to whoever listens.
pub fn tell(text: &str) {
    if let Some(listener) = LISTENER.get() {
        listener(text);
    }
}
