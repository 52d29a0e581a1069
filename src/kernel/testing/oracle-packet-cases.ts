/** Test runs that linux-oracle.test.ts makes of both kernels on packets, with contexts. */
import {
  BPF_ATTACH_TYPE,
  BPF_F_TEST_XDP_LIVE_FRAMES,
  BPF_PROG_TYPE,
  progTestRunAttr,
  type StructValue,
} from '../../abi/index.ts'
import { define, type LoadAttr, loadProgram, type OracleCase, TRIVIAL } from './oracle.ts'
import type { BufferRef, ResultRef, Script } from './script.ts'

type Attr = Partial<StructValue<typeof progTestRunAttr>>
type Words = Readonly<Record<number, number>>

const T = BPF_PROG_TYPE

interface Run {
  readonly data?: Uint8Array | undefined
  readonly context?: Uint8Array | undefined
  /** Bytes of room for what comes back; 0: no pointer. */
  readonly dataRoom?: number
  readonly contextRoom?: number
  readonly attr?: Attr
}

/** A test run, and everything that it tells. */
function run(script: Script, program: ResultRef, options: Run): void {
  const at = progTestRunAttr.offsets
  const { data, context, dataRoom = data?.length ?? 0, contextRoom = context?.length ?? 0 } = options
  const patches: Record<number, BufferRef | ResultRef> = { [at.prog_fd]: program }
  const dataOut = dataRoom > 0 ? script.buffer(dataRoom + 64) : undefined
  const contextOut = contextRoom > 0 ? script.buffer(contextRoom) : undefined
  if (data !== undefined) patches[at.data_in] = script.buffer(data)
  if (context !== undefined) patches[at.ctx_in] = script.buffer(context)
  if (dataOut !== undefined) patches[at.data_out] = dataOut
  if (contextOut !== undefined) patches[at.ctx_out] = contextOut
  const attr = progTestRunAttr.encode({
    data_size_in: data?.length ?? 0,
    ctx_size_in: context?.length ?? 0,
    ctx_size_out: contextRoom,
    ...options.attr,
  })
  const bytes = script.buffer(attr, patches)
  script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
  for (const told of [at.retval, at.data_size_out, at.ctx_size_out]) script.dump(bytes, told, 4)
  if (dataOut !== undefined) script.dump(dataOut, 0, dataRoom + 64)
  if (contextOut !== undefined) script.dump(contextOut, 0, contextRoom)
}

function words(sizeBytes: number, values: Words): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  const view = new DataView(bytes.buffer)
  for (const [at, value] of Object.entries(values)) view.setUint32(Number(at), value >>> 0, true)
  return bytes
}

function frame(sizeBytes: number, etherType = 0x0800): Uint8Array {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i < 12 ? 0 : i & 0xff))
  if (sizeBytes >= 14) bytes.set([etherType >> 8, etherType & 0xff], 12)
  return bytes
}

function to(address: readonly number[], etherType = 0x0800): Uint8Array {
  const bytes = frame(64, etherType)
  bytes.set(address)
  return bytes
}

/** Copies a field of the context to r0. */
const readField = (offset: number, size = 32) => `r0 = *(u${size} *)(r1 +${offset})\nexit`

/** The byte at `offset` of the packet, with the bounds check that Linux asks for; `data` is where its pointer is. */
const readPacket = (data: number, offset: number) => `
  r2 = *(u32 *)(r1 +${data})
  r3 = *(u32 *)(r1 +${data + 4})
  r4 = r2
  r4 += ${offset + 1}
  r0 = -1
  if r4 > r3 goto +1
  r0 = *(u8 *)(r2 +${offset})
  exit`

const packetLength = (data: number) => `
  r2 = *(u32 *)(r1 +${data})
  r0 = *(u32 *)(r1 +${data + 4})
  r0 -= r2
  exit`

/** A program that must return 1: what it found out goes to the packet's mark. */
const told = (source: string) => `r9 = r1\n${source.replace(/exit$/, '*(u32 *)(r9 +8) = r0\nr0 = 1\nexit')}`

