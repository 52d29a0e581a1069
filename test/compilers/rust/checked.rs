//! Indexes, sums, a quotient and `unwrap`, all checked: what cannot fail leaves no panic, what can stays away from it.
#![no_std]

use core::panic::PanicInfo;

#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = *b"GPL\0";

#[repr(C)]
pub struct Context {
    data: u32,
    data_end: u32,
}

static WEIGHTS: [u32; 8] = [3, 1, 4, 1, 5, 9, 2, 6];

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn checked(context: &Context) -> u32 {
    let (start, end) = (context.data as usize, context.data_end as usize);
    if start + 4 > end {
        return 1;
    }
    let bytes = unsafe { &*(start as *const [u8; 4]) };
    let weight = WEIGHTS[usize::from(bytes[0] & 7)];
    let share = 1000 / (u32::from(bytes[1]) + 1);
    let sum = u64::from(weight) + u64::from(share);
    let first = bytes.iter().position(|byte| *byte == 4).unwrap_or(9);
    let rest = bytes[1..3].iter().copied().map(u64::from).sum::<u64>();
    (sum * 2 + first as u64 + rest) as u32
}
