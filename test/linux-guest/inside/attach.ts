/**
 * What runs inside of the guest: every program of `everywhere.bpf.c`, loaded alone, attached, given something to run for,
 * detached. A line of JSON for each.
 */
import dgram from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { release } from 'node:os'
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
  type Link,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  type PerfEventPlace,
  type Place,
} from '../../../src/client/index.ts'
import { LinuxUnavailable, openLinux } from '../../../src/ports/linux/index.ts'
import type { Outcome } from '../outcome.ts'

const LOOPBACK = 1
const GROUP = '/sys/fs/cgroup/anybpf'
const CALLS = 5

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

const linux = openLinux()
if (linux instanceof LinuxUnavailable) throw new Error(linux.message)
const object = openObject(new Uint8Array(readFileSync('/everywhere.bpf.o')), { name: 'everywhere' })
if (object instanceof ObjectError) throw new Error(object.message)
const spec: CollectionSpec = object

function loaded(programs: readonly string[], options: LoadOptions = {}): Collection {
  const collection = load(spec, linux as Exclude<typeof linux, LinuxUnavailable>, { ...options, programs })
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
    syscalls: linux as Exclude<typeof linux, LinuxUnavailable>,
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
const fd = linux.open(GROUP, O_RDONLY)
await report('iter_cgroup', () =>
  iterate('iter_cgroup', { over: { kind: 'cgroup', fd, order: 'ancestors' } }),
)
linux.close(fd)
for (const name of ['sk_msg', 'sk_skb']) await report(name, () => attachToSockets(name))
for (const name of ['freplace', 'fentry_program', 'fexit_program'])
  await report(name, () => attachToProgram(name))
