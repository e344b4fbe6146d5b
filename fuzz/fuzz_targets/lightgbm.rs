//! Any bytes as LightGBM's text: refused, or a model that answers rows without a panic and in a bounded time.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| modelgate_fuzz::foreign(bytes));
