/** Programs that linux-oracle.test.ts runs on both kernels: what helpers over maps give. */
import * as abi from '../../abi/index.ts'
import { progLoadAttr, progTestRunAttr } from '../../abi/index.ts'
import { encode } from '../../isa/index.ts'
import { program, u32, u64 } from './caller.ts'
import { array, createMap, define, element, hash, type OracleCase, ring } from './oracle.ts'
import type { Patches, ResultRef, Script } from './script.ts'

const T = abi.BPF_MAP_TYPE
const { BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_SYSCALL, BPF_PROG_TYPE_XDP } = abi.BPF_PROG_TYPE
const MARKER = 0xabcd

/** Loads text in which `MAP n` stands for the n-th map. */
function load(script: Script, type: number, source: string, maps: readonly ResultRef[]): ResultRef {
  const text = source.replace(
    /MAP (\d)/g,
    (_all, index: string) => `0x${MARKER.toString(16)}0000000${index} ll`,
  )
  const code = encode(program(text))
  const view = new DataView(code.buffer)
  const patches: Record<number, ResultRef> = {}
  for (let at = 0; at < code.length; at += 8) {
    if (code[at] !== 0x18) continue
    if (view.getUint32(at + 12, true) === MARKER) {
      code[at + 1] = (code[at + 1] as number) | (abi.BPF_PSEUDO_MAP_FD << 4)
      patches[at + 4] = maps[view.getUint32(at + 4, true)] as ResultRef
      view.setUint32(at + 12, 0, true)
    }
    at += 8
  }
  const at = progLoadAttr.offsets
  const sleepable = type === BPF_PROG_TYPE_SYSCALL ? abi.BPF_F_SLEEPABLE : 0
  const attr = progLoadAttr.encode({ prog_type: type, insn_cnt: code.length / 8, prog_flags: sleepable })
  return script.bpf('BPF_PROG_LOAD', attr, {
    [at.insns]: script.buffer(code, patches as Patches),
    [at.license]: script.buffer('GPL'),
  })
}

/** Runs a program on a context or, of XDP, a frame; shows what it returns and leaves. */
function run(script: Script, loaded: ResultRef, input: Uint8Array, isFrame = false): void {
  const at = progTestRunAttr.offsets
  const buffer = script.buffer(input)
  const sizes = isFrame ? { data_size_in: input.length, repeat: 1 } : { ctx_size_in: input.length }
  const attr = script.buffer(progTestRunAttr.encode(sizes), {
    [at.prog_fd]: loaded,
    [isFrame ? at.data_in : at.ctx_in]: buffer,
  })
  script.bpfOn('BPF_PROG_TEST_RUN', attr, progTestRunAttr.endOfLastMember)
  script.dump(attr, at.retval, 4)
  if (!isFrame) script.dump(buffer, 0, input.length)
}

const words = (...values: readonly bigint[]) => Uint8Array.from(values.flatMap((value) => [...u64(value)]))

/** Reads the key at r1 and stores it for look-ups in the map that `r1` is then loaded with. */
const TAKE_KEY = `
  r6 = r1
  r2 = *(u64 *)(r6 +0)
  *(u64 *)(r10 -8) = r2`

