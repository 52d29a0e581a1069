/**
 * Objects as Rust makes them. A bare crate in the manner of aya (maps of 28 bytes in section `maps`, programs in
 * sections without a target, several in one) goes through rustc's own BPF back end. The compiler's BPF output is
 * bitcode for a linker, so its assembly is taken and assembled.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { linkProgram, ObjectError, openObject } from './index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'anybpf-rust-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** A crate without `core`, which is not installed for BPF: the few items that the compiler asks for, then a program. */
const source = `
#![feature(no_core, lang_items, intrinsics, rustc_attrs, freeze_impls, auto_traits, arbitrary_self_types)]
#![no_core]
#![no_std]
#![allow(internal_features, unconditional_recursion)]
#[lang = "pointee_sized"] pub trait PointeeSized {}
#[lang = "meta_sized"] pub trait MetaSized: PointeeSized {}
#[lang = "sized"] pub trait Sized: MetaSized {}
#[lang = "copy"] pub trait Copy {}
#[lang = "sync"] pub unsafe auto trait Sync {}
#[lang = "freeze"] pub unsafe auto trait Freeze {}
#[lang = "legacy_receiver"] pub trait LegacyReceiver {}
impl Copy for u8 {} impl Copy for u32 {} impl Copy for u64 {} impl<T> Copy for *mut T {} impl<T: Copy, const N: usize> Copy for [T; N] {}
#[lang = "add"] pub trait Add<R = Self> { type Output; fn add(self, r: R) -> Self::Output; }
impl Add for u64 { type Output = u64; fn add(self, r: u64) -> u64 { self + r } }
#[lang = "eq"] pub trait PartialEq<R: ?Sized = Self> { fn eq(&self, o: &R) -> bool; fn ne(&self, o: &R) -> bool; }
impl PartialEq for u64 { fn eq(&self, o: &u64) -> bool { *self == *o } fn ne(&self, o: &u64) -> bool { *self != *o } }
#[lang = "drop_in_place"] unsafe fn drop_in_place<T: PointeeSized>(p: *mut T) { drop_in_place(p) }
#[rustc_intrinsic] pub unsafe fn transmute<A, B>(a: A) -> B;

#[repr(C)] pub struct bpf_map_def { ty: u32, key: u32, value: u32, max: u32, flags: u32, id: u32, pinning: u32 }
#[no_mangle] #[link_section = "maps"] pub static mut COUNTS: bpf_map_def =
  bpf_map_def { ty: 1, key: 4, value: 8, max: 1024, flags: 0, id: 0, pinning: 1 };
#[no_mangle] #[link_section = "maps"] pub static mut EVENTS: bpf_map_def =
  bpf_map_def { ty: 4, key: 4, value: 4, max: 0, flags: 0, id: 0, pinning: 0 };
#[no_mangle] #[link_section = "license"] pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\\0";
#[no_mangle] pub static mut TOTAL: u64 = 5;
static TEXT: [u8; 16] = *b"hello from rust!";
#[inline(never)] fn look(key: &u32) -> u64 {
  let lookup: unsafe extern "C" fn(*mut bpf_map_def, *const u32) -> *mut u64 = unsafe { transmute(1u64) };
  let value = unsafe { lookup(&raw mut COUNTS, key) };
  let address: u64 = unsafe { transmute(value) };
  if address != 0 { unsafe { *value } } else { unsafe { TOTAL } }
}
#[inline(never)] fn twice(key: &u32) -> u64 { look(key) + look(&9) }
#[no_mangle] #[link_section = "kprobe"] pub extern "C" fn on_open(_: *mut u32) -> u32 { let k = 3; if twice(&k) != 0 { 1 } else { 0 } }
#[no_mangle] #[link_section = "kprobe"] pub extern "C" fn on_close(_: *mut u32) -> u32 {
  let print: unsafe extern "C" fn(*const [u8; 16], u32) -> u64 = unsafe { transmute(6u64) };
  unsafe { print(&TEXT, 16) };
  let k = 4; if look(&k) != 0 { 2 } else { 0 }
}
#[no_mangle] #[link_section = "tracepoint"] pub extern "C" fn enter(_: *mut u32) -> u32 { 0 }
`

/** The object's path, or why there is none. */
function build(): { path: string } | { missing: string } {
  const [crate, assembly, path] = ['crate.rs', 'crate.s', 'crate.o'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(crate, source)
  const flags = [
    '--edition',
    '2021',
    '--target',
    'bpfel-unknown-none',
    '--crate-type',
    'lib',
    '--crate-name',
    'demo',
  ]
  const options = [
    'opt-level=2',
    'debuginfo=2',
    'panic=abort',
    'overflow-checks=off',
    'codegen-units=1',
  ].flatMap((one) => ['-C', one])
  const rustc = spawnSync('rustc', [...flags, ...options, '--emit=asm', crate, '-o', assembly], {
    env: { ...process.env, RUSTC_BOOTSTRAP: '1' },
    encoding: 'utf8',
  })
  if (rustc.status !== 0)
    return { missing: `rustc for bpfel-unknown-none: ${rustc.error ?? rustc.stderr.split('\n')[0]}` }
  const assembler = spawnSync('llvm-mc-19', ['-triple', 'bpfel', '-filetype=obj', assembly, '-o', path], {
    encoding: 'utf8',
  })
  if (assembler.status !== 0)
    return { missing: `llvm-mc-19: ${assembler.error ?? assembler.stderr.split('\n')[0]}` }
  return { path }
}

test('a Rust object opens and links', (context) => {
  const object = build()
  if ('missing' in object) return context.skip(object.missing)
  const spec = openObject(new Uint8Array(readFileSync(object.path)), { name: 'demo' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  expect(spec.license).toBe('Dual MIT/GPL')
  expect(spec.warnings).toEqual([])
  expect(
    spec.programs
      .map((one) => [one.name, one.section, one.definition.pattern, one.definition.attach.kind])
      .sort(),
  ).toEqual([
    ['enter', 'tracepoint', 'tracepoint+', 'none'],
    ['on_close', 'kprobe', 'kprobe+', 'none'],
    ['on_open', 'kprobe', 'kprobe+', 'none'],
  ])
  expect(spec.maps.filter((map) => map.origin === 'legacy')).toMatchObject([
    { name: 'COUNTS', type: 1, keySize: 4, valueSize: 8, maxEntries: 1024, pinning: 'by-name' },
    { name: 'EVENTS', type: 4, maxEntries: 0, pinning: 'none' },
  ])
  // One section per variable and per function, named after the mangled item.
  expect(
    spec.maps
      .filter((map) => map.origin !== 'legacy')
      .map((map) => map.name.replace(/_R\w+/, '*'))
      .sort(),
  ).toEqual(['.data.TOTAL', '.rodata.*', '.rodata.cst4'])
  const linked = linkProgram(spec, 'on_open')
  if (linked instanceof ObjectError) throw new Error(linked.message)
  expect(linked.functions.map((one) => one.function.section.replace(/_R\w+/, '*'))).toEqual([
    'kprobe',
    '.text.*',
    '.text.*',
  ])
  expect(linked.references.map((one) => ('map' in one ? one.map : one.kind))).toEqual([
    '.rodata.cst4',
    'COUNTS',
    '.data.TOTAL',
  ])
  expect(linked.funcInfo).toHaveLength(3 * 8)
  return undefined
})
