//! What every process learns of the others within two seconds, with hints and without.

mod hints;
