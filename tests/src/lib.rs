//! Whole-system test tools.