/** Of `struct xdp_md`, for a frame of 64 bytes: lengths that fit or do not, devices, sizes. */
const CONTEXTS: readonly Uint8Array[] = [
  words(24, { 4: 64 }),
  words(24, { 4: 63 }),
  words(24, { 4: 65 }),
  words(24, {}),
  words(24, { 0: 4, 4: 64 }),
  words(24, { 0: 3, 4: 64 }),
  words(24, { 0: 32, 4: 64 }),
  words(24, { 0: 36, 4: 64 }),
  words(24, { 0: 48, 4: 64 }),
  words(24, { 0: 52, 4: 64 }),
  words(24, { 0: 64, 4: 64 }),
  words(24, { 0: 68, 4: 64 }),
  words(24, { 4: 64, 8: 1 }),
  words(24, { 4: 64, 12: 1 }),
  words(24, { 4: 64, 12: 1, 16: 1 }),
  words(24, { 4: 64, 16: 1 }),
  words(24, { 4: 64, 12: 999_999 }),
  words(24, { 4: 64, 20: 1 }),
  words(12, { 4: 64 }),
  words(28, { 4: 64 }),
  words(28, { 4: 64, 24: 1 }),
]

export function packetCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  const load = (script: Script, prog_type: number, source: string, attr: LoadAttr = {}) =>
    loadProgram(script, prog_type === T.BPF_PROG_TYPE_CGROUP_SKB ? told(source) : source, {
      prog_type,
      ...attr,
    })

  for (const [name, prog_type] of [
    ['sched_cls', T.BPF_PROG_TYPE_SCHED_CLS],
    ['sched_act', T.BPF_PROG_TYPE_SCHED_ACT],
    ['cgroup_skb', T.BPF_PROG_TYPE_CGROUP_SKB],
    ['lwt_in', T.BPF_PROG_TYPE_LWT_IN],
    ['lwt_out', T.BPF_PROG_TYPE_LWT_OUT],
    ['lwt_xmit', T.BPF_PROG_TYPE_LWT_XMIT],
  ] as const) {
    add(`test run of ${name}: sizes, flags`, (script) => {
      const program = load(script, prog_type, packetLength(76))
      run(script, program, { data: frame(64) })
      run(script, program, { data: frame(64), dataRoom: 0 })
      run(script, program, { data: frame(64), attr: { data_size_out: 20 } })
      run(script, program, { data: frame(64), dataRoom: 0, attr: { data_size_out: 20 } })
      run(script, program, { data: frame(64), attr: { data_size_out: 100, repeat: 5 } })
      for (const size of [13, 14, 15, 33, 34]) run(script, program, { data: frame(size) })
      for (const size of [53, 54]) run(script, program, { data: frame(size, 0x86dd) })
      for (const size of [13, 14, 15]) run(script, program, { data: frame(size, 0x0806) })
      for (const attr of [{ flags: 1 }, { flags: 2 }, { flags: 4 }, { cpu: 1 }, { batch_size: 1 }]) {
        run(script, program, { data: frame(64), attr })
      }
      run(script, program, { attr: { data_size_in: 64 } })
      run(script, program, {})
    })
    add(`test run of ${name}: reading the packet`, (script) => {
      const packet = frame(64)
      for (const offset of [0, 12, 49, 50, 63]) {
        run(script, load(script, prog_type, readPacket(76, offset)), { data: packet, contextRoom: 192 })
      }
    })
    add(`test run of ${name}: fields of the context`, (script) => {
      for (const field of [0, 4, 12, 16, 20, 24, 32, 36, 40, 44, 68, 84, 164, 176]) {
        const program = load(script, prog_type, readField(field))
        for (const packet of [frame(64), to([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0x86dd), to([1], 0x0010)]) {
          run(script, program, { data: packet, dataRoom: 0, contextRoom: 192 })
        }
        run(script, program, { data: to([2]), dataRoom: 0, contextRoom: 192 })
      }
    })
    add(`test run of ${name}: stores to the context`, (script) => {
      for (const source of [
        '*(u32 *)(r1 +8) = 77\nr0 = *(u32 *)(r1 +8)\nexit',
        '*(u32 *)(r1 +32) = 78\nr0 = *(u32 *)(r1 +32)\nexit',
        '*(u32 *)(r1 +48) = 5\n*(u32 *)(r1 +64) = 9\nr0 = *(u8 *)(r1 +64)\nexit',
        'r2 = 0x12345678\n*(u32 *)(r1 +8) = r2\nr0 = *(u16 *)(r1 +10)\nexit',
      ]) {
        run(script, load(script, prog_type, source), {
          data: frame(64),
          context: words(192, { 8: 1, 32: 2, 48: 3 }),
        })
      }
    })
  }

  const classifier = (script: Script, source: string) => load(script, T.BPF_PROG_TYPE_SCHED_CLS, source)

  add('test run of sched_cls: contexts in and out', (script) => {
    const program = classifier(script, 'r0 = 0\nexit')
    const data = frame(64)
    run(script, program, { data, context: words(192, {}) })
    for (let at = 0; at < 192; at += 4) {
      run(script, program, { data, dataRoom: 0, context: words(192, { [at]: 1 }) })
    }
    for (const context of [
      words(192, { 160: 64 }),
      words(192, { 160: 63 }),
      words(192, { 160: 65536 }),
      words(192, { 160: 65537 }),
      words(192, { 164: 65535 }),
      words(192, { 164: 65536 }),
      words(192, { 40: 1 }),
      words(192, { 40: 999_999 }),
      words(192, { 80: 64 }),
      words(200, {}),
      words(200, { 196: 1 }),
      words(40, { 8: 5 }),
      words(10, {}),
      words(5000, {}),
    ]) {
      run(script, program, { data, dataRoom: 0, context })
    }
    run(script, program, { data, contextRoom: 192 })
    run(script, program, { data, context: words(192, { 8: 5 }), contextRoom: 100 })
    run(script, program, { data, context: words(192, { 8: 5 }), contextRoom: 300 })
    run(script, program, { data, context: words(192, { 8: 5 }), contextRoom: 0 })
    run(script, program, { data, context: words(192, {}), attr: { ctx_size_in: 0 } })
    run(script, program, { data, context: words(192, {}), attr: { ctx_size_out: 0 } })
    run(script, program, { data, attr: { ctx_size_in: 4 } })
    run(script, program, { data, attr: { ctx_size_out: 4 } })
  })

  add('test run of sched_cls: what the context says', (script) => {
    const context = words(192, {
      8: 1,
      32: 2,
      36: 3,
      40: 1,
      48: 5,
      64: 6,
      152: 7,
      156: 1,
      160: 100,
      164: 9,
      176: 10,
      184: 11,
    })
    for (const field of [8, 32, 36, 40, 48, 52, 64, 160, 164, 176]) {
      run(script, classifier(script, readField(field)), { data: frame(64), context })
    }
    for (const field of [152, 184]) {
      run(script, classifier(script, readField(field, 64)), { data: frame(64), context })
    }
    run(script, classifier(script, readField(160)), { data: frame(64), context: words(192, {}) })
    run(script, classifier(script, readField(160)), { data: frame(64) })
  })

  add('test run of sched_cls: fields that are 16 bits in the kernel', (script) => {
    for (const source of [
      'r2 = 0x12345\n*(u32 *)(r1 +44) = r2\nr0 = *(u32 *)(r1 +44)\nexit',
      'r2 = 0x123\n*(u32 *)(r1 +12) = r2\nr0 = *(u32 *)(r1 +12)\nexit',
      'r2 = 0x12345\n*(u32 *)(r1 +72) = r2\nr0 = *(u32 *)(r1 +72)\nexit',
    ]) {
      run(script, classifier(script, source), { data: frame(64) })
    }
  })

  add('test run of sched_cls: the socket', (script) => {
    const ip = frame(64)
    for (const field of [0, 4, 8, 12, 16, 20, 24, 44, 52, 72, 76]) {
      const source = `r1 = *(u64 *)(r1 +168)\nif r1 != 0 goto +2\nr0 = -1\nexit\ncall bpf_sk_fullsock
        if r0 != 0 goto +2\nr0 = -2\nexit\nr0 = *(u32 *)(r0 +${field})\nexit`
      run(script, classifier(script, source), { data: ip, dataRoom: 0 })
    }
  })

  add('test run of cgroup_skb: addresses', (script) => {
    for (const field of [88, 92, 96, 100, 112, 116, 128, 132, 136]) {
      const program = load(script, T.BPF_PROG_TYPE_CGROUP_SKB, readField(field))
      for (const data of [frame(64), frame(64, 0x86dd), frame(64, 0x0806), frame(30), frame(40, 0x86dd)]) {
        run(script, program, { data, dataRoom: 0, contextRoom: 192 })
      }
    }
  })

  add('test run of sched_cls: packets as large as a page', (script) => {
    const program = classifier(script, packetLength(76))
    for (const size of [3711, 3712, 3713, 4000, 9000, 70_000]) {
      run(script, program, { data: frame(size), dataRoom: 0 })
      run(script, program, { data: frame(size), dataRoom: 0, attr: { data_size_out: 4000 } })
    }
  })

  add('writing to the packet', (script) => {
    const write = `
      r2 = *(u32 *)(r1 +76)
      r3 = *(u32 *)(r1 +80)
      r4 = r2
      r4 += 20
      r0 = 2
      if r4 > r3 goto +3
      r5 = 0x1122
      *(u16 *)(r2 +16) = r5
      r0 = 0
      exit`
    run(script, classifier(script, write), { data: frame(64) })
    run(script, classifier(script, write), { data: frame(18) })
    run(script, load(script, T.BPF_PROG_TYPE_LWT_XMIT, write), { data: frame(64) })
  })

  addXdp(add)
  addLiveFrames(add)
  addOthers(add)
  return cases
}

