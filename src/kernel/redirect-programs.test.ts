import { expect, test } from 'vitest'
import { BPF_ATTACH_TYPE, BPF_MAP_TYPE, BPF_PROG_TYPE } from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

test.each([
  ['devmap', BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP],
  ['devmap_hash', BPF_MAP_TYPE.BPF_MAP_TYPE_DEVMAP_HASH],
])('an entry of a %s keeps its program until it goes', (_name, type) => {
  const kernel = createKernel({ port: new TinyPort() })
  const client = kernel.openClient()
  const caller = new Caller(client)
  const map = caller.createMap({ map_type: type, key_size: 4, value_size: 8, max_entries: 4 })
  const attach = {
    prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_XDP,
    expected_attach_type: BPF_ATTACH_TYPE.BPF_XDP_DEVMAP,
  }
  const value = (fd: number) => new Uint8Array(Int32Array.of(1, fd).buffer)
  const programs = [1, 2].map(() => caller.load('r0 = 2\nexit', attach))
  for (const key of [0, 1]) expect(caller.update(map, u32(key), value(programs[0] as number))).toBe(0)
  for (const fd of programs) client.close(fd)
  expect(kernel.stats().programs).toBe(1)
  expect(caller.update(map, u32(0), value(0))).toBe(0)
  expect(kernel.stats().programs).toBe(1)
  client.close(map)
  expect(kernel.stats()).toMatchObject({ programs: 0, maps: 0 })
})
