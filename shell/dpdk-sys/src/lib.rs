//! Raw bindings to the installed libdpdk: the control calls we make, and nothing else; the burst
//! calls come through `shim.c`, which alone knows how an mbuf is laid out.
//!
//! Everything here is as unsafe as C. The safe side is `shell/src/port/dpdk`.
#![no_std]
// A foreign interface is unsafe from end to end, and its names are DPDK's.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, unreachable_pub)]
#![allow(non_camel_case_types, non_upper_case_globals, non_snake_case)]
#![allow(clippy::all, clippy::undocumented_unsafe_blocks, clippy::semicolon_if_nothing_returned)]
#![allow(clippy::cast_lossless, clippy::too_many_lines)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