type Add = ReturnType<typeof define>

function addXdp(add: Add): void {
  const load = (script: Script, source: string, attr: LoadAttr = {}) =>
    loadProgram(script, source, { prog_type: T.BPF_PROG_TYPE_XDP, ...attr })

  add('test run of xdp: sizes, flags', (script) => {
    const program = load(script, packetLength(0))
    run(script, program, { data: frame(64) })
    run(script, program, { data: frame(64), dataRoom: 0 })
    run(script, program, { data: frame(64), attr: { data_size_out: 20 } })
    run(script, program, { data: frame(64), dataRoom: 0, attr: { data_size_out: 20 } })
    run(script, program, { data: frame(64), attr: { repeat: 5 } })
    for (const size of [0, 13, 14, 15]) run(script, program, { data: frame(size) })
    for (const attr of [{ flags: 1 }, { flags: 4 }, { cpu: 1 }, { batch_size: 1 }]) {
      run(script, program, { data: frame(64), attr })
    }
    run(script, program, { attr: { data_size_in: 64 } })
  })
  add('test run of xdp: for device and CPU maps', (script) => {
    for (const expected_attach_type of [BPF_ATTACH_TYPE.BPF_XDP_DEVMAP, BPF_ATTACH_TYPE.BPF_XDP_CPUMAP]) {
      run(script, load(script, TRIVIAL, { expected_attach_type }), { data: frame(64) })
    }
  })
  add('test run of xdp: reading the packet', (script) => {
    for (const offset of [0, 12, 62, 63, 64]) {
      run(script, load(script, readPacket(0, offset)), { data: frame(64) })
    }
  })
  add('test run of xdp: contexts', (script) => {
    const program = load(script, 'r0 = *(u32 *)(r1 +12)\nr2 = *(u32 *)(r1 +16)\nr0 += r2\nexit')
    const data = frame(64)
    run(script, program, { data })
    for (const context of CONTEXTS) {
      run(script, program, { data, context })
    }
    run(script, program, { data, contextRoom: 24 })
    run(script, program, { data, context: words(24, { 4: 64 }), contextRoom: 8 })
    run(script, program, { data: frame(400), context: words(24, { 0: 216, 4: 400 }) })
    run(script, program, { data: frame(400), context: words(24, { 0: 220, 4: 400 }) })
    run(script, program, { data: frame(400), context: words(24, { 0: 252, 4: 400 }) })
    run(script, program, { data: frame(400), context: words(24, { 0: 4, 4: 100 }) })
  })
  add('test run of xdp: metadata', (script) => {
    const source = `
      r2 = *(u32 *)(r1 +8)
      r3 = *(u32 *)(r1 +0)
      r4 = r2
      r4 += 4
      r0 = -1
      if r4 > r3 goto +2
      r0 = *(u32 *)(r2 +0)
      *(u32 *)(r2 +0) = 9
      exit`
    const program = load(script, source)
    run(script, program, { data: frame(64) })
    run(script, program, { data: frame(64), context: words(24, { 0: 8, 4: 64 }) })
  })
  add('test run of xdp: frames larger than a page', (script) => {
    const program = load(script, packetLength(0))
    for (const size of [3519, 3520, 3521, 4096, 9000]) {
      run(script, program, { data: frame(size), dataRoom: 0 })
      run(script, program, { data: frame(size) })
      run(script, program, { data: frame(size), attr: { data_size_out: 4000 } })
    }
    run(script, program, { data: frame(80_000), dataRoom: 0 })
  })
  for (const [name, head, tail, meta] of [
    ['none', 0, 0, 0],
    ['head forth', 4, 0, 0],
    ['head back', -8, 0, 0],
    ['head back as far as it goes', -216, 0, 0],
    ['head back too far', -217, 0, 0],
    ['head forth as far as it goes', 50, 0, 0],
    ['head forth too far', 51, 0, 0],
    ['tail forth', 0, 5, 0],
    ['tail forth as far as it goes', 0, 3456, 0],
    ['tail forth too far', 0, 3457, 0],
    ['tail back', 0, -10, 0],
    ['tail back as far as it goes', 0, -50, 0],
    ['tail back too far', 0, -51, 0],
    ['meta', 0, 0, -4],
    ['meta, odd', 0, 0, -3],
    ['meta, many', 0, 0, -32],
    ['meta, more', 0, 0, -36],
    ['meta, most', 0, 0, -216],
    ['meta, too much', 0, 0, -220],
    ['meta, forth', 0, 0, 4],
    ['all', -14, 7, -8],
  ] as const) {
    add(`xdp_adjust_*: ${name}`, (script) => {
      const call = (helper: string, by: number) =>
        `r1 = r6\nr2 = ${by}\ncall ${helper}\nr7 <<= 8\nr0 &= 0xff\nr7 |= r0\n`
      const source = `r6 = r1\nr7 = 0\n${call('bpf_xdp_adjust_head', head)}${call('bpf_xdp_adjust_tail', tail)}${call('bpf_xdp_adjust_meta', meta)}r0 = r7\nexit`
      const program = load(script, source)
      run(script, program, { data: frame(64), dataRoom: 4096 })
      run(script, program, { data: frame(64), context: words(24, { 0: 4, 4: 64 }), dataRoom: 4096 })
    })
  }
}

