/** Calls that linux-oracle.test.ts makes of both kernels: pins, links, attaching, streams, tokens. */
import * as abi from '../../abi/index.ts'
import {
  BPF_ATTACH_TYPE,
  BPF_PROG_TYPE,
  linkCreatePerfEventAttr,
  linkDetachAttr,
  linkUpdateAttr,
  objPinAttr,
  progAttachAttr,
  progQueryAttr,
  type StructValue,
} from '../../abi/index.ts'
import { array, createMap, define, hash, loadProgram, type OracleCase, TRIVIAL } from './oracle.ts'
import type { Patches, ResultRef, Script } from './script.ts'

const FOLDER = '/sys/fs/bpf'
const O_DIRECTORY = 0o200000
const O_RDONLY = 0
const T = BPF_PROG_TYPE
const A = BPF_ATTACH_TYPE
type Add = ReturnType<typeof define>

function pin(
  script: Script,
  cmd: 'BPF_OBJ_PIN' | 'BPF_OBJ_GET',
  path: string | undefined,
  attr: Partial<StructValue<typeof objPinAttr>> = {},
  patches: Patches = {},
): ResultRef {
  const at = objPinAttr.offsets
  return script.bpf(cmd, objPinAttr.encode(attr), {
    ...(path === undefined ? {} : { [at.pathname]: script.buffer(path) }),
    ...patches,
  })
}

export function objectCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  addPins(add)
  addNamespace(add)
  addAttach(add)
  addRest(add)
  return cases
}

/** A kernel of our own has an empty file system; the driver's is one for all cases. */
const cleanUp = (script: Script, ...names: readonly string[]) => {
  for (const name of names) {
    script.path('unlink', `${FOLDER}/${name}`)
    script.path('rmdir', `${FOLDER}/${name}`)
  }
}

