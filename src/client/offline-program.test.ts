/** A program as BPF_PROG_LOAD would be given it, without a kernel. With a kernel's types: test/verify-cli.test.ts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { decode, type Program, WIDE_SOURCE } from '../isa/index.ts'
import { offlineProgram } from './offline-program.ts'
import { type CollectionSpec, ObjectError, openObject } from './spec/index.ts'

const bytes = (name: string) =>
  new Uint8Array(readFileSync(join(import.meta.dirname, '../../bpf', `${name}.bpf.o`)))
const open = (name: string) => openObject(bytes(name), { name }) as CollectionSpec

test('maps are named by their place in the list', () => {
  const spec = open('syscount')
  const offline = offlineProgram(spec, 'syscall_entry')
  if ('code' in offline) throw new Error(offline.message)
  const decoded = decode(offline.linked.instructions)
  const program: Program = decoded.ok ? decoded.program : []
  const named = program
    .filter(({ opcode, src }) => opcode === 0x18 && src !== WIDE_SOURCE.IMM64)
    .map(({ src, imm }) => [src, spec.maps[imm]?.origin])
  expect(named.length).toBeGreaterThan(2)
  for (const [src, origin] of named)
    expect([WIDE_SOURCE.MAP_FD, WIDE_SOURCE.MAP_VALUE], `${origin}`).toContain(src)
  expect(named).toContainEqual([WIDE_SOURCE.MAP_FD, 'btf'])
  expect(offline.attachTo).toBeUndefined()
})

test('the Spec stays as it is, and a program that is not there is said', () => {
  const spec = open('hello')
  const first = offlineProgram(spec, 'hello')
  const second = offlineProgram(spec, 'hello')
  expect(first).toEqual(second)
  expect(offlineProgram(spec, 'nobody')).toBeInstanceOf(ObjectError)
})
