//! Maps that their types describe, as C's are, so that libbpf takes the object, too; statics of every section.
#![no_std]

use core::mem::transmute;
use core::ptr::null;

#[repr(C)]
pub struct TypedMap<K, V, const KIND: usize, const ENTRIES: usize> {
    r#type: *const [i32; KIND],
    key: *const K,
    value: *const V,
    max_entries: *const [i32; ENTRIES],
}

unsafe impl<K, V, const KIND: usize, const ENTRIES: usize> Sync for TypedMap<K, V, KIND, ENTRIES> {}

impl<K, V, const KIND: usize, const ENTRIES: usize> TypedMap<K, V, KIND, ENTRIES> {
    const fn new() -> Self {
        TypedMap { r#type: null(), key: null(), value: null(), max_entries: null() }
    }

    #[inline(always)]
    fn get(&'static self, key: &K) -> Option<&'static mut V> {
        let helper: unsafe extern "C" fn(&'static Self, &K) -> *mut V = unsafe { transmute(1usize) };
        unsafe { helper(self, key).as_mut() }
    }

    #[inline(always)]
    fn set(&'static self, key: &K, value: &V) -> bool {
        let helper: unsafe extern "C" fn(&'static Self, &K, &V, u64) -> i64 = unsafe { transmute(2usize) };
        unsafe { helper(self, key, value, 0) == 0 }
    }
}

#[repr(C)]
pub struct Flow {
    kind: u16,
    port: u16,
    bucket: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Count {
    packets: u64,
    bytes: u64,
}

#[no_mangle]
#[link_section = ".maps"]
pub static FLOWS: TypedMap<Flow, Count, 1, 64> = TypedMap::new();
#[no_mangle]
#[link_section = ".maps"]
pub static TOTALS: TypedMap<u32, u64, 2, 4> = TypedMap::new();
#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = *b"GPL\0";

#[no_mangle]
pub static mut THRESHOLD: u32 = 40;
#[no_mangle]
pub static mut SEEN: [u32; 4] = [0; 4];
static mut LAST: u64 = 0;
static mut STEP: u64 = 3;
static PRIMES: [u32; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];

#[repr(C)]
pub struct Context {
    data: u32,
    data_end: u32,
}

#[inline(never)]
fn prime(at: usize) -> u32 {
    PRIMES.get(at).copied().unwrap_or(41)
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn typed(context: &Context) -> u32 {
    let (start, end) = (context.data as usize, context.data_end as usize);
    if start + 8 > end {
        return 1;
    }
    let bytes = unsafe { &*(start as *const [u8; 8]) };
    let flow = Flow { kind: u16::from(bytes[0] & 3), port: u16::from_be_bytes([bytes[2], bytes[3]]), bucket: 9 };
    let length = (end - start) as u64;
    match FLOWS.get(&flow) {
        Some(count) => *count = Count { packets: count.packets + 1, bytes: count.bytes + length },
        None => {
            if !FLOWS.set(&flow, &Count { packets: 1, bytes: length }) {
                return 2;
            }
        }
    }
    let slot = u32::from(bytes[1] & 3);
    if let Some(total) = TOTALS.get(&slot) {
        *total += length;
    }
    unsafe {
        SEEN[(bytes[0] & 3) as usize] += 1;
        LAST = LAST.wrapping_mul(31).wrapping_add(u64::from(bytes[4])) + STEP;
        STEP += 1;
        if prime(usize::from(bytes[5])) > THRESHOLD { 3 } else { LAST as u32 ^ prime(usize::from(bytes[6])) }
    }
}
