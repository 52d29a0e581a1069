/** Calls that linux-oracle.test.ts makes of both kernels: programs, types, information, links, test runs. */
import * as abi from '../../abi/index.ts'
import {
  bpfBtfInfo,
  bpfProgInfo,
  btfLoadAttr,
  linkCreatePerfEventAttr,
  objGetInfoAttr,
  progBindMapAttr,
  progLoadAttr,
  progTestRunAttr,
  type StructValue,
} from '../../abi/index.ts'
import { encode } from '../../isa/index.ts'
import { program } from './caller.ts'
import {
  array,
  createMap,
  define,
  hash,
  type LoadAttr,
  loadProgram,
  type OracleCase,
  TRIVIAL,
} from './oracle.ts'
import type { Patches, ResultRef, Script } from './script.ts'

const { BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_SYSCALL, BPF_PROG_TYPE_SOCKET_FILTER } = abi.BPF_PROG_TYPE
const SLEEPABLE = abi.BPF_F_SLEEPABLE

export function programCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)

  const loads: readonly [string, LoadAttr][] = [
    ['as it should be', {}],
    ['no instructions', { insn_cnt: 0 }],
    ['too many instructions', { insn_cnt: 1_000_001 }],
    ['unknown flag', { prog_flags: 1 << 20 }],
    ['strict alignment', { prog_flags: 1 }],
    ['type 0', { prog_type: 0 }],
    ['unknown type', { prog_type: 99 }],
    ['an expected attach type that is not looked at', { expected_attach_type: 5 }],
    ['syscall', { prog_type: BPF_PROG_TYPE_SYSCALL, prog_flags: SLEEPABLE }],
    [
      'syscall for an attach type',
      { prog_type: BPF_PROG_TYPE_SYSCALL, prog_flags: SLEEPABLE, expected_attach_type: 1 },
    ],
    ['syscall that does not sleep', { prog_type: BPF_PROG_TYPE_SYSCALL }],
    ['a socket filter that sleeps', { prog_flags: SLEEPABLE }],
    ['a BTF id without BTF', { attach_btf_id: 1 }],
    ['a target that is none', { attach_prog_fd: 99 }],
    ['a token without one', { prog_flags: 1 << 16, prog_token_fd: -1 }],
    ['ifindex', { prog_ifindex: 1 }],
    ['log level without buffer', { log_level: 1 }],
    ['log size without buffer', { log_level: 1, log_size: 100 }],
    ['log buffer without size', { log_level: 1, log_buf: 16n }],
    ['log buffer without level', { log_level: 0, log_buf: 16n, log_size: 100 }],
    ['unknown log level', { log_level: 16 }],
    ['statistics into nothing', { log_level: 4 }],
    ['func info without BTF', { func_info_cnt: 1, func_info_rec_size: 8 }],
    ['line info without BTF', { line_info_cnt: 1, line_info_rec_size: 16 }],
    ['a BTF descriptor that is none', { prog_btf_fd: 99 }],
    ['a count of descriptors without them', { fd_array_cnt: 1 }],
  ]
  for (const [name, attr] of loads) add(`PROG_LOAD: ${name}`, (script) => loadProgram(script, TRIVIAL, attr))

  add('PROG_LOAD: no instructions, no licence at the pointers', (script) => {
    const at = progLoadAttr.offsets
    const attr = progLoadAttr.encode({ prog_type: BPF_PROG_TYPE_SOCKET_FILTER, insn_cnt: 2 })
    script.bpf('BPF_PROG_LOAD', attr, { [at.insns]: script.buffer(encode(program(TRIVIAL))) })
    script.bpf('BPF_PROG_LOAD', attr, { [at.license]: script.buffer('GPL') })
  })

  for (const name of ['ok_name', 'bad name', 'sixteen_bytes_xx']) {
    add(`PROG_LOAD: the name ${name}`, (script) => {
      const at = progLoadAttr.offsets
      const attr = progLoadAttr.encode({ prog_type: BPF_PROG_TYPE_SOCKET_FILTER, insn_cnt: 2 })
      attr.set(new TextEncoder().encode(name), at.prog_name)
      const code = script.buffer(encode(program(TRIVIAL)))
      script.bpf('BPF_PROG_LOAD', attr, { [at.insns]: code, [at.license]: script.buffer('GPL') })
    })
  }

  for (const [name, source] of [
    ['a jump out of the program', 'r0 = 0\ngoto +5\nexit'],
    ['unreachable code', 'r0 = 0\nexit\nr0 = 1\nexit'],
    ['an unknown opcode', '.8byte 0xff\nexit'],
  ] as const) {
    add(`PROG_LOAD: ${name}, with the beginning of the log`, (script) => {
      const log = script.buffer(1024)
      const attr = { log_level: 1, log_size: 1024 }
      loadProgram(script, source, attr, { [progLoadAttr.offsets.log_buf]: log })
      script.dump(log, 0, 30)
    })
  }

  for (const [name, source] of [
    ['an unknown helper', 'call 9999\nexit'],
    ['a helper of other types', 'call 44\nexit'],
  ] as const) {
    add(`PROG_LOAD: ${name}`, (script) => loadProgram(script, source))
  }

  for (const [kind, level] of [
    ['log', 1],
    ['fixed log', 9],
  ] as const) {
    for (const size of [1, 2, 20, 60, 100, 108, 109, 110, 200]) {
      add(`PROG_LOAD: a ${kind} in ${size} bytes`, (script) => {
        const log = script.buffer(256)
        const at = progLoadAttr.offsets
        const code = encode(program('r0 = 0\ngoto +5\nexit'))
        const attr = script.buffer(
          progLoadAttr.encode({
            prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
            insn_cnt: code.length / 8,
            log_level: level,
            log_size: size,
          }),
          { [at.insns]: script.buffer(code), [at.license]: script.buffer('GPL'), [at.log_buf]: log },
        )
        script.bpfOn('BPF_PROG_LOAD', attr, progLoadAttr.size)
        script.dump(log, 0, size + 8)
        script.dump(attr, at.log_true_size, 4)
      })
    }
  }
  add('PROG_LOAD: the room that a log would take', (script) => {
    const at = progLoadAttr.offsets
    const code = encode(program('r0 = 0\ngoto +5\nexit'))
    const attr = script.buffer(
      progLoadAttr.encode({
        prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
        insn_cnt: code.length / 8,
        log_level: 1,
      }),
      { [at.insns]: script.buffer(code), [at.license]: script.buffer('GPL') },
    )
    script.bpfOn('BPF_PROG_LOAD', attr, progLoadAttr.size)
    script.dump(attr, at.log_true_size, 4)
  })

  add('PROG_LOAD: maps by descriptor', (script) => {
    const map = createMap(script, array)
    const single = createMap(script, { ...array, max_entries: 1 })
    const table = createMap(script, hash)
    const closed = createMap(script, hash)
    script.close(closed)
    const other = loadProgram(script, TRIVIAL)
    const load = (source: string, of?: ResultRef) => loadProgram(script, `${source}\n${TRIVIAL}`, {}, {}, of)
    load('r1 = map[fd:0]', map)
    load('r1 = map[fd:0][0]+4', single)
    load('r1 = map[fd:0][0]+8', single)
    load('r1 = map[fd:0][0]+4', map)
    load('r1 = map[fd:0][0]+0', table)
    load('r1 = map[fd:0]', closed)
    load('r1 = map[fd:0]', other)
    load('r1 = map[fd:-1]')
    load('r1 = map[idx:0]')
  })

  add('PROG_LOAD: maps by index', (script) => {
    const map = createMap(script, array)
    const at = progLoadAttr.offsets
    const load = (source: string, fds: Uint8Array, patches: Patches, count: number) =>
      loadProgram(
        script,
        `${source}\n${TRIVIAL}`,
        { fd_array_cnt: count },
        { [at.fd_array]: script.buffer(fds, patches) },
      )
    load('r1 = map[idx:0]', new Uint8Array(8), { 0: map }, 0)
    load('r1 = map[idx:1]', new Uint8Array(8), { 4: map }, 0)
    load('r1 = map[idx:1]', new Uint8Array(8).fill(0xee), { 4: map }, 1)
    load('r1 = map[idx:0]', new Uint8Array(8), { 0: map, 4: map }, 2)
  })

  add('a program array in a program of another kind', (script) => {
    const map = createMap(script, {
      ...array,
      map_type: abi.BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY,
      value_size: 4,
    })
    const source = 'r2 = map[fd:0]\nr3 = 0\ncall 12\nr0 = 0\nexit'
    loadProgram(script, source, {}, {}, map)
    loadProgram(script, source, { prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT }, {}, map)
  })

  addInformation(add)
  addTypes(add)
  addLinks(add)
  addTestRuns(add)
  return cases
}