function addLiveFrames(add: Add): void {
  const drop = (script: Script) => loadProgram(script, 'r0 = 1\nexit', { prog_type: T.BPF_PROG_TYPE_XDP })
  const live = { flags: BPF_F_TEST_XDP_LIVE_FRAMES }

  add('test run of xdp with live frames: sizes, flags', (script) => {
    const program = drop(script)
    const data = frame(64)
    for (const batch_size of [0, 1, 2, 64, 255, 256, 257, 2 ** 31, 0xffff_ffff]) {
      run(script, program, { data, attr: { ...live, batch_size } })
      run(script, program, { data, attr: { ...live, batch_size, repeat: 3 } })
      run(script, program, { data, attr: { batch_size } })
    }
    for (const attr of [
      { flags: 3 },
      { flags: 6 },
      { ...live, cpu: 1 },
      { ...live, retval: 7, duration: 7 },
    ]) {
      run(script, program, { data, attr })
    }
    for (const size of [0, 13, 14, 15, 3407, 3408, 3409, 4096, 5000]) {
      run(script, program, { data: frame(size), dataRoom: 0, attr: live })
      run(script, program, { data: frame(size), dataRoom: 20, attr: { ...live, data_size_out: 20 } })
    }
    run(script, program, { data, attr: { ...live, data_size_out: 20 } })
    run(script, program, { data, dataRoom: 0, attr: { ...live, data_size_out: 20 } })
    run(script, program, { attr: { ...live, data_size_in: 64 } })
    run(script, program, { attr: { ...live, data_size_in: 13 } })
    run(script, program, { attr: live })
  })
  add('test run of xdp with live frames: contexts', (script) => {
    const program = drop(script)
    const data = frame(64)
    for (const context of CONTEXTS) {
      run(script, program, { data, context, dataRoom: 0, contextRoom: 0, attr: live })
      run(script, program, { data, context, dataRoom: 64, contextRoom: 0, attr: live })
      run(script, program, { data, context, dataRoom: 0, contextRoom: 24, attr: live })
    }
    run(script, program, { data, contextRoom: 24, attr: live })
    run(script, program, { data, dataRoom: 0, contextRoom: 24, attr: live })
    for (const meta of [0, 4, 216, 220, 252]) {
      for (const size of [3408, 3409, 3408 + meta, 3409 + meta]) {
        const context = words(24, { 0: meta, 4: size })
        run(script, program, { data: frame(size), context, dataRoom: 0, contextRoom: 0, attr: live })
      }
      for (const size of [13 + meta, 14 + meta]) {
        const context = words(24, { 0: meta, 4: size })
        run(script, program, { data: frame(size), context, dataRoom: 0, contextRoom: 0, attr: live })
      }
    }
  })
  add('test run of xdp with live frames: for device and CPU maps', (script) => {
    for (const expected_attach_type of [BPF_ATTACH_TYPE.BPF_XDP_DEVMAP, BPF_ATTACH_TYPE.BPF_XDP_CPUMAP]) {
      const type = { prog_type: T.BPF_PROG_TYPE_XDP, expected_attach_type }
      const program = loadProgram(script, 'r0 = 1\nexit', type)
      for (const batch_size of [0, 1, 300]) {
        run(script, program, { data: frame(64), attr: { ...live, batch_size } })
      }
    }
  })
  add('test run with live frames of what is not xdp', (script) => {
    for (const prog_type of [
      T.BPF_PROG_TYPE_SCHED_CLS,
      T.BPF_PROG_TYPE_LWT_XMIT,
      T.BPF_PROG_TYPE_SOCKET_FILTER,
    ]) {
      run(script, loadProgram(script, TRIVIAL, { prog_type }), { data: frame(64), attr: live })
    }
  })
}

