//! Whole-system tests: each file beside this one is a promise the system makes.