function addPins(add: Add): void {
  const at = objPinAttr.offsets
  add('OBJ_PIN, OBJ_GET: maps and programs', (script) => {
    const map = createMap(script, hash)
    const program = loadProgram(script, TRIVIAL)
    for (const [fd, name] of [
      [map, 'm'],
      [program, 'p'],
    ] as const) {
      pin(script, 'BPF_OBJ_GET', `${FOLDER}/${name}`)
      pin(script, 'BPF_OBJ_PIN', `${FOLDER}/${name}`, {}, { [at.bpf_fd]: fd })
      pin(script, 'BPF_OBJ_PIN', `${FOLDER}/${name}`, {}, { [at.bpf_fd]: fd })
      script.close(fd)
      pin(script, 'BPF_OBJ_GET', `${FOLDER}/${name}`)
      pin(script, 'BPF_OBJ_GET', `${FOLDER}/${name}/`)
      pin(script, 'BPF_OBJ_GET', `${FOLDER}/${name}/x`)
      for (const file_flags of [8, 16, 24, 1, 1 << 14, (1 << 14) | 8]) {
        pin(script, 'BPF_OBJ_GET', `${FOLDER}/${name}`, { file_flags })
      }
      script.path('open', `${FOLDER}/${name}`, O_RDONLY)
      script.path('open', `${FOLDER}/${name}`, O_DIRECTORY)
      script.path('unlink', `${FOLDER}/${name}/`)
      script.path('rmdir', `${FOLDER}/${name}`)
      script.path('unlink', `${FOLDER}/${name}`)
      script.path('unlink', `${FOLDER}/${name}`)
      pin(script, 'BPF_OBJ_GET', `${FOLDER}/${name}`)
    }
  })
  add('OBJ_PIN: a map that lives by its name alone, read-only to whoever asks for that', (script) => {
    const map = createMap(script, array)
    pin(script, 'BPF_OBJ_PIN', `${FOLDER}/alone`, {}, { [at.bpf_fd]: map })
    script.close(map)
    for (const file_flags of [0, 8, 16]) {
      const again = pin(script, 'BPF_OBJ_GET', `${FOLDER}/alone`, { file_flags })
      const attr = abi.mapElemAttr.encode({})
      for (const cmd of ['BPF_MAP_UPDATE_ELEM', 'BPF_MAP_LOOKUP_ELEM'] as const) {
        script.bpf(cmd, attr, {
          [abi.mapElemAttr.offsets.map_fd]: again,
          [abi.mapElemAttr.offsets.key]: script.buffer(4),
          [abi.mapElemAttr.offsets.value]: script.buffer(8),
        })
      }
    }
    cleanUp(script, 'alone')
  })
  add('OBJ_PIN: what and where', (script) => {
    const map = createMap(script, hash)
    const to = (path: string | undefined, attr = {}) =>
      pin(script, 'BPF_OBJ_PIN', path, attr, { [at.bpf_fd]: map })
    pin(script, 'BPF_OBJ_PIN', `${FOLDER}/x`, { bpf_fd: 999 })
    pin(script, 'BPF_OBJ_PIN', `${FOLDER}/x`, { bpf_fd: 0 })
    to(undefined)
    to('')
    to(FOLDER)
    to(`${FOLDER}/`)
    to(`${FOLDER}/..`)
    to(`${FOLDER}/.`)
    to(`${FOLDER}/with.dot`)
    to(`${FOLDER}/none/x`)
    to(`${FOLDER}/x/`)
    to('/tmp/x')
    to('/sys/x')
    to('/none/x')
    to('/')
    to(`${FOLDER}/${'n'.repeat(256)}`)
    to(`${FOLDER}/${'n'.repeat(255)}`)
    to(`/${'n/'.repeat(3000)}`)
    for (const file_flags of [1, 8, 16]) to(`${FOLDER}/x`, { file_flags })
    to(`${FOLDER}/x`, { path_fd: 3 })
    to('x', { file_flags: 1 << 14, path_fd: 999 })
    to(`${FOLDER}/y`, { file_flags: 1 << 14, path_fd: 999 })
    to(`${FOLDER}//./z`)
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/../bpf/z`)
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/z`, { bpf_fd: 1 })
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/z`, { path_fd: 3 })
    pin(script, 'BPF_OBJ_GET', FOLDER)
    pin(script, 'BPF_OBJ_GET', '/tmp')
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/with.dot`)
    pin(script, 'BPF_OBJ_GET', undefined)
    pin(script, 'BPF_OBJ_GET', '')
    cleanUp(script, 'x', 'y', 'z', 'n'.repeat(255))
  })
  add('OBJ_PIN: directories', (script) => {
    const map = createMap(script, hash)
    const path = script.path.bind(script)
    path('mkdir', `${FOLDER}/d`)
    path('mkdir', `${FOLDER}/d`)
    path('mkdir', `${FOLDER}/d/e/`)
    path('mkdir', `${FOLDER}/d.e`)
    path('mkdir', `${FOLDER}/none/e`)
    pin(script, 'BPF_OBJ_PIN', `${FOLDER}/d/m`, {}, { [at.bpf_fd]: map })
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/d/m`)
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/d`)
    path('rmdir', `${FOLDER}/d`)
    path('unlink', `${FOLDER}/d`)
    const open = path('open', `${FOLDER}/d`, O_DIRECTORY)
    const flags = 1 << 14
    pin(script, 'BPF_OBJ_PIN', 'n', { file_flags: flags }, { [at.bpf_fd]: map, [at.path_fd]: open })
    pin(script, 'BPF_OBJ_PIN', '../o', { file_flags: flags }, { [at.bpf_fd]: map, [at.path_fd]: open })
    pin(script, 'BPF_OBJ_GET', 'n', { file_flags: flags }, { [at.path_fd]: open })
    pin(script, 'BPF_OBJ_GET', 'n', { file_flags: flags }, { [at.path_fd]: map })
    pin(script, 'BPF_OBJ_GET', `${FOLDER}/o`)
    path('rmdir', `${FOLDER}/d/.`)
    path('rmdir', `${FOLDER}/d/..`)
    path('rmdir', `${FOLDER}/none`)
    path('unlink', `${FOLDER}/none`)
    path('unlink', FOLDER)
    cleanUp(script, 'd/m', 'd/n', 'd/e', 'd', 'o')
  })
}

const dissector = { prog_type: T.BPF_PROG_TYPE_FLOW_DISSECTOR }
const lookup = { prog_type: T.BPF_PROG_TYPE_SK_LOOKUP, expected_attach_type: A.BPF_SK_LOOKUP }
const PASS = 'r0 = 1\nexit'

function link(
  script: Script,
  program: ResultRef,
  target: ResultRef,
  attr: Partial<StructValue<typeof linkCreatePerfEventAttr>>,
): ResultRef {
  const at = linkCreatePerfEventAttr.offsets
  return script.bpf('BPF_LINK_CREATE', linkCreatePerfEventAttr.encode(attr), {
    [at.prog_fd]: program,
    [at.target_fd]: target,
  })
}