type Add = ReturnType<typeof define>

function info(script: Script, fd: ResultRef, size: number, buffer = script.buffer(5200)): void {
  const attr = script.buffer(objGetInfoAttr.encode({ info_len: size }), {
    [objGetInfoAttr.offsets.bpf_fd]: fd,
    [objGetInfoAttr.offsets.info]: buffer,
  })
  script.bpfOn('BPF_OBJ_GET_INFO_BY_FD', attr, 16)
}

function addInformation(add: Add): void {
  add('OBJ_GET_INFO_BY_FD', (script) => {
    const map = createMap(script, hash)
    const loaded = loadProgram(script, TRIVIAL)
    for (const fd of [map, loaded])
      for (const size of [0, 4, 40, 88, 232, 300, 4096, 5000]) info(script, fd, size)
    const rubbish = new Uint8Array(512)
    rubbish[400] = 1
    info(script, map, 512, script.buffer(rubbish))
    const attr = objGetInfoAttr.encode({ info_len: 88 })
    script.bpf('BPF_OBJ_GET_INFO_BY_FD', attr, { [objGetInfoAttr.offsets.bpf_fd]: map })
    script.close(map)
    info(script, map, 88)
  })

  add('struct bpf_map_info', (script) => {
    const attr = { ...hash, map_name: 'counts', map_flags: abi.BPF_F_NO_PREALLOC }
    const buffer = script.buffer(512)
    info(script, createMap(script, attr), abi.bpfMapInfo.size, buffer)
    const { offsets } = abi.bpfMapInfo
    script.dump(buffer, offsets.key_size, offsets.netns_dev - offsets.key_size)
  })

  add('struct bpf_prog_info: tag, name, licence', (script) => {
    const { offsets } = bpfProgInfo
    for (const source of [TRIVIAL, 'r0 = 7\nr0 += 1\nexit', 'r1 = 0x1122334455667788 ll\nr0 = r1\nexit']) {
      const buffer = script.buffer(512)
      info(script, loadProgram(script, source, { prog_name: 'tagged' }), bpfProgInfo.size, buffer)
      script.dump(buffer, offsets.tag, 8)
      script.dump(buffer, offsets.name, 16)
      script.dump(buffer, offsets.flags, 4)
    }
    const map = createMap(script, array)
    const buffer = script.buffer(512)
    info(script, loadProgram(script, `r1 = map[fd:0]\n${TRIVIAL}`, {}, {}, map), bpfProgInfo.size, buffer)
    script.dump(buffer, offsets.tag, 8)
    script.dump(buffer, offsets.nr_map_ids, 4)
  })

  add('struct bpf_prog_info: lists', (script) => {
    const loaded = loadProgram(script, TRIVIAL)
    for (const given of [
      { nr_func_info: 1, func_info_rec_size: 4 },
      { nr_line_info: 1, line_info_rec_size: 8 },
      { nr_map_ids: 4, map_ids: 16n },
      { xlated_prog_len: 16 },
    ]) {
      info(script, loaded, bpfProgInfo.size, script.buffer(bpfProgInfo.encode(given)))
    }
  })

  add('struct bpf_btf_info', (script) => {
    const btf = loadTypes(script, btfBytes())
    for (const size of [0, 16, 32, 64]) info(script, btf, size)
    for (const given of [{ name_len: 4 }, { name: 16n }, { btf_size: 8 }, { name: 16n, name_len: 4 }]) {
      info(script, btf, bpfBtfInfo.size, script.buffer(bpfBtfInfo.encode(given)))
    }
  })

  add('ids', (script) => {
    const { encode: attr } = abi.getIdAttr
    for (const kind of ['PROG', 'MAP', 'LINK', 'BTF'] as const) {
      for (const given of [{ id: 0x7fff_ffff }, { id: 0x7fff_fffe }, { open_flags: 1 }]) {
        script.bpf(`BPF_${kind}_GET_NEXT_ID`, attr(given))
      }
      for (const open_flags of [0, 1 << 20, abi.BPF_F_RDONLY, abi.BPF_F_RDONLY | abi.BPF_F_WRONLY, 1 << 16]) {
        script.bpf(`BPF_${kind}_GET_FD_BY_ID`, attr({ id: 0x7fff_fff0, open_flags }))
      }
      script.bpf(`BPF_${kind}_GET_FD_BY_ID`, attr({ id: 0 }))
      script.bpf(`BPF_${kind}_GET_FD_BY_ID`, attr({ id: 0x7fff_fff0, next_id: 1 }))
    }
  })
}

