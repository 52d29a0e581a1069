/**
 * What runs inside of the guest: every program of `everywhere.bpf.c`, loaded alone, attached, given something to run for,
 * detached. A line of JSON for each.
 */

import { execFileSync, spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { release } from 'node:os'
import { createInterface } from 'node:readline'
import { O_RDONLY } from '../../../src/abi/index.ts'
import { CommandContext } from '../../../src/cli/kernel/command.ts'
import { listLinks } from '../../../src/cli/kernel/link-list.ts'
import { Words } from '../../../src/cli/kernel/words.ts'
import { nodeHost } from '../../../src/cli/node-host.ts'
import {
  AttachError,
  type AttachOptions,
  type Collection,
  type CollectionSpec,
  IteratorReader,
  type IteratorScope,
  type Link,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  type PerfEventPlace,
  type Place,
} from '../../../src/client/index.ts'
import { type LinuxSyscalls, LinuxUnavailable, openLinux } from '../../../src/ports/linux/index.ts'
import type { Outcome } from '../outcome.ts'
import { indexOf, makePair } from './device-pair.ts'

const LOOPBACK = 1
const GROUP = '/sys/fs/cgroup/anybpf'
const CALLS = 5
const MARKED = '/marked'

/** What a program is to be run by. */
type Provocation = () => void | Promise<void>

const askForParent: Provocation = () => {
  for (let i = 0; i < CALLS; i++) void process.ppid
}
const openFile: Provocation = () => void readFileSync('/proc/uptime')

const sendPacket: Provocation = async () => {
  const receiver = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(receiver, 'listening')
  const sender = dgram.createSocket('udp4')
  const arrived = once(receiver, 'message')
  sender.send('hello', receiver.address().port, '127.0.0.1')
  await arrived
  receiver.close()
  sender.close()
}

const connect: Provocation = async () => {
  const server = net.createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = net.connect(port, '127.0.0.1')
  client.setNoDelay(true)
  client.resume()
  await once(client, 'close')
  server.close()
  await once(server, 'close')
}

/** Out by a device, to nobody. */
const sendOut =
  (network: string): Provocation =>
  async () => {
    const sender = dgram.createSocket('udp4')
    await new Promise((resolve) => sender.send('hello', 9, `${network}.2`, resolve))
    sender.close()
  }

const readSetting: Provocation = () => void readFileSync('/proc/sys/kernel/ostype')
const openDevice: Provocation = () => void readFileSync('/dev/null')
const work: Provocation = () => {
  for (const end = Date.now() + 300; Date.now() < end; );
}

const cgroup: Place = { kind: 'cgroup', path: GROUP }
const perfEvent: PerfEventPlace = { kind: 'perfEvent', event: 'cpu-clock', every: { timesASecond: 200 } }

interface Attempt {
  readonly name: string
  readonly by: Provocation
  readonly at?: Place | PerfEventPlace
}

const all = (names: string, by: Provocation, at?: Place): readonly Attempt[] =>
  names.split(' ').map((name) => ({ name, by, ...(at === undefined ? {} : { at }) }))

const attempts: readonly Attempt[] = [
  ...all('kprobe kretprobe ksyscall kretsyscall tracepoint raw_tp tp_btf', askForParent),
  ...all('kprobe_multi kretprobe_multi kprobe_session fentry fexit fmod_ret lsm lsm_s', openFile),
  ...all('lsm_cgroup', sendPacket, cgroup),
  ...all('uprobe uretprobe uprobe_multi uretprobe_multi uprobe_session', askForParent),
  ...all('xdp', sendPacket, { kind: 'xdp', ifindex: LOOPBACK }),
  ...all('tcx_ingress', sendPacket, { kind: 'tcx', ifindex: LOOPBACK }),
  ...all('tcx_egress', sendPacket, { kind: 'tcx', ifindex: LOOPBACK, before: { kind: 'all' } }),
  ...all('netfilter', sendPacket, { kind: 'netfilter', family: 'ipv4', hook: 'output', priority: -5 }),
  ...all('sk_lookup', connect, { kind: 'netns' }),
  ...all('flow_dissector', openFile, { kind: 'netns' }),
  ...all('cgroup_skb_ingress cgroup_skb_egress cgroup_bind4 cgroup_post_bind4', sendPacket, cgroup),
  ...all('cgroup_sock_create cgroup_sock_release cgroup_sendmsg4 cgroup_recvmsg4', sendPacket, cgroup),
  ...all('cgroup_connect4 cgroup_setsockopt sockops', connect, cgroup),
  ...all('cgroup_sysctl', readSetting, cgroup),
  ...all('cgroup_dev', openDevice, cgroup),
  { name: 'perf_event', by: work, at: perfEvent },
]

/** The two ends of a pair of devices, each with a network of its own, and programs that both are named to. */
const NETKIT = { netkit_primary: '10.9.0', netkit_peer: '10.9.1' } as const

const linux = openLinux()
if (linux instanceof LinuxUnavailable) throw new Error(linux.message)
const object = openObject(new Uint8Array(readFileSync('/everywhere.bpf.o')), { name: 'everywhere' })
if (object instanceof ObjectError) throw new Error(object.message)
const spec: CollectionSpec = object

function loaded(programs: readonly string[], options: LoadOptions = {}): Collection {
  const collection = load(spec, linux as LinuxSyscalls, { ...options, programs })
  if (collection instanceof LoadError) throw collection
  return collection
}

const runsOf = (collection: Collection, name: string): number =>
  Number(collection.globals.get(`runs_${name}`))

function linked(link: Link | AttachError): Link {
  if (link instanceof AttachError) throw link
  return link
}

/** `link list`, without what changes from run to run. */
function listed(): string {
  let text = ''
  const stdout = {
    columns: undefined,
    rows: undefined,
    write(piece: string) {
      text += piece
    },
  }
  const host = nodeHost({ stdout, stderr: stdout })
  const context = new CommandContext({
    host,
    syscalls: linux as LinuxSyscalls,
    form: 'plain',
    bootTimeMs: undefined,
  })
  listLinks(context, new Words([]))
  return text
}

async function attempt({ name, by, at }: Attempt): Promise<Outcome> {
  using collection = loaded([name])
  const link = linked(collection.program(name).attach(at))
  await by()
  const runs = runsOf(collection, name)
  const list = listed()
  link[Symbol.dispose]()
  // What was under way has ended, and nothing new begins.
  const afterwards = runsOf(collection, name)
  await by()
  return { name, runs, runsAfterwards: runsOf(collection, name) - afterwards, listed: list }
}

async function attachToNetkit(name: keyof typeof NETKIT): Promise<Outcome> {
  const devices = ['nk0', 'nk1']
  if (!existsSync(`/sys/class/net/${devices[0]}`)) {
    const made = makePair('netkit', 'nk0', 'nk1')
    if (made < 0) throw new Error(`netkit: ${made}`)
    Object.values(NETKIT).forEach((network, n) => {
      execFileSync('ip', ['address', 'add', `${network}.1/24`, 'dev', devices[n] as string])
    })
  }
  return attempt({ name, by: sendOut(NETKIT[name]), at: { kind: 'netkit', ifindex: indexOf('nk0') } })
}

/** A process of which places are marked, each line of its input having it pass them so many times. */
async function attachToMarks(name: string): Promise<Outcome> {
  chmodSync(MARKED, 0o755)
  const child = spawn(MARKED, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  const pass = async (count: number) => {
    child.stdin.write(`${count}\n`)
    return Number((await lines.next()).value)
  }
  const marks = openObject(new Uint8Array(readFileSync('/usdt.bpf.o')), { name: 'usdt' })
  if (marks instanceof ObjectError) throw marks
  const programs = { on_step: 'step', on_behind: 'behind', on_asked: 'asked' } as const
  const collection = load(marks, linux as LinuxSyscalls, { programs: Object.keys(programs) })
  if (collection instanceof LoadError) throw collection
  using open = collection
  const links = Object.entries(programs).map(([program, mark]) =>
    linked(
      open
        .program(program)
        .attach({ kind: 'usdt', path: MARKED, provider: 'marked', name: mark }, { cookie: 0xfeedn }),
    ),
  )
  const value = (variable: string): number => Number(open.globals.get(variable))
  const asked = await pass(4)
  const list = listed()
  for (const link of links) link[Symbol.dispose]()
  const runs = value('steps')
  const askedAfterwards = await pass(4)
  child.stdin.end()
  const many = (variable: string) => (open.globals.get(variable) as readonly bigint[]).map(Number)
  const answers = [
    asked,
    askedAfterwards,
    value('asked'),
    value('last_asked'),
    value('cookie'),
    value('behinds'),
  ]
  return {
    ...{ name, runs, runsAfterwards: value('steps') - runs, listed: list },
    answers: [...answers, ...many('sums'), ...many('behind')],
  }
}

/** The tasks of this process, and one of them: how many more runs there are than tasks. */
function iterateOverOwn(name: string): Outcome {
  const over = (scope: IteratorScope) => iterate('iter_task', { over: scope }).runs ?? 0
  const own = readdirSync('/proc/self/task').length
  const [all, one] = [over({ kind: 'process', pid: process.pid }), over({ kind: 'thread', tid: process.pid })]
  return { name, runs: all, runsAfterwards: 0, answers: [all - own, one - 1] }
}

function iterate(name: string, options: AttachOptions): Outcome {
  using collection = loaded([name])
  const reader = collection.program(name).openIterator(options)
  if (!(reader instanceof IteratorReader)) throw reader
  using open = reader
  return { name, runs: open.text().split('\n').length - 1, runsAfterwards: 0, listed: listed() }
}

/** Links of sockets in a map; no socket is in it. */
function attachToSockets(name: string): Outcome {
  using collection = loaded([name])
  using _link = linked(
    collection.program(name).attach({ kind: 'sockmap', map: { fd: collection.map('sockets').fd } }),
  )
  return { name, runs: 0, runsAfterwards: 0, listed: listed() }
}

/** A program at a function of another: what the target answers with it, and without. */
function attachToProgram(name: string): Outcome & { readonly answers: readonly number[] } {
  using target = loaded(['target'])
  const { fd } = target.program('target')
  using collection = loaded([name], { targetPrograms: { [name]: { fd } } })
  const answer = () => {
    const run = target.program('target').testRun({ data: new Uint8Array(64) })
    if (!('returnValue' in run)) throw run
    return run.returnValue
  }
  const before = answer()
  const link = linked(collection.program(name).attach())
  const during = answer()
  link[Symbol.dispose]()
  const runs = runsOf(collection, name)
  const answers = [before, during, answer()]
  return { name, runs, runsAfterwards: runsOf(collection, name) - runs, answers }
}

async function report(name: string, run: () => Outcome | Promise<Outcome>): Promise<void> {
  let outcome: Outcome
  try {
    outcome = await run()
  } catch (error) {
    const log = error instanceof Error && 'log' in error ? `\n${error.log}` : ''
    outcome = { name, error: `${error instanceof Error ? error.message : error}${log}` }
  }
  console.log(`OUTCOME ${JSON.stringify(outcome)}`)
}

console.log(`LINUX ${release()}`)
mkdirSync(GROUP)
writeFileSync(`${GROUP}/cgroup.procs`, `${process.pid}`)
for (const each of attempts) await report(each.name, () => attempt(each))
for (const name of ['task', 'task_file', 'bpf_map', 'bpf_prog', 'bpf_link', 'ksym'])
  await report(`iter_${name}`, () => iterate(`iter_${name}`, {}))
await report('iter_task_own', () => iterateOverOwn('iter_task_own'))
for (const name of ['netkit_primary', 'netkit_peer'] as const) await report(name, () => attachToNetkit(name))
await report('usdt', () => attachToMarks('usdt'))
const fd = linux.open(GROUP, O_RDONLY)
await report('iter_cgroup', () =>
  iterate('iter_cgroup', { over: { kind: 'cgroup', fd, order: 'ancestors' } }),
)
linux.close(fd)
for (const name of ['sk_msg', 'sk_skb']) await report(name, () => attachToSockets(name))
for (const name of ['freplace', 'fentry_program', 'fexit_program'])
  await report(name, () => attachToProgram(name))
