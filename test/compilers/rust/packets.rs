//! Headers out of a packet, byte order, copies that become loads and stores, signed and wide arithmetic, and a change.
#![no_std]

#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = *b"GPL\0";

#[repr(C)]
pub struct SkBuff {
    fields: [u32; 19],
    data: u32,
    data_end: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    kind: u8,
    flags: i8,
    port: u16,
    address: u32,
    delta: i16,
    name: [u8; 6],
}

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Kind {
    Port,
    Address,
    Delta,
    Name,
    Product,
    Other,
}

impl From<u8> for Kind {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Kind::Port,
            1 => Kind::Address,
            2 => Kind::Delta,
            3 => Kind::Name,
            4 => Kind::Product,
            _ => Kind::Other,
        }
    }
}

fn header<'a>(skb: &SkBuff) -> Option<&'a mut Header> {
    let (start, end) = (skb.data as usize, skb.data_end as usize);
    if start + size_of::<Header>() > end { None } else { Some(unsafe { &mut *(start as *mut Header) }) }
}

fn hash(name: &[u8; 6]) -> u64 {
    let mut padded = [b' '; 16];
    padded[..6].copy_from_slice(name);
    padded.iter().fold(14695981039346656037, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(1099511628211))
}

#[no_mangle]
#[link_section = "classifier"]
pub extern "C" fn packets(skb: &SkBuff) -> u32 {
    let Some(packet) = header(skb) else { return 2 };
    let header = *packet;
    match Kind::from(header.kind) {
        Kind::Port => u32::from(u16::from_be(header.port)),
        Kind::Address => u32::from_be(header.address).rotate_left(5),
        Kind::Delta => (i64::from(header.delta) >> 2) as u32,
        Kind::Name => {
            let hash = hash(&header.name);
            packet.port = (u16::from_be(header.port).wrapping_add(1)).to_be();
            (hash >> 32) as u32 ^ hash as u32
        }
        Kind::Product => (i32::from(header.flags) * i32::from(header.delta)) as u32,
        Kind::Other => u32::from(header.kind) / u32::from((header.flags as u8) | 1) + header.address % 7,
    }
}

#[no_mangle]
#[link_section = "socket"]
pub extern "C" fn lengths(skb: &SkBuff) -> u32 {
    let length = skb.fields[0];
    length.leading_zeros() * 1000 + length.count_ones() * 10 + length.trailing_zeros().min(9)
}
