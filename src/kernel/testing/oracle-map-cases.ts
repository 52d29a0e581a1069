/** Calls that linux-oracle.test.ts makes of both kernels: the size rules, and maps. */
import * as abi from '../../abi/index.ts'
import { mapCreateAttr, mapElemAttr, mapFreezeAttr, mapNextKeyAttr } from '../../abi/index.ts'
import { u32, u64 } from './caller.ts'
import {
  array,
  createMap,
  define,
  element,
  hash,
  loadProgram,
  type OracleCase,
  ring,
  TRIVIAL,
} from './oracle.ts'
import type { ResultRef } from './script.ts'

const { BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_PERF_EVENT_ARRAY } = abi.BPF_MAP_TYPE
const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE } = abi
const BOTH = PROT_READ | PROT_WRITE
const programs = { ...array, map_type: BPF_MAP_TYPE_PROG_ARRAY, value_size: 4 }
const events = { ...array, map_type: BPF_MAP_TYPE_PERF_EVENT_ARRAY, value_size: 4 }
const mapped = { ...array, map_flags: abi.BPF_F_MMAPABLE }

/** Commands, and where what they use of the attribute ends. */
const ends: readonly [keyof typeof abi.BPF_CMD, number][] = [
  ['BPF_MAP_CREATE', mapCreateAttr.endOfLastMember],
  ['BPF_MAP_LOOKUP_ELEM', 32],
  ['BPF_MAP_UPDATE_ELEM', 32],
  ['BPF_MAP_DELETE_ELEM', 16],
  ['BPF_MAP_GET_NEXT_KEY', 24],
  ['BPF_MAP_LOOKUP_AND_DELETE_ELEM', 32],
  ['BPF_MAP_FREEZE', 4],
  ['BPF_PROG_LOAD', abi.progLoadAttr.endOfLastMember],
  ['BPF_PROG_TEST_RUN', abi.progTestRunAttr.endOfLastMember],
  ['BPF_OBJ_GET_INFO_BY_FD', 16],
  ['BPF_LINK_CREATE', 60],
  ['BPF_LINK_UPDATE', 16],
  ['BPF_LINK_DETACH', 4],
  ['BPF_PROG_BIND_MAP', 12],
  ['BPF_PROG_GET_NEXT_ID', 8],
  ['BPF_MAP_GET_NEXT_ID', 8],
  ['BPF_LINK_GET_NEXT_ID', 8],
  ['BPF_PROG_GET_FD_BY_ID', 4],
  ['BPF_MAP_GET_FD_BY_ID', 12],
  ['BPF_BTF_GET_FD_BY_ID', 16],
  ['BPF_LINK_GET_FD_BY_ID', 4],
  ['BPF_BTF_LOAD', 32],
  ['BPF_TASK_FD_QUERY', 48],
]