function query(script: Script, target: ResultRef, attr: Partial<StructValue<typeof progQueryAttr>>): void {
  const at = progQueryAttr.offsets
  const ids = script.buffer(16)
  const bytes = script.buffer(progQueryAttr.encode(attr), {
    [at.target_fd]: target,
    ...(attr.prog_cnt === undefined ? {} : { [at.prog_ids]: ids }),
  })
  script.bpfOn('BPF_PROG_QUERY', bytes, progQueryAttr.size)
  script.dump(bytes, at.prog_cnt, 4)
  script.dump(bytes, at.attach_flags, 4)
}

function update(
  script: Script,
  of: ResultRef,
  next: ResultRef,
  flags: number,
  old: ResultRef | undefined,
): void {
  const at = linkUpdateAttr.offsets
  script.bpf('BPF_LINK_UPDATE', linkUpdateAttr.encode({ flags }), {
    [at.link_fd]: of,
    [at.new_prog_fd]: next,
    ...(old === undefined ? {} : { [at.old_prog_fd]: old }),
  })
}

function addNamespace(add: Add): void {
  const net = (script: Script) => script.path('open', '/proc/self/ns/net')
  const detach = (script: Script, of: ResultRef) =>
    script.bpf('BPF_LINK_DETACH', linkDetachAttr.encode({}), { [linkDetachAttr.offsets.link_fd]: of })

  add('links to the network namespace', (script) => {
    const namespace = net(script)
    const map = createMap(script, hash)
    const one = loadProgram(script, PASS, lookup)
    const two = loadProgram(script, PASS, lookup)
    const other = loadProgram(script, PASS, dissector)
    const { BPF_SK_LOOKUP: attach_type, BPF_FLOW_DISSECTOR } = A
    query(script, namespace, { attach_type })
    const first = link(script, one, namespace, { attach_type })
    link(script, one, namespace, { attach_type, flags: 1 })
    link(script, one, map, { attach_type })
    link(script, one, one, { attach_type })
    link(script, one, namespace, { attach_type: BPF_FLOW_DISSECTOR })
    const second = link(script, one, namespace, { attach_type })
    query(script, namespace, { attach_type })
    query(script, namespace, { attach_type, prog_cnt: 1 })
    query(script, namespace, { attach_type, prog_cnt: 2 })
    query(script, namespace, { attach_type, prog_cnt: 4, query_flags: 1 })
    query(script, namespace, { attach_type: BPF_FLOW_DISSECTOR })
    query(script, map, { attach_type })
    update(script, first, two, 0, undefined)
    update(script, first, two, 0, two)
    update(script, first, one, 4, one)
    update(script, first, one, 4, two)
    update(script, first, other, 0, undefined)
    update(script, first, map, 0, undefined)
    update(script, first, one, 4, undefined)
    info(script, first)
    detach(script, first)
    detach(script, first)
    info(script, first)
    update(script, first, two, 0, undefined)
    query(script, namespace, { attach_type })
    script.close(second)
    query(script, namespace, { attach_type })
  })
  add('a link that lives by its name', (script) => {
    const namespace = net(script)
    const { BPF_SK_LOOKUP: attach_type } = A
    const made = link(script, loadProgram(script, PASS, lookup), namespace, { attach_type })
    pin(script, 'BPF_OBJ_PIN', `${FOLDER}/link`, {}, { [objPinAttr.offsets.bpf_fd]: made })
    script.close(made)
    query(script, namespace, { attach_type })
    for (const file_flags of [0, 8, 16]) pin(script, 'BPF_OBJ_GET', `${FOLDER}/link`, { file_flags })
    script.path('unlink', `${FOLDER}/link`)
    query(script, namespace, { attach_type })
  })
  add('a flow dissector, attached and linked', (script) => {
    const namespace = net(script)
    const one = loadProgram(script, PASS, dissector)
    const two = loadProgram(script, PASS, dissector)
    const { BPF_FLOW_DISSECTOR: attach_type } = A
    attachCall(script, 'BPF_PROG_DETACH', one, { attach_type })
    attachCall(script, 'BPF_PROG_ATTACH', one, { attach_type })
    attachCall(script, 'BPF_PROG_ATTACH', one, { attach_type })
    query(script, namespace, { attach_type, prog_cnt: 1 })
    link(script, two, namespace, { attach_type })
    attachCall(script, 'BPF_PROG_ATTACH', two, { attach_type })
    attachCall(script, 'BPF_PROG_DETACH', one, { attach_type })
    attachCall(script, 'BPF_PROG_DETACH', two, { attach_type })
    query(script, namespace, { attach_type, prog_cnt: 1 })
    const linked = link(script, two, namespace, { attach_type })
    link(script, two, namespace, { attach_type })
    attachCall(script, 'BPF_PROG_ATTACH', one, { attach_type })
    attachCall(script, 'BPF_PROG_DETACH', two, { attach_type })
    script.close(linked)
    attachCall(script, 'BPF_PROG_ATTACH', one, { attach_type })
    attachCall(script, 'BPF_PROG_DETACH', one, { attach_type, target_fd: 1 })
    attachCall(script, 'BPF_PROG_DETACH', one, { attach_type })
  })
}