/** One INT named `i`, four bytes. */
function btfBytes(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(24 + 16 + 3)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0xeb9f, true)
  view.setUint8(2, 1)
  view.setUint32(4, 24, true)
  view.setUint32(12, 16, true)
  view.setUint32(16, 16, true)
  view.setUint32(20, 3, true)
  view.setUint32(24, 1, true)
  view.setUint32(28, 1 << 24, true)
  view.setUint32(32, 4, true)
  view.setUint32(36, 32, true)
  bytes.set([0, 0x69, 0], 40)
  change(view)
  return bytes
}

function loadTypes(
  script: Script,
  bytes: Uint8Array,
  attr: Partial<StructValue<typeof btfLoadAttr>> = {},
): ResultRef {
  return script.bpf('BPF_BTF_LOAD', btfLoadAttr.encode({ btf_size: bytes.length, ...attr }), {
    [btfLoadAttr.offsets.btf]: script.buffer(bytes),
  })
}

function addTypes(add: Add): void {
  for (const [name, change] of [
    ['as it should be', () => {}],
    ['magic', (view) => view.setUint16(0, 1, true)],
    ['version', (view) => view.setUint8(2, 9)],
    ['flags', (view) => view.setUint8(3, 1)],
    ['a header longer than all', (view) => view.setUint32(4, 400, true)],
    ['no data', (view) => view.setUint32(4, 43, true)],
    ['types that end past the data', (view) => view.setUint32(12, 400, true)],
    ['strings that end past the data', (view) => view.setUint32(20, 400, true)],
    ['an unknown kind', (view) => view.setUint32(28, 30 << 24, true)],
    ['a name past the strings', (view) => view.setUint32(24, 100, true)],
  ] as readonly [string, (view: DataView) => void][]) {
    add(`BTF_LOAD: ${name}`, (script) => loadTypes(script, btfBytes(change)))
  }
  add('BTF_LOAD: sizes, pointers, log', (script) => {
    for (const btf_size of [0, 3, 7, 20 << 20]) loadTypes(script, btfBytes(), { btf_size })
    script.bpf('BPF_BTF_LOAD', btfLoadAttr.encode({ btf_size: 40 }))
    loadTypes(script, btfBytes(), { btf_log_size: 9 })
    loadTypes(script, btfBytes(), { btf_log_level: 1 })
    loadTypes(script, btfBytes(), { btf_flags: 1 })
  })
  add('a map with types', (script) => {
    const btf = loadTypes(script, btfBytes())
    const create = (types: Parameters<typeof createMap>[1]) =>
      script.bpf('BPF_MAP_CREATE', abi.mapCreateAttr.encode({ ...hash, value_size: 4, ...types }), {
        [abi.mapCreateAttr.offsets.btf_fd]: btf,
      })
    create({ btf_key_type_id: 1, btf_value_type_id: 1 })
    create({ btf_value_type_id: 1 })
    create({ btf_key_type_id: 1, btf_value_type_id: 9 })
    create({ btf_key_type_id: 9, btf_value_type_id: 1 })
    create({ btf_key_type_id: 1, btf_value_type_id: 1, value_size: 8 })
  })
}

