import { expect, test } from 'vitest'
import { BPF_PROG_TYPE } from '../abi/index.ts'
import { helperBodies, helperById, helperByName, helperName, helperPrototypes } from './index.ts'

const { BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_XDP } = BPF_PROG_TYPE

test('ids 1 to 211 are all there, in order, each with one name', () => {
  const ids = helperPrototypes.map(({ id }) => id)
  expect(ids).toEqual([...ids].sort((a, b) => a - b))
  expect([...new Set(ids)]).toEqual(Array.from({ length: 211 }, (_, index) => index + 1))
  const names = new Map(helperPrototypes.map(({ id, name }) => [id, name]))
  for (const { id, name } of helperPrototypes) {
    expect(names.get(id)).toBe(name)
    expect(helperByName(name)?.id).toBe(id)
    expect(name).toMatch(/^bpf_[a-z0-9_]+$/)
  }
  expect(helperName(211)).toBe('bpf_cgrp_storage_delete')
  expect(helperName(0)).toBeUndefined()
  expect(helperById(212)).toBeUndefined()
})

test('no two forms of a helper are for the same program type', () => {
  for (const { id } of helperPrototypes) {
    const types = helperPrototypes.filter((form) => form.id === id).flatMap((form) => form.programTypes)
    expect([id, types.length]).toEqual([id, new Set(types).size])
  }
})

test('arguments fit together', () => {
  for (const { name, arguments: args } of helperPrototypes) {
    expect(args.length).toBeLessThanOrEqual(5)
    args.forEach(({ type, flags, sizeBytes }, index) => {
      const before = args[index - 1]?.type
      const where = [name, index]
      if (type === 'ARG_CONST_SIZE' || type === 'ARG_CONST_SIZE_OR_ZERO') {
        expect([...where, before]).toEqual([...where, 'ARG_PTR_TO_MEM'])
      }
      if (type === 'ARG_PTR_TO_MAP_KEY')
        expect(args.some((arg) => arg.type === 'ARG_CONST_MAP_PTR')).toBe(true)
      expect([...where, flags.includes('MEM_FIXED_SIZE')]).toEqual([...where, sizeBytes !== undefined])
    })
  }
})

test.each([
  [
    'bpf_map_update_elem',
    BPF_PROG_TYPE_KPROBE,
    ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_MAP_KEY', 'ARG_PTR_TO_MAP_VALUE', 'ARG_ANYTHING'],
    'RET_INTEGER',
    false,
  ],
  [
    'bpf_probe_read_kernel',
    BPF_PROG_TYPE_KPROBE,
    ['ARG_PTR_TO_MEM', 'ARG_CONST_SIZE_OR_ZERO', 'ARG_ANYTHING'],
    'RET_INTEGER',
    true,
  ],
  [
    'bpf_ringbuf_reserve',
    BPF_PROG_TYPE_KPROBE,
    ['ARG_CONST_MAP_PTR', 'ARG_CONST_ALLOC_SIZE_OR_ZERO', 'ARG_ANYTHING'],
    'RET_PTR_TO_MEM',
    false,
  ],
  ['bpf_redirect', BPF_PROG_TYPE_XDP, ['ARG_ANYTHING', 'ARG_ANYTHING'], 'RET_INTEGER', false],
])('%s', (name, type, args, returns, gplOnly) => {
  const prototype = helperByName(name, type)
  expect(prototype?.arguments.map((arg) => arg.type)).toEqual(args)
  expect(prototype?.returns.type).toBe(returns)
  expect(prototype?.gplOnly).toBe(gplOnly)
})

test('a helper is found only for program types that may call it', () => {
  expect(helperByName('bpf_redirect', BPF_PROG_TYPE_KPROBE)).toBeUndefined()
  expect(helperByName('bpf_probe_read_kernel', BPF_PROG_TYPE_XDP)?.id).toBe(113)
  expect(helperByName('bpf_override_return')?.programTypes).toEqual([BPF_PROG_TYPE_KPROBE])
})

test('bodies belong to helpers that tracing programs may call, or are of use to them', () => {
  for (const [id] of helperBodies) expect(helperById(id)).toBeDefined()
  expect(helperBodies.size).toBeGreaterThanOrEqual(36)
})
