//! Any bytes as the body of a request, in each form that the service takes: refused, or rows that are whole.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| modelgate_serve::fuzzing::read(bytes));