function info(script: Script, of: ResultRef): void {
  const at = abi.objGetInfoAttr.offsets
  const buffer = script.buffer(64)
  script.bpf('BPF_OBJ_GET_INFO_BY_FD', abi.objGetInfoAttr.encode({ info_len: 64 }), {
    [at.bpf_fd]: of,
    [at.info]: buffer,
  })
  // The type and the place; ids and inodes are each kernel's own.
  script.dump(buffer, 0, 4)
  script.dump(buffer, abi.bpfLinkInfoNetns.offsets.attach_type, 44)
}

function attachCall(
  script: Script,
  cmd: 'BPF_PROG_ATTACH' | 'BPF_PROG_DETACH',
  program: ResultRef | undefined,
  attr: Partial<StructValue<typeof progAttachAttr>>,
): void {
  const at = progAttachAttr.offsets
  script.bpf(cmd, progAttachAttr.encode(attr), program === undefined ? {} : { [at.attach_bpf_fd]: program })
}

/** Program types with what they return and are loaded for, for each place that there is. */
const attachable: readonly (readonly [string, number, number, string])[] = [
  ['cgroup_skb', T.BPF_PROG_TYPE_CGROUP_SKB, A.BPF_CGROUP_INET_INGRESS, PASS],
  ['cgroup_sock', T.BPF_PROG_TYPE_CGROUP_SOCK, A.BPF_CGROUP_INET4_POST_BIND, PASS],
  ['cgroup_sock_addr', T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, A.BPF_CGROUP_INET4_BIND, PASS],
  ['sock_ops', T.BPF_PROG_TYPE_SOCK_OPS, 0, PASS],
  ['cgroup_device', T.BPF_PROG_TYPE_CGROUP_DEVICE, 0, PASS],
  ['cgroup_sysctl', T.BPF_PROG_TYPE_CGROUP_SYSCTL, 0, PASS],
  ['cgroup_sockopt', T.BPF_PROG_TYPE_CGROUP_SOCKOPT, A.BPF_CGROUP_GETSOCKOPT, PASS],
  ['sk_skb', T.BPF_PROG_TYPE_SK_SKB, 0, PASS],
  ['sk_msg', T.BPF_PROG_TYPE_SK_MSG, 0, PASS],
  ['sk_lookup', T.BPF_PROG_TYPE_SK_LOOKUP, A.BPF_SK_LOOKUP, PASS],
  ['flow_dissector', T.BPF_PROG_TYPE_FLOW_DISSECTOR, 0, PASS],
  ['xdp', T.BPF_PROG_TYPE_XDP, 0, PASS],
  ['sched_cls', T.BPF_PROG_TYPE_SCHED_CLS, 0, PASS],
  ['kprobe', T.BPF_PROG_TYPE_KPROBE, 0, TRIVIAL],
  ['socket_filter', T.BPF_PROG_TYPE_SOCKET_FILTER, 0, TRIVIAL],
  ['perf_event', T.BPF_PROG_TYPE_PERF_EVENT, 0, TRIVIAL],
]

/** Places whose answers do not depend on devices or on how a kernel was built. */
const places = Object.values(A).filter(
  (place) => ![A.BPF_LIRC_MODE2, A.BPF_LSM_CGROUP].includes(place as never),
)