export function mapCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)

  for (const [name, size, last] of [
    ['no bytes at all', 0, 0],
    ['the first four members', 16, 0],
    ['longer than known, zero beyond', 400, 0],
    ['a page', 4096, 0],
    ['more than a page', 4097, 0],
    ['longer than known, not zero beyond', 400, 1],
  ] as const) {
    add(`MAP_CREATE: ${name}`, (script) => {
      const attr = new Uint8Array(size)
      attr.set(mapCreateAttr.encode(array).subarray(0, size))
      if (last === 1) attr[size - 1] = 1
      script.bpf('BPF_MAP_CREATE', attr)
    })
  }
  for (const size of [72, 400, 5000]) {
    add(`a bad pointer, ${size} bytes`, (script) => script.bpfOn('BPF_MAP_CREATE', undefined, size))
  }
  for (const cmd of [-1, 38, 39, 100, 0x7fff_ffff]) {
    add(`unknown command ${cmd}`, (script) => {
      script.bpf(cmd, new Uint8Array(16))
      script.bpfOn(cmd, undefined, 16)
    })
  }
  for (const [cmd, end] of ends) {
    add(`${cmd}: one byte around the end of what it uses`, (script) => {
      for (const at of [end - 4, end - 1, end, end + 3]) {
        const attr = new Uint8Array(200)
        // Past every id that there is, whatever else the machine is doing.
        if (cmd.endsWith('GET_NEXT_ID')) new DataView(attr.buffer).setUint32(0, 0x7fff_fffe, true)
        attr[at] = 1
        script.bpf(cmd, attr)
      }
    })
  }

  const creations: readonly [string, Parameters<typeof createMap>[1]][] = [
    ['of type 0', { ...array, map_type: 0 }],
    ['of an unknown type', { ...array, map_type: 77 }],
    ['array with a 2-byte key', { ...array, key_size: 2 }],
    ['array without entries', { ...array, max_entries: 0 }],
    ['array without value', { ...array, value_size: 0 }],
    ['hash without key', { ...hash, key_size: 0 }],
    ['hash with a key of 1 MiB', { ...hash, key_size: 1 << 20 }],
    ['hash with an enormous value', { ...hash, value_size: 0x7fff_ffff }],
    ['array with NO_PREALLOC', { ...array, map_flags: abi.BPF_F_NO_PREALLOC }],
    ['hash that can be mapped', { ...hash, map_flags: abi.BPF_F_MMAPABLE }],
    ['unknown flag', { ...hash, map_flags: 1 << 25 }],
    ['RDONLY and WRONLY', { ...hash, map_flags: abi.BPF_F_RDONLY | abi.BPF_F_WRONLY }],
    ['RDONLY_PROG and WRONLY_PROG', { ...hash, map_flags: abi.BPF_F_RDONLY_PROG | abi.BPF_F_WRONLY_PROG }],
    ['node 0', { ...hash, map_flags: abi.BPF_F_NUMA_NODE, numa_node: 0 }],
    ['node 99', { ...hash, map_flags: abi.BPF_F_NUMA_NODE, numa_node: 99 }],
    ['node 99 without the flag', { ...hash, numa_node: 99 }],
    ['map_extra', { ...hash, map_extra: 1n }],
    ['a value type without BTF', { ...hash, btf_value_type_id: 1 }],
    ['a value type with a BTF descriptor that is none', { ...hash, btf_value_type_id: 1, btf_fd: 999 }],
    ['a key type alone', { ...hash, btf_key_type_id: 1 }],
    ['a vmlinux value type', { ...hash, btf_vmlinux_value_type_id: 1 }],
    ['a BTF descriptor without types', { ...hash, btf_fd: 99 }],
    ['a token without one', { ...hash, map_flags: 1 << 16, map_token_fd: -1 }],
    ['the hash of an exclusive program, without size', { ...hash, excl_prog_hash: 1n }],
    ['the size of such a hash alone', { ...hash, excl_prog_hash_size: 32 }],
    ['ring buffer of half a page', { ...ring, max_entries: 2048 }],
    ['ring buffer with a key', { ...ring, key_size: 4 }],
    ['perf event array with 8-byte values', { ...events, value_size: 8 }],
    ['perf event array', events],
    ['program array', programs],
    ['program array that programs only read', { ...programs, map_flags: abi.BPF_F_RDONLY_PROG }],
  ]
  for (const [name, attr] of creations) add(`MAP_CREATE: ${name}`, (script) => createMap(script, attr))

  for (const name of [
    '',
    'good_name.1',
    'bad name',
    'bad-name',
    'exactly15bytes_',
    'sixteen_bytes_xx',
    'a\0 ',
  ]) {
    add(`MAP_CREATE: the name ${JSON.stringify(name)}`, (script) => {
      const attr = mapCreateAttr.encode(hash)
      attr.set(new TextEncoder().encode(name), mapCreateAttr.offsets.map_name)
      script.bpf('BPF_MAP_CREATE', attr)
    })
  }

  for (const cmd of [
    'BPF_MAP_LOOKUP_ELEM',
    'BPF_MAP_UPDATE_ELEM',
    'BPF_MAP_DELETE_ELEM',
    'BPF_MAP_LOOKUP_AND_DELETE_ELEM',
  ] as const) {
    const value = cmd === 'BPF_MAP_DELETE_ELEM' ? undefined : u64(1n)
    for (const [kind, attr] of [
      ['hash', hash],
      ['array', array],
      ['ring buffer', ring],
      ['program array', programs],
      ['perf event array', events],
      ['write-only hash', { ...hash, map_flags: abi.BPF_F_WRONLY }],
      ['read-only hash', { ...hash, map_flags: abi.BPF_F_RDONLY }],
    ] as const) {
      add(`${cmd} of a ${kind}`, (script) => {
        const map = createMap(script, attr)
        const key = kind === 'ring buffer' ? undefined : u32(1)
        element(script, cmd, map, { key, value })
        element(script, cmd, map, { key: u32(1), value })
        element(script, cmd, map, { key: u32(99), value })
        element(script, cmd, map, { value })
        element(script, cmd, map, { key })
        if (value === undefined) return
        for (const flags of [1n, 2n, 3n, 4n, 5n, 8n, 1n << 40n])
          element(script, cmd, map, { key, value, flags })
      })
    }
    add(`${cmd} of a program, of no descriptor`, (script) => {
      const program = loadProgram(script, TRIVIAL)
      element(script, cmd, program, { key: u32(0), value })
      script.close(program)
      element(script, cmd, program, { key: u32(0), value })
    })
  }

  add('a hash from empty to full', (script) => {
    const map = createMap(script, hash)
    const update = (key: number, flags: bigint) =>
      element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(key), value: u64(1n), flags })
    for (let i = 0; i < 6; i++) update(i, 1n)
    update(0, 1n)
    update(0, 2n)
    update(77, 2n)
    element(script, 'BPF_MAP_LOOKUP_AND_DELETE_ELEM', map, { key: u32(0), value: u64(0n) })
    element(script, 'BPF_MAP_DELETE_ELEM', map, { key: u32(0) })
  })

  add('GET_NEXT_KEY', (script) => {
    const at = mapNextKeyAttr.offsets
    const next = (map: ResultRef, key: Uint8Array | undefined, room = true) =>
      script.bpf('BPF_MAP_GET_NEXT_KEY', mapNextKeyAttr.encode({}), {
        [at.map_fd]: map,
        ...(key === undefined ? {} : { [at.key]: script.buffer(key) }),
        ...(room ? { [at.next_key]: script.buffer(4) } : {}),
      })
    for (const attr of [hash, array, ring, programs, events]) {
      const map = createMap(script, attr)
      next(map, undefined)
      next(map, u32(0))
      next(map, u32(3))
      next(map, u32(99))
      next(map, undefined, false)
    }
    next(createMap(script, { ...hash, map_flags: abi.BPF_F_WRONLY }), undefined)
  })

  add('FREEZE', (script) => {
    const freeze = (map: ResultRef) =>
      script.bpf('BPF_MAP_FREEZE', mapFreezeAttr.encode({}), { [mapFreezeAttr.offsets.map_fd]: map })
    const map = createMap(script, array)
    freeze(map)
    freeze(map)
    element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(0), value: u64(1n) })
    element(script, 'BPF_MAP_DELETE_ELEM', map, { key: u32(0) })
    element(script, 'BPF_MAP_LOOKUP_ELEM', map, { key: u32(0), value: u64(1n) })
    freeze(createMap(script, { ...array, map_flags: abi.BPF_F_RDONLY }))
    const shown = createMap(script, mapped)
    script.mmap(shown, 4096, BOTH, MAP_SHARED, 0)
    freeze(shown)
    const frozen = createMap(script, mapped)
    freeze(frozen)
    script.mmap(frozen, 4096, BOTH, MAP_SHARED, 0)
    script.mmap(frozen, 4096, PROT_READ, MAP_SHARED, 0)
  })

  add('mmap of a ring buffer', (script) => {
    const map = createMap(script, ring)
    script.mmap(map, 4096, BOTH, MAP_SHARED, 0)
    script.mmap(map, 4096, PROT_READ, MAP_SHARED, 0)
    script.mmap(map, 12288, PROT_READ, MAP_SHARED, 4096)
    script.mmap(map, 12288, BOTH, MAP_SHARED, 4096)
    script.mmap(map, 8192, BOTH, MAP_SHARED, 0)
    script.mmap(map, 16384, PROT_READ, MAP_SHARED, 0)
    script.mmap(map, 20480, PROT_READ, MAP_SHARED, 0)
    script.mmap(map, 12288, PROT_READ, MAP_SHARED, 8192)
    script.mmap(map, 4096, PROT_READ, MAP_PRIVATE, 0)
    script.mmap(map, 0, PROT_READ, MAP_SHARED, 0)
    script.mmap(map, 4096, PROT_READ, MAP_SHARED, 1)
  })

  add('mmap of arrays and of what has no memory to show', (script) => {
    script.mmap(createMap(script, array), 4096, PROT_READ, MAP_SHARED, 0)
    script.mmap(createMap(script, hash), 4096, PROT_READ, MAP_SHARED, 0)
    const map = createMap(script, mapped)
    script.mmap(map, 4096, BOTH, MAP_SHARED, 0)
    script.mmap(map, 8192, BOTH, MAP_SHARED, 0)
    script.mmap(map, 4096, PROT_READ, MAP_SHARED, 4096)
    script.mmap(map, 4096, PROT_READ, MAP_PRIVATE, 0)
    const readOnly = createMap(script, { ...array, map_flags: abi.BPF_F_MMAPABLE | abi.BPF_F_RDONLY })
    script.mmap(readOnly, 4096, BOTH, MAP_SHARED, 0)
    script.mmap(readOnly, 4096, PROT_READ, MAP_SHARED, 0)
    const forPrograms = createMap(script, { ...array, map_flags: abi.BPF_F_MMAPABLE | abi.BPF_F_RDONLY_PROG })
    script.mmap(forPrograms, 4096, BOTH, MAP_SHARED, 0)
    script.mmap(loadProgram(script, TRIVIAL), 4096, PROT_READ, MAP_SHARED, 0)
  })

  for (const [kind, attr] of [
    ['program', programs],
    ['perf event', events],
  ] as const) {
    add(`a ${kind} array takes descriptors of ${kind}s`, (script) => {
      const map = createMap(script, attr)
      const set = (fd: ResultRef, index: number, flags = 0n) =>
        script.bpf('BPF_MAP_UPDATE_ELEM', mapElemAttr.encode({ flags }), {
          [mapElemAttr.offsets.map_fd]: map,
          [mapElemAttr.offsets.key]: script.buffer(u32(index)),
          [mapElemAttr.offsets.value]: script.buffer(4, { 0: fd }),
        })
      const program = loadProgram(script, TRIVIAL)
      const other = loadProgram(script, TRIVIAL, {
        prog_type: abi.BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT,
      })
      const event = script.perf(
        script.buffer(abi.perfEventAttr.encode({ type: 1, size: 136, config: 10n, sample_type: 1024n })),
      )
      element(script, 'BPF_MAP_DELETE_ELEM', map, { key: u32(0) })
      const good = kind === 'program' ? program : event
      set(good, 0)
      set(good, 0)
      set(other, 1)
      set(kind === 'program' ? event : program, 1)
      set(good, 9)
      set(good, 2, 1n)
      set(map, 2)
      element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(1), value: u32(999) })
      for (const key of [0, 1, 9])
        element(script, 'BPF_MAP_LOOKUP_ELEM', map, { key: u32(key), value: u32(0) })
      for (const key of [0, 0, 9]) element(script, 'BPF_MAP_DELETE_ELEM', map, { key: u32(key) })
    })
  }
  return cases
}
