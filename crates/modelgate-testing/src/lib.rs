//! For tests only: throw-away projects and the binary under test.