function addAttach(add: Add): void {
  for (const [name, prog_type, expected_attach_type, source] of attachable) {
    add(`PROG_ATTACH, _DETACH of ${name} to every place`, (script) => {
      const program = loadProgram(script, source, { prog_type, expected_attach_type })
      for (const attach_type of [...places, 58, 999]) {
        for (const cmd of ['BPF_PROG_ATTACH', 'BPF_PROG_DETACH'] as const) {
          attachCall(script, cmd, program, { attach_type, target_fd: 999_999 })
        }
      }
    })
    add(`LINK_CREATE of ${name} to every place`, (script) => {
      const program = loadProgram(script, source, { prog_type, expected_attach_type })
      for (const attach_type of [...places, 58, 999]) {
        // Links to many probes say more of what they are made of.
        if ([42, 48, 56, 57].includes(attach_type)) continue
        for (const flags of [0, 1 << 20]) {
          script.bpf(
            'BPF_LINK_CREATE',
            linkCreatePerfEventAttr.encode({ attach_type, flags, target_fd: 999_999 }),
            { [linkCreatePerfEventAttr.offsets.prog_fd]: program },
          )
        }
      }
    })
  }
  add('PROG_ATTACH, _DETACH: flags', (script) => {
    for (const [prog_type, attach_type] of [
      [T.BPF_PROG_TYPE_CGROUP_SKB, A.BPF_CGROUP_INET_INGRESS],
      [T.BPF_PROG_TYPE_SK_MSG, A.BPF_SK_MSG_VERDICT],
      [T.BPF_PROG_TYPE_SCHED_CLS, A.BPF_TCX_INGRESS],
      [T.BPF_PROG_TYPE_FLOW_DISSECTOR, A.BPF_FLOW_DISSECTOR],
    ] as const) {
      const program = loadProgram(script, PASS, { prog_type })
      for (const cmd of ['BPF_PROG_ATTACH', 'BPF_PROG_DETACH'] as const) {
        for (const attach_flags of [1, 2, 3, 4, 6, 8, 16, 24, 32, 64, 128, 1 << 13, 1 << 20]) {
          attachCall(script, cmd, program, { attach_type, attach_flags, target_fd: 999_999 })
        }
        attachCall(script, cmd, program, { attach_type, target_fd: 999_999, relative_fd: 5 })
        attachCall(script, cmd, program, { attach_type, target_fd: 999_999, expected_revision: 5n })
        attachCall(script, cmd, program, { attach_type, target_fd: 999_999, replace_bpf_fd: 5 })
        attachCall(script, cmd, undefined, { attach_type, target_fd: 999_999 })
        attachCall(script, cmd, undefined, { attach_type, target_fd: 999_999, attach_bpf_fd: 999 })
      }
    }
  })
  add('PROG_ATTACH, LINK_CREATE: a map as the place', (script) => {
    const map = createMap(script, hash)
    for (const [prog_type, attach_type] of [
      [T.BPF_PROG_TYPE_CGROUP_SKB, A.BPF_CGROUP_INET_INGRESS],
      [T.BPF_PROG_TYPE_SK_MSG, A.BPF_SK_MSG_VERDICT],
      [T.BPF_PROG_TYPE_SK_LOOKUP, A.BPF_SK_LOOKUP],
    ] as const) {
      const program = loadProgram(script, PASS, {
        prog_type,
        expected_attach_type: prog_type === T.BPF_PROG_TYPE_SK_LOOKUP ? attach_type : 0,
      })
      const at = progAttachAttr.offsets
      for (const cmd of ['BPF_PROG_ATTACH', 'BPF_PROG_DETACH'] as const) {
        script.bpf(cmd, progAttachAttr.encode({ attach_type }), {
          [at.target_fd]: map,
          [at.attach_bpf_fd]: program,
        })
      }
      link(script, program, map, { attach_type })
    }
  })
  add('PROG_QUERY of every place', (script) => {
    for (const attach_type of [...places, 58, 999]) {
      for (const query_flags of [0, 1, 2]) {
        script.bpf('BPF_PROG_QUERY', progQueryAttr.encode({ attach_type, query_flags, target_fd: 999_999 }))
      }
    }
  })
}

