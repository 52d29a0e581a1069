/**
 * A Linux in QEMU, of which the test may change anything: a kernel of Debian's, and in its memory a file system with this
 * machine's Node, a shell, and what is to run.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const MOST_MS = 900_000
const MODULES = ['drivers/net/veth.ko']

/** Where the kernel is: the environment names the file, or `.ci/run` has put it there. */
const KERNEL = process.env.ANYBPF_LINUX_KERNEL ?? ''

/** Mounts what programs and their users look for, runs the script, ends. */
const init = (script: string): string => `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
mkdir -p /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
for module in /modules/*; do insmod $module; done
ip link set lo up
node /anybpf/test/linux-guest/inside/${script}.js 2>&1
poweroff -f
`

/** Why there can be no guest here; undefined where there can. */
export function whyNoGuest(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64'
  if (KERNEL === '') return 'needs a kernel of Debian: ANYBPF_LINUX_KERNEL=FILE'
  const missing = ['qemu-system-x86_64', 'cpio', 'busybox', 'ldd'].filter((name) => !isCommand(name))
  return missing.length === 0 ? undefined : `needs ${missing.join(', ')}`
}

function isCommand(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Runs `inside/SCRIPT.ts`, with files by their paths: what the guest writes on its console until it ends. */
export function runGuest(script: string, files: ReadonlyMap<string, Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), 'anybpf-guest-'))
  try {
    const archive = join(folder, 'archive')
    writeFileSync(archive, archiveOf(join(folder, 'files'), script, files))
    const run = spawnSync(
      'qemu-system-x86_64',
      [
        ...['-m', '1536', '-smp', '1', '-display', 'none', '-serial', 'stdio', '-no-reboot'],
        ...['-kernel', KERNEL, '-initrd', archive],
        ...['-append', 'console=ttyS0 quiet lsm=bpf panic=-1 mitigations=off ipv6.disable=1'],
      ],
      { encoding: 'utf8', timeout: MOST_MS, maxBuffer: 1 << 26 },
    )
    return run.stdout
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The files of the guest, made under `folder`, as the kernel unpacks them. */
function archiveOf(folder: string, script: string, files: ReadonlyMap<string, Uint8Array>): Buffer {
  for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'anybpf/node_modules/@koromix'])
    mkdirSync(join(folder, name), { recursive: true })
  const node = realpathSync(process.execPath)
  copyFileSync(node, join(folder, 'bin/node'))
  const busybox = execFileSync('which', ['busybox'], { encoding: 'utf8' }).trim()
  copyFileSync(realpathSync(busybox), join(folder, 'bin/busybox'))
  for (const library of librariesOf(node)) {
    mkdirSync(join(folder, dirname(library)), { recursive: true })
    copyFileSync(realpathSync(library), join(folder, library))
  }
  const modules = join(root, 'node_modules')
  for (const name of ['koffi', '@koromix/koffi-linux-x64', 'commander', 'picocolors'])
    cpSync(join(modules, name), join(folder, 'anybpf/node_modules', name), {
      recursive: true,
      dereference: true,
    })
  copyFileSync(join(root, 'package.json'), join(folder, 'anybpf/package.json'))
  const compiler = join(modules, '.bin', 'tsc')
  execFileSync(compiler, ['-p', import.meta.dirname, '--outDir', join(folder, 'anybpf')], {
    stdio: 'inherit',
  })
  mkdirSync(join(folder, 'modules'))
  for (const [name, bytes] of modulesOf(KERNEL)) writeFileSync(join(folder, 'modules', name), bytes)
  for (const [path, bytes] of files) {
    mkdirSync(join(folder, dirname(path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  writeFileSync(join(folder, 'init'), init(script))
  chmodSync(join(folder, 'init'), 0o755)
  const names = execFileSync('find', ['.'], { cwd: folder, encoding: 'utf8' })
  return execFileSync('cpio', ['--quiet', '-o', '-H', 'newc'], {
    cwd: folder,
    input: names,
    maxBuffer: 1 << 29,
  })
}

/** What the kernel has as modules only, where its package put them: `boot/vmlinuz-VERSION`, `lib/modules/VERSION`. */
function* modulesOf(kernel: string): Iterable<readonly [name: string, bytes: Uint8Array]> {
  const version = basename(kernel).replace(/^vmlinuz-/, '')
  const folder = join(dirname(kernel), '..', 'lib', 'modules', version, 'kernel')
  for (const path of MODULES) {
    const file = join(folder, path)
    if (existsSync(file)) yield [basename(file), readFileSync(file)]
    else if (existsSync(`${file}.xz`))
      yield [basename(file), execFileSync('busybox', ['xzcat', `${file}.xz`], { maxBuffer: 1 << 26 })]
  }
}

/** The shared libraries of an executable, where it looks for them. */
function librariesOf(executable: string): readonly string[] {
  const text = execFileSync('ldd', [executable], { encoding: 'utf8' })
  return [...text.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path as string)
}
