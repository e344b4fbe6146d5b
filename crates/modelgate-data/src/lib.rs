//! CSV in, snapshots, splits and the preprocessing plan.
