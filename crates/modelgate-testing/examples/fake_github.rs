//! A GitHub for benchmarks: prints where it listens and what token is good, and serves until its input ends.

#![expect(clippy::print_stdout, reason = "the address is what it is started for")]

use std::io::Read;

use modelgate_testing::github::{FakeGithub, TOKEN};

fn main() {
    let github = FakeGithub::start();
    println!("{} {TOKEN}", github.url);
    // Ends with whoever started it.
    let _ = std::io::stdin().read(&mut [0; 1]);
}
