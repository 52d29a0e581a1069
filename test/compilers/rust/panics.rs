//! Panics that stay in the program. No verifier takes it: a panic handler cannot end a program, nor return from it.
#![no_std]

use core::panic::PanicInfo;

#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = *b"GPL\0";

#[repr(C)]
pub struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
}

static WEIGHTS: [u32; 5] = [3, 1, 4, 1, 5];

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}

/// The index may be too large.
#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn index(context: &Context) -> u32 {
    WEIGHTS[context.ingress_ifindex as usize]
}

/// The index is right, and only the compiler knows.
#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn remainder(context: &Context) -> u32 {
    WEIGHTS[context.ingress_ifindex as usize % 5]
}
