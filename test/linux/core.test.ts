/**
 * CO-RE, kernel functions and variables on the Linux that runs the tests: its verifier accepts what the client fits to
 * its types, and where it meets an instruction that found nothing, the client says which relocation that was.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Collection, type CollectionSpec, load, openObject, VerifierError } from '../../src/client/index.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'

const linux = openLinux()
if (!(linux instanceof LinuxUnavailable)) afterAll(() => linux[Symbol.dispose]())

function compile(path: string): CollectionSpec | string {
  const directory = mkdtempSync(join(tmpdir(), 'anybpf-core-'))
  const object = join(directory, 'core.bpf.o')
  const source = join(import.meta.dirname, path)
  const options = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-I/usr/include/x86_64-linux-gnu']
  try {
    execFileSync('clang-19', [...options, '-c', source, '-o', object], { stdio: 'pipe' })
    const spec = openObject(new Uint8Array(readFileSync(object)), { name: 'core' })
    return 'programs' in spec ? spec : spec.message
  } catch {
    return 'needs clang-19 and libbpf-dev'
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const spec = compile('../data/core/all-kinds.bpf.c')
const reason = linux instanceof LinuxUnavailable ? linux.message : typeof spec === 'string' ? spec : ''

function loadOne(program: string) {
  if (linux instanceof LinuxUnavailable || typeof spec === 'string') throw new Error(reason)
  return load(spec, linux, { programs: [program] })
}

test
  .skipIf(reason !== '')
  .each(['fields', 'bit_fields', 'types', 'enumerators', 'callers', 'arrays', 'direct'])(
  `%s is accepted${reason && ` (${reason})`}`,
  (program) => {
    const collection = loadOne(program)
    if (!(collection instanceof Collection))
      throw new Error(`${collection}\n${(collection as VerifierError).log ?? ''}`)
    using loaded = collection
    expect(loaded.program(program).fd).toBeGreaterThan(0)
  },
)

test.skipIf(reason !== '').each([
  [
    'unresolved',
    /^program 'unresolved' \(kprobe\/x\) was refused: EINVAL: instruction \d+: the kernel has nothing for the relocation <(byte_sz|byte_off|enumval_value)> \[\d+\] (struct no_such\.c|enum no_such_enum)/,
  ],
  [
    'other_width',
    /: a number of another width in the kernel would be read wrongly by the relocation <byte_off> \[\d+\] struct task_struct___wide\.pid \(0:0 @ offset 0\)$/,
  ],
])(`%s is refused by its relocation${reason && ` (${reason})`}`, (program, message) => {
  const error = loadOne(program)
  expect(error).toBeInstanceOf(VerifierError)
  expect((error as VerifierError).message).toMatch(message)
})
