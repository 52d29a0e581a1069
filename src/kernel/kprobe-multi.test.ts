/** One program at many functions: BPF_LINK_CREATE with BPF_TRACE_KPROBE_MULTI. */
import { describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_LINK_INFO_SIZE,
  BPF_LINK_TYPE,
  bpfLinkInfoKprobeMulti,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOSPC,
  ESRCH,
  linkCreateKprobeMultiAttr,
  objGetInfoAttr,
  type StructValue,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

const attach_type = BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_MULTI
const RETURN = 1

function setUp() {
  const port = new TinyPort()
  const kernel = createKernel({ port })
  const client = kernel.openClient()
  const caller = new Caller(client)
  const map = caller.createArray(8 * 3)
  // Counts, adds up the cookies, and keeps the address.
  const program = caller.load(
    `r6 = r1
     r7 = map[fd:${map}][0]
     r1 = 1
     lock *(u64 *)(r7 +0) += r1
     r1 = r6
     call bpf_get_attach_cookie
     lock *(u64 *)(r7 +8) += r0
     r1 = r6
     call bpf_get_func_ip
     *(u64 *)(r7 +16) = r0
     r0 = 0
     exit`,
    { expected_attach_type: attach_type },
  )
  const words = (...values: bigint[]) => caller.put(new Uint8Array(BigUint64Array.from(values).buffer))
  const names = (...given: string[]) => words(...given.map((name) => caller.put(name)))
  const attach = (attr: Partial<StructValue<typeof linkCreateKprobeMultiAttr>>) =>
    caller.bpf(
      'BPF_LINK_CREATE',
      linkCreateKprobeMultiAttr.encode({ prog_fd: program, attach_type, ...attr }),
    )
  const seen = () => [...new BigUint64Array((caller.lookup(map, u32(0), 24) as Uint8Array).slice().buffer)]
  const address = (name: string) => port.symbolByName(name)?.address as bigint
  return { port, kernel, client, caller, words, names, attach, seen, address, program }
}

describe('a program at many functions', () => {
  test('by name, with a cookie for each', () => {
    const { port, client, names, words, attach, seen, address } = setUp()
    const link = attach({ cnt: 2, syms: names('add_one', 'wide_first'), cookies: words(10n, 200n) })
    expect(link).toBeGreaterThan(0)
    port.call('add_one', 1n)
    expect(seen()).toEqual([1n, 10n, address('add_one')])
    port.call('wide_first', 1n)
    expect(seen()).toEqual([2n, 210n, address('wide_first')])
    client.close(link)
    port.call('add_one', 1n)
    expect(seen()[0]).toBe(2n)
  })

  test('by address, at the return', () => {
    const { port, words, attach, seen, address } = setUp()
    const flags = RETURN
    expect(attach({ cnt: 2, addrs: words(address('add_one'), address('add_two')), flags })).toBeGreaterThan(0)
    expect(port.call('add_two', 1n)).toBe(3n)
    expect(seen()[0]).toBe(3n)
  })

  test('is refused where a part of it is wrong, and nothing stays attached', () => {
    const { kernel, caller, names, words, attach, address } = setUp()
    const syms = names('add_one')
    expect(attach({ cnt: 0, syms })).toBe(-EINVAL)
    expect(attach({ cnt: 1 })).toBe(-EINVAL)
    expect(attach({ cnt: 1, syms, addrs: syms })).toBe(-EINVAL)
    expect(attach({ cnt: 1, syms, flags: 2 })).toBe(-EINVAL)
    expect(attach({ cnt: 1, syms, link_flags: 1 })).toBe(-EINVAL)
    expect(attach({ cnt: (1 << 20) + 1, syms })).toBe(-E2BIG)
    expect(attach({ cnt: 1, syms: 1n })).toBe(-EFAULT)
    expect(attach({ cnt: 1, syms, cookies: 1n })).toBe(-EFAULT)
    expect(attach({ cnt: 2, syms: names('add_one', 'nothing') })).toBe(-ESRCH)
    expect(attach({ cnt: 2, syms: names('add_one', 'dup') })).toBe(-ESRCH)
    expect(attach({ cnt: 2, addrs: words(address('add_one'), address('add_one') + 2n) })).toBe(-EINVAL)
    expect(kernel.stats()).toMatchObject({ probes: 0, links: 0 })
    const plain = caller.load('r0 = 0\nexit')
    expect(attach({ prog_fd: plain, cnt: 1, syms })).toBe(-EINVAL)
  })

  test('the kernel says where it is', () => {
    const { client, caller, names, words, attach, address } = setUp()
    const bpf_fd = attach({ cnt: 2, syms: names('add_one', 'wide_first'), cookies: words(3n, 4n) })
    const ask = (count: number) => {
      const info = client.memory.allocate(BPF_LINK_INFO_SIZE)
      const addrs = client.memory.allocate(16)
      const cookies = client.memory.allocate(16)
      const given = bpfLinkInfoKprobeMulti.encode({
        addrs: count > 0 ? addrs : 0n,
        cookies: count > 0 ? cookies : 0n,
        count,
      })
      client.memory.view(info, given.length).set(given)
      const attr = objGetInfoAttr.encode({ bpf_fd, info, info_len: BPF_LINK_INFO_SIZE })
      const result = caller.bpf('BPF_OBJ_GET_INFO_BY_FD', attr)
      const list = (place: bigint) => [...new BigUint64Array(client.memory.view(place, 16).slice().buffer)]
      const about = bpfLinkInfoKprobeMulti.read(client.memory.view(info, BPF_LINK_INFO_SIZE))
      return { result, about, addrs: list(addrs), cookies: list(cookies) }
    }
    expect(ask(0)).toMatchObject({
      result: 0,
      about: { count: 2, type: BPF_LINK_TYPE.BPF_LINK_TYPE_KPROBE_MULTI },
    })
    expect(ask(2)).toMatchObject({
      result: 0,
      addrs: [address('add_one'), address('wide_first')],
      cookies: [3n, 4n],
    })
    expect(ask(1).result).toBe(-ENOSPC)
  })
})