export function helperCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)

  for (const [name, type] of [
    ['array', T.BPF_MAP_TYPE_ARRAY_OF_MAPS],
    ['hash', T.BPF_MAP_TYPE_HASH_OF_MAPS],
  ] as const) {
    add(`a program looks through a ${name} of maps`, (script) => {
      const [one, two] = [createMap(script, hash), createMap(script, hash)]
      element(script, 'BPF_MAP_UPDATE_ELEM', one, { key: u32(7), value: u64(70n) })
      element(script, 'BPF_MAP_UPDATE_ELEM', two, { key: u32(7), value: u64(90n) })
      const outer = script.bpf(
        'BPF_MAP_CREATE',
        abi.mapCreateAttr.encode({ ...array, map_type: type, value_size: 4 }),
        { [abi.mapCreateAttr.offsets.inner_map_fd]: one },
      )
      const put = (key: number, inner: ResultRef) =>
        script.bpf('BPF_MAP_UPDATE_ELEM', abi.mapElemAttr.encode({}), {
          [abi.mapElemAttr.offsets.map_fd]: outer,
          [abi.mapElemAttr.offsets.key]: script.buffer(u32(key)),
          [abi.mapElemAttr.offsets.value]: script.buffer(4, { 0: inner }),
        })
      const look = load(
        script,
        BPF_PROG_TYPE_RAW_TRACEPOINT,
        `${TAKE_KEY}
        r1 = MAP 0
        r2 = r10
        r2 += -8
        call bpf_map_lookup_elem
        if r0 == 0 goto no_map
        r1 = 7
        *(u32 *)(r10 -16) = r1
        r1 = r0
        r2 = r10
        r2 += -16
        call bpf_map_lookup_elem
        if r0 == 0 goto no_value
        r0 = *(u64 *)(r0 +0)
        exit
      no_map:
        r0 = 1
        exit
      no_value:
        r0 = 2
        exit`,
        [outer],
      )
      const lookAll = () => {
        for (const key of [0n, 1n, 9n]) run(script, look, words(key))
      }
      lookAll()
      put(0, one)
      put(1, two)
      script.close(two)
      lookAll()
      put(0, one)
      element(script, 'BPF_MAP_DELETE_ELEM', one, { key: u32(7) })
      element(script, 'BPF_MAP_DELETE_ELEM', outer, { key: u32(1) })
      lookAll()
    })
  }

  for (const [name, type, entry] of [
    ['devmap', T.BPF_MAP_TYPE_DEVMAP, 1],
    ['devmap_hash', T.BPF_MAP_TYPE_DEVMAP_HASH, 1],
    ['cpumap', T.BPF_MAP_TYPE_CPUMAP, 16],
    ['xskmap', T.BPF_MAP_TYPE_XSKMAP, undefined],
  ] as const) {
    add(`redirect_map to a ${name}`, (script) => {
      const map = createMap(script, { ...array, map_type: type, value_size: 4 })
      if (entry !== undefined) element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(1), value: u32(entry) })
      for (const [index, flags] of [
        [0, 0],
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 4],
        [0, 8],
        [0, 24],
        [0, 32],
        [9, 2],
        [1, 16],
      ]) {
        const redirect = load(
          script,
          BPF_PROG_TYPE_XDP,
          `r1 = MAP 0
          r2 = ${index}
          r3 = ${flags}
          call bpf_redirect_map
          exit`,
          [map],
        )
        run(script, redirect, new Uint8Array(64), true)
      }
    })
  }

  add('get_stackid and get_stack: flags', (script) => {
    const map = createMap(script, { ...array, map_type: T.BPF_MAP_TYPE_STACK_TRACE, value_size: 16 })
    for (const flags of [1n << 11n, 1n << 40n, 255n]) {
      const ask = load(
        script,
        BPF_PROG_TYPE_RAW_TRACEPOINT,
        `r2 = MAP 0
        r3 = 0x${flags.toString(16)} ll
        call bpf_get_stackid
        exit`,
        [map],
      )
      run(script, ask, words(0n))
    }
    for (const [size, flags] of [
      [16, 1 << 9],
      [16, 1 << 11],
      [12, 0],
      [24, (1 << 11) | (1 << 8)],
      [16, 255],
    ]) {
      const ask = load(
        script,
        BPF_PROG_TYPE_RAW_TRACEPOINT,
        `r2 = -1
        *(u64 *)(r10 -32) = r2
        *(u64 *)(r10 -24) = r2
        *(u64 *)(r10 -16) = r2
        *(u64 *)(r10 -8) = r2
        r2 = r10
        r2 += -32
        r3 = ${size}
        r4 = ${flags}
        call bpf_get_stack
        r1 = *(u64 *)(r10 -32)
        if r1 == 0 goto zeroed
        r0 += 1000
      zeroed:
        exit`,
        [],
      )
      run(script, ask, words(0n))
    }
  })

  const withDynptr = (flags: number, size: number, body: string) => `
    r6 = r1
    r1 = 0
    *(u64 *)(r10 -8) = r1
    r1 = MAP 0
    r2 = r10
    r2 += -8
    call bpf_map_lookup_elem
    if r0 == 0 goto missing
    r7 = r0
    r1 = r7
    r2 = ${size}
    r3 = ${flags}
    r4 = r10
    r4 += -24
    call bpf_dynptr_from_mem
    r8 = r0
    ${body}
    exit
  missing:
    r0 = 99
    exit`
  for (const [name, flags, size, body] of [
    ['from_mem', 0, 8, 'r0 = r8'],
    ['from_mem with flags', 1, 8, 'r0 = r8'],
    ['read of a null one', 1, 8, 'READ 4 0 0'],
    ['read', 0, 8, 'READ 4 0 0'],
    ['read in the middle', 0, 8, 'READ 4 3 0'],
    ['read to the end', 0, 8, 'READ 4 4 0'],
    ['read beyond', 0, 8, 'READ 4 5 0'],
    ['read far beyond', 0, 8, 'READ 4 -1 0'],
    ['read with flags', 0, 8, 'READ 4 0 1'],
    ['write', 0, 8, 'WRITE 4 2 0'],
    ['write beyond', 0, 8, 'WRITE 4 5 0'],
    ['write with flags', 0, 8, 'WRITE 4 2 1'],
    ['write beyond with flags', 0, 8, 'WRITE 4 5 1'],
    ['write to a part', 0, 4, 'WRITE 4 1 0'],
    ['data', 0, 8, 'DATA 4 2'],
    ['data beyond', 0, 8, 'DATA 4 5'],
    ['data of a null one', 1, 8, 'DATA 4 0'],
  ] as const) {
    add(`dynptr: ${name}`, (script) => {
      const map = createMap(script, { ...array, max_entries: 1 })
      element(script, 'BPF_MAP_UPDATE_ELEM', map, { key: u32(0), value: u64(0x8877665544332211n) })
      const [what = '', length = '', offset = '', bits = ''] = body.split(' ')
      const bodies: Readonly<Record<string, string>> = {
        READ: `
          r1 = 0
          *(u64 *)(r10 -40) = r1
          r1 = r10
          r1 += -40
          r2 = ${length}
          r3 = r10
          r3 += -24
          r4 = ${offset}
          r5 = ${bits}
          call bpf_dynptr_read
          r1 = *(u64 *)(r10 -40)
          *(u64 *)(r6 +0) = r1`,
        WRITE: `
          r1 = 0x0badcafe
          *(u64 *)(r10 -40) = r1
          r1 = r10
          r1 += -24
          r2 = ${offset}
          r3 = r10
          r3 += -40
          r4 = ${length}
          r5 = ${bits}
          call bpf_dynptr_write`,
        DATA: `
          r1 = r10
          r1 += -24
          r2 = ${offset}
          r3 = ${length}
          call bpf_dynptr_data
          if r0 == 0 goto done
          r0 = *(u32 *)(r0 +0)
        done:
          r0 += 0`,
      }
      const loaded = load(script, BPF_PROG_TYPE_SYSCALL, withDynptr(flags, size, bodies[what] ?? body), [map])
      run(script, loaded, words(0n, 0n))
      const value = script.buffer(8)
      script.bpf('BPF_MAP_LOOKUP_ELEM', abi.mapElemAttr.encode({}), {
        [abi.mapElemAttr.offsets.map_fd]: map,
        [abi.mapElemAttr.offsets.key]: script.buffer(u32(0)),
        [abi.mapElemAttr.offsets.value]: value,
      })
      script.dump(value, 0, 8)
    })
  }

  for (const [name, size, flags, end] of [
    ['submit', 16, 0, 'submit'],
    ['discard', 16, 0, 'discard'],
    ['with flags', 16, 1, 'submit'],
    ['too large for the ring', 5000, 0, 'submit'],
    ['too large for a dynptr', 0x100_0000, 0, 'discard'],
  ] as const) {
    add(`ringbuf_reserve_dynptr: ${name}`, (script) => {
      const map = createMap(script, ring)
      const loaded = load(
        script,
        BPF_PROG_TYPE_SYSCALL,
        `r6 = r1
        r1 = MAP 0
        r2 = ${size}
        r3 = ${flags}
        r4 = r10
        r4 += -16
        call bpf_ringbuf_reserve_dynptr
        *(u64 *)(r6 +0) = r0
        r1 = r10
        r1 += -16
        r2 = 0
        call bpf_ringbuf_${end}_dynptr
        r1 = MAP 0
        r2 = 0
        call bpf_ringbuf_query
        exit`,
        [map],
      )
      run(script, loaded, words(0n))
    })
  }

  add('current_task_under_cgroup, get_ns_current_pid_tgid', (script) => {
    const map = createMap(script, { ...array, map_type: T.BPF_MAP_TYPE_CGROUP_ARRAY, value_size: 4 })
    for (const index of [0, 3, 4, -1]) {
      const loaded = load(
        script,
        BPF_PROG_TYPE_RAW_TRACEPOINT,
        `r1 = MAP 0
        r2 = ${index}
        call bpf_current_task_under_cgroup
        exit`,
        [map],
      )
      run(script, loaded, words(0n))
    }
    const loaded = load(
      script,
      BPF_PROG_TYPE_RAW_TRACEPOINT,
      `r1 = -1
      *(u64 *)(r10 -8) = r1
      r1 = 1
      r2 = 1
      r3 = r10
      r3 += -8
      r4 = 8
      call bpf_get_ns_current_pid_tgid
      r1 = *(u64 *)(r10 -8)
      r0 += r1
      exit`,
      [],
    )
    run(script, loaded, words(0n))
  })
  return cases
}
