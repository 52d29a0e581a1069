//! Enums, matches, `Option`, slices, iterators and a table, with maps in the manner of aya: no types are needed.
#![no_std]

use core::mem::transmute;

#[repr(C)]
pub struct MapDefinition {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    max_entries: u32,
    flags: u32,
    id: u32,
    pinning: u32,
}

const HASH: u32 = 1;
const ARRAY: u32 = 2;

const fn map(kind: u32, value_bytes: u32, max_entries: u32) -> MapDefinition {
    MapDefinition { kind, key_bytes: 4, value_bytes, max_entries, flags: 0, id: 0, pinning: 0 }
}

#[no_mangle]
#[link_section = "maps"]
pub static mut COUNTS: MapDefinition = map(HASH, 8, 16);
#[no_mangle]
#[link_section = "maps"]
pub static mut SIZES: MapDefinition = map(ARRAY, 4, 8);
#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[no_mangle]
pub static mut TOTAL: u64 = 5;
static mut DROPPED: u32 = 0;
static TABLE: [u16; 8] = [1, 2, 3, 5, 8, 13, 21, 34];

#[repr(C)]
pub struct Context {
    data: u32,
    data_end: u32,
}

enum Verdict {
    Drop,
    Pass(u32),
    Count { by: u64 },
}

fn lookup<'a, T>(map: *mut MapDefinition, key: &u32) -> Option<&'a mut T> {
    let helper: unsafe extern "C" fn(*mut MapDefinition, *const u32) -> *mut T = unsafe { transmute(1usize) };
    unsafe { helper(map, key).as_mut() }
}

fn update<T>(map: *mut MapDefinition, key: &u32, value: &T) -> Result<(), i32> {
    let helper: unsafe extern "C" fn(*mut MapDefinition, *const u32, *const T, u64) -> i64 =
        unsafe { transmute(2usize) };
    match unsafe { helper(map, key, value, 0) } {
        0 => Ok(()),
        failure => Err(failure as i32),
    }
}

#[inline(always)]
fn judge(bytes: &[u8; 14]) -> Verdict {
    match bytes[0] {
        0..=15 => Verdict::Drop,
        16..=99 => Verdict::Pass(size_of(usize::from(bytes[1]))),
        _ => Verdict::Count { by: sum_of(bytes) },
    }
}

fn packet<'a>(context: *mut Context) -> Option<&'a [u8; 14]> {
    let (start, end) = unsafe { ((*context).data as usize, (*context).data_end as usize) };
    if start + 14 > end {
        return None;
    }
    unsafe { (start as *const [u8; 14]).as_ref() }
}

#[inline(never)]
fn size_of(at: usize) -> u32 {
    TABLE.get(at).copied().map_or(7, u32::from)
}

#[inline(never)]
fn sum_of(bytes: &[u8; 14]) -> u64 {
    bytes.iter().rev().take(3).fold(0, |sum, byte| sum + u64::from(*byte))
}

#[inline(always)]
fn count(key: u32, by: u64) -> Result<u64, i32> {
    match lookup::<u64>(&raw mut COUNTS, &key) {
        Some(known) => {
            *known = known.saturating_add(by);
            Ok(*known)
        }
        None => update(&raw mut COUNTS, &key, &by).map(|()| by),
    }
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn judge_packet(context: *mut Context) -> u32 {
    let Some(bytes) = packet(context) else { return 0 };
    match judge(bytes) {
        Verdict::Drop => {
            unsafe { DROPPED += 1 };
            1
        }
        Verdict::Pass(size) => {
            if let Some(slot) = lookup::<u32>(&raw mut SIZES, &(size & 7)) {
                *slot += 1;
            }
            2 + size
        }
        Verdict::Count { by } => {
            unsafe { TOTAL += by };
            count(u32::from(bytes[2]), by).unwrap_or(0) as u32
        }
    }
}

#[no_mangle]
#[link_section = "kprobe"]
pub extern "C" fn on_kprobe(_: *mut u64) -> u32 {
    count(1, 1).is_err() as u32
}

#[no_mangle]
#[link_section = "tracepoint"]
pub extern "C" fn on_tracepoint(_: *mut u64) -> u32 {
    count(2, 1).is_err() as u32
}
