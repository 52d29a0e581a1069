/**
 * Locks, timers, lists and pointers in map values on two kernels: which map types may have them, and what user space
 * sees of them.
 */
import { afterAll, describe, expect, test } from 'vitest'
import {
  BPF_CMD,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_MAP_TYPE,
  btfLoadAttr,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  type Syscalls,
} from '../../src/abi/index.ts'
import { BTF_KIND, Btf, type BtfId } from '../../src/btf/index.ts'
import { ObjectError, openObject } from '../../src/client/index.ts'
import { compileObject } from './compile.ts'
import { bpf, createRaw, RawMap } from './raw-map.ts'
import { openBoth, u32 } from './two-kernels.ts'

const both = openBoth()
const object = compileObject('kf-fields')
const why = typeof both === 'string' ? both : typeof object === 'string' ? object : ''
const T = BPF_MAP_TYPE

afterAll(() => {
  if (typeof both !== 'string') both[Symbol.dispose]()
})

const opened = typeof object === 'string' ? undefined : openObject(object, { name: 'fields' })
const section = opened === undefined || opened instanceof ObjectError ? undefined : opened.kernelBtf
const parsed = section === undefined ? undefined : Btf.parse(section)
const types = parsed instanceof Btf ? parsed : undefined
const values = types === undefined ? [] : [...types.ids()].filter((id) => types.nameOf(id).startsWith('v_'))
const u32Id = types?.find('__u32', BTF_KIND.TYPEDEF) ?? 0

function loadTypes(kernel: Syscalls): number {
  const bytes = section as Uint8Array
  const at = kernel.memory.allocate(bytes.length)
  kernel.memory.view(at, bytes.length).set(bytes)
  const fd = bpf(kernel, BPF_CMD.BPF_BTF_LOAD, btfLoadAttr.encode({ btf: at, btf_size: bytes.length }))
  kernel.memory.free(at)
  expect(fd).toBeGreaterThan(0)
  return fd
}

const shapes: readonly (readonly [string, number, { readonly flags?: number; readonly entries?: number }])[] =
  [
    ['hash', T.BPF_MAP_TYPE_HASH, {}],
    ['hash without preallocation', T.BPF_MAP_TYPE_HASH, { flags: BPF_F_NO_PREALLOC }],
    ['array', T.BPF_MAP_TYPE_ARRAY, {}],
    ['percpu_hash', T.BPF_MAP_TYPE_PERCPU_HASH, {}],
    ['percpu_array', T.BPF_MAP_TYPE_PERCPU_ARRAY, {}],
    ['lru_hash', T.BPF_MAP_TYPE_LRU_HASH, {}],
    ['lru_percpu_hash', T.BPF_MAP_TYPE_LRU_PERCPU_HASH, {}],
    ['lpm_trie', T.BPF_MAP_TYPE_LPM_TRIE, { flags: BPF_F_NO_PREALLOC }],
    ['task_storage', T.BPF_MAP_TYPE_TASK_STORAGE, { flags: BPF_F_NO_PREALLOC, entries: 0 }],
    ['sk_storage', T.BPF_MAP_TYPE_SK_STORAGE, { flags: BPF_F_NO_PREALLOC, entries: 0 }],
    ['hash that programs only read', T.BPF_MAP_TYPE_HASH, { flags: BPF_F_RDONLY_PROG }],
    ['array that programs only write', T.BPF_MAP_TYPE_ARRAY, { flags: BPF_F_WRONLY_PROG }],
  ]

const create = (
  kernel: Syscalls,
  btf: number,
  [, type, { flags = 0, entries = 4 }]: (typeof shapes)[number],
  value: BtfId,
) =>
  createRaw(kernel, {
    map_type: type,
    key_size: 4,
    value_size: types?.sizeOf(value) ?? 0,
    max_entries: entries,
    map_flags: flags,
    btf_fd: btf,
    btf_key_type_id: u32Id,
    btf_value_type_id: value,
  })

describe.skipIf(why !== '')(
  `members of values that are the kernel's${why === '' ? '' : ` (skipped: ${why})`}`,
  () => {
    test.each(shapes)('%s may have the same ones', (...shape) => {
      const table = (kernel: Syscalls) => {
        const btf = loadTypes(kernel)
        const made = values.map((value) => {
          const fd = create(kernel, btf, shape, value)
          if (fd > 0) kernel.close(fd)
          return `${types?.nameOf(value)}: ${fd > 0 ? 'made' : fd}`
        })
        kernel.close(btf)
        return made
      }
      if (typeof both === 'string') return
      expect(table(both.ours)).toEqual(table(both.linux))
    })

    test.each(shapes.slice(0, 7))('%s shows the same of them', (...shape) => {
      const seen = (kernel: Syscalls) => {
        const btf = loadTypes(kernel)
        const isPerCpu = shape[0].includes('percpu')
        const cpus = isPerCpu && typeof both !== 'string' ? both.cpuCount : 1
        const shown = values.map((value) => {
          const fd = create(kernel, btf, shape, value)
          if (fd < 0) return [`${fd}`]
          // A list that was never used points to itself there: user space is shown an address of the kernel's.
          if (types?.nameOf(value) === 'v_list') {
            kernel.close(fd)
            return []
          }
          const bytes =
            (isPerCpu ? Math.ceil((types?.sizeOf(value) ?? 0) / 8) * 8 : (types?.sizeOf(value) ?? 0)) * cpus
          using map = new RawMap(kernel, fd, bytes)
          const full = new Uint8Array(bytes).fill(0xa5)
          const twice = new Uint8Array(bytes).fill(0x3c)
          const results = [
            map.update(u32(1), full),
            map.lookup(u32(1)),
            map.update(u32(1), twice),
            map.lookup(u32(1)),
          ]
          return [types?.nameOf(value), ...results, map.lookup(u32(1), { isTaken: true })]
        })
        kernel.close(btf)
        return shown
      }
      if (typeof both === 'string') return
      expect(seen(both.ours)).toEqual(seen(both.linux))
    })

    test('an array to be mapped can be mapped without any only', () => {
      const table = (kernel: Syscalls) => {
        const btf = loadTypes(kernel)
        const results = values.map((value) => {
          const fd = create(kernel, btf, ['', T.BPF_MAP_TYPE_ARRAY, { flags: BPF_F_MMAPABLE }], value)
          if (fd < 0) return `${fd}`
          const at = kernel.mmap(0n, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0)
          const isMapped = BigInt.asIntN(64, at) > 0n || BigInt.asIntN(64, at) < -4095n
          if (isMapped) kernel.munmap(at, PAGE_SIZE)
          kernel.close(fd)
          return `${types?.nameOf(value)}: ${isMapped ? 'mapped' : BigInt.asIntN(64, at)}`
        })
        kernel.close(btf)
        return results
      }
      if (typeof both === 'string') return
      expect(table(both.ours)).toEqual(table(both.linux))
    })
  },
)
