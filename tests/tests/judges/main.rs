//! Judges of single rooms and of whole machines that nobody here wrote: parsers' test suites, and
//! other TCPs on a network that loses, doubles and reorders. `make judges` runs them all and prints
//! what each says.

mod escape;
mod h1spec;
mod llhttp;
mod lwip;
mod matrix;
mod smoltcp;
