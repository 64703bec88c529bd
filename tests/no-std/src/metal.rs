//! What a C library would bring: the start, the end, a line of text, and moving bytes.

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;

/// Where the kernel jumps to: aligns the stack as functions expect it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym start)
}

extern "C" fn start() -> ! {
    exit(crate::main())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    say("no-std: panic\n");
    exit(2)
}

/// The compiled `core` names it in its unwind tables; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Ends the process.
fn exit(status: u8) -> ! {
    // SAFETY: exit_group takes a number and does not return.
    unsafe { asm!("syscall", in("rax") 231, in("rdi") u64::from(status), options(noreturn)) }
}

/// Writes to the standard output.
pub fn say(text: &str) {
    // SAFETY: write reads `len` bytes at `ptr`, which are the text's; it clobbers rcx and r11.
    unsafe {
        asm!("syscall", inout("rax") 1_u64 => _, in("rdi") 1, in("rsi") text.as_ptr(),
            in("rdx") text.len(), out("rcx") _, out("r11") _, options(nostack));
    }
}

// SAFETY (all five): the callers keep C's contracts, and `rep` moves exactly `n` bytes. They are
// written in assembly, since a loop in Rust would be compiled into a call of itself.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: see above.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= n {
        // SAFETY: the front of `to` does not overlap what is still to be read.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: `n > 0` here; from the last byte down, then forwards again as C wants it.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") n => _, inout("rdi") to.add(n - 1) => _,
            inout("rsi") from.add(n - 1) => _, options(nostack));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: see above.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, n: usize) -> i32 {
    for index in 0..n {
        // SAFETY: see above.
        let (a, b) = unsafe { (one.add(index).read(), other.add(index).read()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, n: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(one, other, n) }
}