function addLinks(add: Add): void {
  add('LINK_CREATE, _DETACH, _UPDATE', (script) => {
    const at = linkCreatePerfEventAttr.offsets
    const loaded = loadProgram(script, TRIVIAL)
    const map = createMap(script, hash)
    const create = (attr: Partial<StructValue<typeof linkCreatePerfEventAttr>>, prog?: ResultRef) =>
      script.bpf(
        'BPF_LINK_CREATE',
        linkCreatePerfEventAttr.encode(attr),
        prog === undefined ? {} : { [at.prog_fd]: prog },
      )
    create({ prog_fd: 999, attach_type: 41 })
    create({ attach_type: 41 }, map)
    create({ attach_type: 41 }, loaded)
    create({ attach_type: 999 }, loaded)
    const { linkDetachAttr, linkUpdateAttr } = abi
    script.bpf('BPF_LINK_DETACH', linkDetachAttr.encode({ link_fd: 999 }))
    script.bpf('BPF_LINK_DETACH', linkDetachAttr.encode({}), { [linkDetachAttr.offsets.link_fd]: map })
    for (const flags of [0, 1, 4])
      script.bpf('BPF_LINK_UPDATE', linkUpdateAttr.encode({ link_fd: 999, flags }))
    script.bpf('BPF_LINK_UPDATE', linkUpdateAttr.encode({}), { [linkUpdateAttr.offsets.link_fd]: map })
  })

  add('a link to what is no perf event', (script) => {
    const at = linkCreatePerfEventAttr.offsets
    const tracer = loadProgram(script, TRIVIAL, { prog_type: abi.BPF_PROG_TYPE.BPF_PROG_TYPE_PERF_EVENT })
    for (const target_fd of [999, 0xffff_ffff]) {
      for (const flags of [0, 1]) {
        const attr = linkCreatePerfEventAttr.encode({ target_fd, attach_type: 41, flags })
        script.bpf('BPF_LINK_CREATE', attr, { [at.prog_fd]: tracer })
      }
    }
    const attr = linkCreatePerfEventAttr.encode({ attach_type: 41 })
    script.bpf('BPF_LINK_CREATE', attr, { [at.prog_fd]: tracer, [at.target_fd]: tracer })
  })

  add('PROG_BIND_MAP', (script) => {
    const at = progBindMapAttr.offsets
    const loaded = loadProgram(script, TRIVIAL)
    const map = createMap(script, hash)
    const bind = (flags: number, patches: Patches) =>
      script.bpf('BPF_PROG_BIND_MAP', progBindMapAttr.encode({ prog_fd: 999, map_fd: 999, flags }), patches)
    bind(0, { [at.prog_fd]: loaded, [at.map_fd]: map })
    bind(0, { [at.prog_fd]: loaded, [at.map_fd]: map })
    bind(1, { [at.prog_fd]: loaded, [at.map_fd]: map })
    bind(0, { [at.prog_fd]: map, [at.map_fd]: map })
    bind(0, { [at.prog_fd]: loaded, [at.map_fd]: loaded })
    bind(0, { [at.map_fd]: map })
    bind(0, { [at.prog_fd]: loaded })
  })

  add('ENABLE_STATS', (script) => {
    for (const type of [0, 1]) script.bpf('BPF_ENABLE_STATS', abi.enableStatsAttr.encode({ type }))
  })
}