function addOthers(add: Add): void {
  add('test run of a flow dissector', (script) => {
    const type = { prog_type: T.BPF_PROG_TYPE_FLOW_DISSECTOR }
    const keys = `
      r2 = *(u64 *)(r1 +144)
      r3 = *(u16 *)(r2 +0)
      r4 = *(u16 *)(r2 +10)
      *(u16 *)(r2 +12) = r4
      r3 += 6
      *(u16 *)(r2 +2) = r3
      *(u8 *)(r2 +9) = 17
      r0 = 0
      exit`
    const program = loadProgram(script, keys, type)
    const data = frame(64)
    run(script, program, { data })
    run(script, program, { data, attr: { data_size_out: 20, repeat: 3 } })
    for (const size of [13, 14, 4096, 4097]) run(script, program, { data: frame(size), dataRoom: 64 })
    for (const attr of [{ flags: 1 }, { cpu: 1 }, { batch_size: 1 }]) run(script, program, { data, attr })
    for (const context of [words(56, { 48: 1 }), words(56, { 0: 1 }), words(56, { 52: 1 }), words(60, {})]) {
      run(script, program, { data, context })
    }
    run(script, program, { data, context: words(56, { 48: 7 }), contextRoom: 8 })
    for (const [nhoff, thoff] of [
      [0, 0],
      [20, 10],
      [100, 100],
      [30, 1000],
    ]) {
      const source = `r2 = *(u64 *)(r1 +144)\n*(u16 *)(r2 +0) = ${nhoff}\n*(u16 *)(r2 +2) = ${thoff}\nr0 = 1\nexit`
      run(script, loadProgram(script, source, type), { data })
    }
    run(script, loadProgram(script, packetLength(76), type), { data })
    run(script, loadProgram(script, readPacket(76, 63), type), { data })
    run(script, loadProgram(script, readPacket(76, 64), type), { data })
  })

  add('test run of a socket look-up', (script) => {
    const type = {
      prog_type: T.BPF_PROG_TYPE_SK_LOOKUP,
      expected_attach_type: BPF_ATTACH_TYPE.BPF_SK_LOOKUP,
    }
    const context = words(72, { 8: 2, 12: 6, 16: 0x0100007f, 36: 0x3412, 40: 0x0200007f, 60: 80 })
    for (const value of [0, 1, 2]) {
      run(script, loadProgram(script, `r0 = ${value & 1}\nexit`, type), { context })
    }
    for (const field of [8, 12, 16, 20, 36, 40, 44, 60, 64]) {
      const source = `r2 = *(u32 *)(r1 +${field})\nr0 = 1\nif r2 == 0 goto +1\nr0 = 0\nexit`
      run(script, loadProgram(script, source, type), { context })
    }
    const program = loadProgram(script, 'r0 = 1\nexit', type)
    for (const bad of [
      words(72, { 0: 1, 8: 2 }),
      words(72, { 8: 1 }),
      words(72, { 8: 10 }),
      words(72, { 8: 0x1_0002 }),
      words(72, { 8: 2, 60: 65535 }),
      words(72, { 8: 2, 60: 65536 }),
      words(72, { 8: 2, 64: 1 }),
      words(72, { 8: 2, 68: 1 }),
      words(12, { 8: 2 }),
      words(80, { 8: 2 }),
      words(80, { 8: 2, 76: 1 }),
    ]) {
      run(script, program, { context: bad })
    }
    run(script, program, { contextRoom: 72 })
    run(script, program, {})
    run(script, program, { context, data: frame(14) })
    for (const attr of [{ flags: 1 }, { cpu: 1 }, { batch_size: 1 }, { data_size_out: 1 }, { repeat: 4 }]) {
      run(script, program, { context, attr })
    }
  })

  add('test run of lwt_seg6local', (script) => {
    const program = loadProgram(script, TRIVIAL, { prog_type: T.BPF_PROG_TYPE_LWT_SEG6LOCAL })
    run(script, program, { data: frame(64) })
  })

  add('types without test runs', (script) => {
    for (const [prog_type, attach] of [
      [T.BPF_PROG_TYPE_KPROBE, 0],
      [T.BPF_PROG_TYPE_TRACEPOINT, 0],
      [T.BPF_PROG_TYPE_PERF_EVENT, 0],
      [T.BPF_PROG_TYPE_CGROUP_SOCK, 0],
      [T.BPF_PROG_TYPE_SOCK_OPS, 0],
      [T.BPF_PROG_TYPE_SK_SKB, 0],
      [T.BPF_PROG_TYPE_CGROUP_DEVICE, 0],
      [T.BPF_PROG_TYPE_SK_MSG, 0],
      [T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_ATTACH_TYPE.BPF_CGROUP_INET4_BIND],
      [T.BPF_PROG_TYPE_SK_REUSEPORT, 0],
      [T.BPF_PROG_TYPE_CGROUP_SYSCTL, 0],
      [T.BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_ATTACH_TYPE.BPF_CGROUP_GETSOCKOPT],
    ] as const) {
      const program = loadProgram(script, 'r0 = 1\nexit', { prog_type, expected_attach_type: attach })
      run(script, program, { data: frame(64) })
    }
  })

  add('expected attach types of every program type', (script) => {
    for (const prog_type of Object.values(T)) {
      // Types that need BTF or a device, and those that this kernel has not.
      if ([0, 24, 26, 27, 28, 29, 32].includes(prog_type)) continue
      for (const expected_attach_type of [0, 1, 2, 9, 12, 21, 22, 33, 36, 39, 40, 42, 49, 57, 58]) {
        loadProgram(script, 'r0 = 1\nexit', { prog_type, expected_attach_type })
      }
    }
  })
}