function addRest(add: Add): void {
  add('RAW_TRACEPOINT_OPEN', (script) => {
    const at = abi.rawTracepointAttr.offsets
    const open = (program: ResultRef | undefined, name: string | undefined, attr = {}) =>
      script.bpf('BPF_RAW_TRACEPOINT_OPEN', abi.rawTracepointAttr.encode(attr), {
        ...(program === undefined ? {} : { [at.prog_fd]: program }),
        ...(name === undefined ? {} : { [at.name]: script.buffer(name) }),
      })
    const raw = loadProgram(script, TRIVIAL, { prog_type: T.BPF_PROG_TYPE_RAW_TRACEPOINT })
    open(raw, 'no_such_tracepoint')
    open(raw, '')
    open(raw, undefined)
    open(raw, 'n'.repeat(500))
    open(raw, 'no_such_tracepoint', { cookie: 5n })
    open(undefined, 'x', { prog_fd: 999 })
    open(createMap(script, hash), 'x')
    open(loadProgram(script, TRIVIAL), 'no_such_tracepoint')
    open(loadProgram(script, TRIVIAL, { prog_type: T.BPF_PROG_TYPE_KPROBE }), 'no_such_tracepoint')
  })
  add('ITER_CREATE', (script) => {
    const { encode, offsets } = abi.iterCreateAttr
    for (const flags of [0, 1]) script.bpf('BPF_ITER_CREATE', encode({ link_fd: 999, flags }))
    script.bpf('BPF_ITER_CREATE', encode({}), { [offsets.link_fd]: createMap(script, hash) })
    const namespace = script.path('open', '/proc/self/ns/net')
    const linked = link(script, loadProgram(script, PASS, lookup), namespace, {
      attach_type: A.BPF_SK_LOOKUP,
    })
    script.bpf('BPF_ITER_CREATE', encode({}), { [offsets.link_fd]: linked })
  })
  add('TOKEN_CREATE', (script) => {
    const { encode, offsets } = abi.tokenCreateAttr
    const root = script.path('open', FOLDER, O_DIRECTORY)
    script.path('mkdir', `${FOLDER}/t`)
    const inner = script.path('open', `${FOLDER}/t`, O_DIRECTORY)
    for (const flags of [0, 1]) script.bpf('BPF_TOKEN_CREATE', encode({ flags, bpffs_fd: 999 }))
    for (const fd of [root, inner, createMap(script, hash)]) {
      script.bpf('BPF_TOKEN_CREATE', encode({}), { [offsets.bpffs_fd]: fd })
    }
    cleanUp(script, 't')
  })
  add('PROG_STREAM_READ_BY_FD', (script) => {
    const at = abi.progStreamReadAttr.offsets
    const program = loadProgram(script, TRIVIAL)
    for (const stream_id of [0, 1, 2, 3]) {
      for (const stream_buf_len of [0, 16]) {
        script.bpf(
          'BPF_PROG_STREAM_READ_BY_FD',
          abi.progStreamReadAttr.encode({ stream_id, stream_buf_len }),
          { [at.prog_fd]: program, [at.stream_buf]: script.buffer(16) },
        )
      }
    }
    script.bpf(
      'BPF_PROG_STREAM_READ_BY_FD',
      abi.progStreamReadAttr.encode({ stream_id: 1, stream_buf_len: 8 }),
      { [at.prog_fd]: program },
    )
    script.bpf('BPF_PROG_STREAM_READ_BY_FD', abi.progStreamReadAttr.encode({ stream_id: 1, prog_fd: 999 }))
    script.bpf('BPF_PROG_STREAM_READ_BY_FD', abi.progStreamReadAttr.encode({ stream_id: 1 }), {
      [at.prog_fd]: createMap(script, hash),
    })
  })
  for (const [cmd, end] of [
    ['BPF_OBJ_PIN', 20],
    ['BPF_OBJ_GET', 20],
    ['BPF_PROG_ATTACH', 32],
    ['BPF_PROG_DETACH', 32],
    ['BPF_PROG_QUERY', 64],
    ['BPF_RAW_TRACEPOINT_OPEN', 24],
    ['BPF_ITER_CREATE', 8],
    ['BPF_TOKEN_CREATE', 8],
    ['BPF_PROG_STREAM_READ_BY_FD', 20],
  ] as const) {
    add(`${cmd}: bytes around the end of what it uses`, (script) => {
      // Not in the middle of a path's address, which may be one of somebody's memory.
      for (let at = cmd.startsWith('BPF_OBJ') ? 8 : 0; at < end + 8; at++) {
        const attr = new Uint8Array(200)
        attr[at] = 1
        script.bpf(cmd, attr)
      }
    })
  }
}
