//! Functions whose addresses helpers take.
#![no_std]

use core::ffi::c_void;
use core::mem::transmute;

#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = *b"GPL\0";

type Step<T> = extern "C" fn(u32, &mut T) -> i64;

fn each<T>(count: u32, step: Step<T>, state: &mut T) {
    let helper: unsafe extern "C" fn(u32, Step<T>, &mut T, u64) -> i64 = unsafe { transmute(181usize) };
    unsafe { helper(count, step, state, 0) };
}

struct Walk {
    sum: u64,
    factor: u64,
}

#[inline(never)]
fn scaled(index: u32, factor: u64) -> u64 {
    u64::from(index) * factor + 2
}

extern "C" fn add(index: u32, walk: &mut Walk) -> i64 {
    walk.sum += scaled(index, walk.factor);
    i64::from(index == 6)
}

extern "C" fn take(index: u32, walk: &mut Walk) -> i64 {
    walk.sum -= u64::from(index);
    0
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn loops(_: *mut c_void) -> u32 {
    let mut walk = Walk { sum: 0, factor: 3 };
    each(10, add, &mut walk);
    each(4, take, &mut walk);
    walk.sum as u32
}
