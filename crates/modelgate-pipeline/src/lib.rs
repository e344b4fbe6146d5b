//! Stages, what need not run again, approval, promotion and the run report.
