//! 128-bit sums and shifts, products by halves, and signed division, for which BPF has instructions since version 4.
#![no_std]

#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = *b"GPL\0";

#[repr(C)]
pub struct Context {
    data: u32,
    data_end: u32,
}

fn words<'a>(context: &Context) -> Option<&'a [u64; 2]> {
    let (start, end) = (context.data as usize, context.data_end as usize);
    if start + 16 > end { None } else { Some(unsafe { &*(start as *const [u64; 2]) }) }
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn sums(context: &Context) -> u32 {
    let Some(words) = words(context) else { return 1 };
    let wide = (u128::from(words[0]) << 64 | u128::from(words[1])).wrapping_add(u128::from(words[0]) << 17);
    (wide >> 61) as u32 ^ (wide >> 96) as u32 ^ wide as u32
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn halves(context: &Context) -> u32 {
    let Some(words) = words(context) else { return 1 };
    let (a, b) = (words[0], words[1]);
    let (low, middle) = ((a & 0xffff_ffff) * (b & 0xffff_ffff), (a >> 32).wrapping_mul(b & 0xffff_ffff));
    let sum = (low >> 32).wrapping_add(middle);
    sum as u32 ^ (sum >> 32) as u32
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn quotients(context: &Context) -> u32 {
    let Some(words) = words(context) else { return 1 };
    let (a, b) = (words[0] as i64, words[1] as i32);
    let divisor = i64::from(b) | 1;
    if divisor == -1 {
        return 2;
    }
    let narrow = if b == 0 || b == -1 { 3 } else { (a as i32).wrapping_div(b) ^ (a as i32).wrapping_rem(b) };
    (a / divisor) as u32 ^ (a % divisor) as u32 ^ narrow as u32
}
