/** Whole logs, source lines included, beside those that the running Linux writes of the same programs. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Btf } from '../../src/btf/index.ts'
import { inputOf } from '../../src/cli/verify/input.ts'
import { type CollectionSpec, load, openObject } from '../../src/client/index.ts'
import { openLinux } from '../../src/ports/linux/index.ts'
import { type ProgramInput, prove } from '../../src/verifier/index.ts'

const folder = join(import.meta.dirname, '../../bpf')
const opened = openLinux()
const linux = 'bpf' in opened ? opened : undefined
const why = 'bpf' in opened ? '' : ` (skipped: ${opened.message})`

/** Addresses, times and numbers of kernel functions are each kernel's own, and columns move with them. */
const normalised = (log: string): string =>
  log
    .replace(/^verification time \d+ usec$/gm, 'verification time')
    .replace(/(\(18\) r\d+ = 0x)[0-9a-f]+/g, '$1')
    .replace(/(\(85\) call [a-zA-Z_]\w*#)\d{5,}/g, '$1')
    .replace(/ +;/g, ' ;')

const kernelTypes = (): Btf => Btf.parse(readFileSync('/sys/kernel/btf/vmlinux')) as Btf

describe.skipIf(linux === undefined)(`logs${why}`, () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.bpf.o'))
  test.each(files)('%s', (file) => {
    const spec = openObject(new Uint8Array(readFileSync(join(folder, file))), {
      name: 'test',
    }) as CollectionSpec
    const types = kernelTypes()
    expect(spec.programs.length).toBeGreaterThan(0)
    for (const { name } of spec.programs) {
      const input = inputOf(spec, name, { types }) as ProgramInput
      for (const logLevel of [1, 2, 4]) {
        let theirs: string | undefined
        const options = {
          programs: [name],
          logLevel,
          targetBtf: types,
          onLog: (_: string, log: string) => (theirs = log),
        }
        const collection = load(spec, linux!, options as Parameters<typeof load>[2])
        if ('message' in collection) throw new Error(collection.message)
        collection[Symbol.dispose]()
        expect(theirs, `${name} at level ${logLevel}`).toBeDefined()
        expect(normalised(prove({ ...input, logLevel }).log)).toBe(normalised(theirs ?? ''))
      }
    }
  })
})