function addTestRuns(add: Add): void {
  const at = progTestRunAttr.offsets
  type Attr = Partial<StructValue<typeof progTestRunAttr>>

  add('PROG_TEST_RUN of a raw tracepoint', (script) => {
    const source = 'r0 = *(u64 *)(r1 +8)\nexit'
    const loaded = loadProgram(script, source, { prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT })
    const words = new Uint8Array(256)
    words.set([0x2a, 1], 8)
    const context = script.buffer(words)
    const run = (attr: Attr, hasContext = true) => {
      const bytes = script.buffer(progTestRunAttr.encode(attr), {
        [at.prog_fd]: loaded,
        ...(hasContext ? { [at.ctx_in]: context } : {}),
      })
      script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
      script.dump(bytes, at.retval, 4)
    }
    for (const ctx_size_in of [16, 96, 97, 104]) run({ ctx_size_in })
    run({})
    run({ ctx_size_in: 16 }, false)
    for (const more of [
      { repeat: 2 },
      { duration: 2 },
      { batch_size: 2 },
      { flags: 1 },
      { flags: 2 },
      { cpu: 1 },
    ]) {
      run({ ctx_size_in: 16, ...more })
    }
    run({ ctx_size_in: 16, flags: 1, cpu: 1 })
    run({ ctx_size_in: 16, flags: 1, cpu: 9999 })
    run({ ctx_size_in: 16, ctx_size_out: 16 })
    run({ ctx_size_in: 16, data_size_in: 16, data_in: 16n })
    script.bpf('BPF_PROG_TEST_RUN', progTestRunAttr.encode({ prog_fd: 999 }))
    script.bpf('BPF_PROG_TEST_RUN', progTestRunAttr.encode({}), { [at.prog_fd]: createMap(script, hash) })
  })

  add('PROG_TEST_RUN of a socket filter', (script) => {
    const loaded = loadProgram(script, 'r6 = r1\nr0 = *(u16 *)skb[2]\nexit')
    const frame = Uint8Array.from({ length: 64 }, (_, i) => i)
    const run = (attr: Attr, hasData = true) => {
      const out = script.buffer(64)
      const bytes = script.buffer(progTestRunAttr.encode(attr), {
        [at.prog_fd]: loaded,
        ...(hasData ? { [at.data_in]: script.buffer(frame), [at.data_out]: out } : {}),
      })
      script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
      script.dump(bytes, at.retval, 4)
      script.dump(bytes, at.data_size_out, 4)
      script.dump(out, 0, 64)
    }
    run({ data_size_in: 64 })
    run({ data_size_in: 64, data_size_out: 64 })
    run({ data_size_in: 64, data_size_out: 20, repeat: 3 })
    run({ data_size_in: 13 })
    run({ data_size_in: 64 }, false)
    for (const more of [{ flags: 1 }, { flags: 4 }, { cpu: 1 }, { batch_size: 1 }])
      run({ data_size_in: 64, ...more })
  })

  add('PROG_LOAD: packet loads in types without packets', (script) => {
    const source = 'r6 = r1\nr0 = *(u16 *)skb[2]\nexit'
    for (const prog_type of [2, 5, 7, 17]) loadProgram(script, source, { prog_type })
  })

  add('PROG_TEST_RUN of a syscall program', (script) => {
    const source = 'r2 = 77\n*(u32 *)(r1 +4) = r2\nr0 = 5\nexit'
    const type = { prog_type: BPF_PROG_TYPE_SYSCALL, prog_flags: SLEEPABLE }
    const loaded = loadProgram(script, source, type)
    const context = script.buffer(16)
    const run = (attr: Attr) => {
      const patches = { [at.prog_fd]: loaded, [at.ctx_in]: context }
      const bytes = script.buffer(progTestRunAttr.encode(attr), patches)
      script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
      script.dump(bytes, at.retval, 4)
    }
    for (const more of [{}, { repeat: 1 }, { flags: 1 }, { cpu: 1 }, { ctx_size_in: 0x1_0000 }]) {
      run({ ctx_size_in: 16, ...more })
    }
    script.dump(context, 0, 16)
  })
}
