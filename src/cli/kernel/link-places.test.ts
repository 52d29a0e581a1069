import { expect, test } from 'vitest'
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE, linkCreateKprobeMultiAttr } from '../../abi/index.ts'
import { createKernel } from '../../kernel/kernel.ts'
import { Caller } from '../../kernel/testing/caller.ts'
import { TinyPort } from '../../kernel/testing/tiny-port.ts'
import { linkInfo } from './link-info.ts'

const words = (...values: readonly bigint[]) => new Uint8Array(new BigUint64Array(values).buffer)

test('many functions are listed by address, with their cookies', () => {
  const port = new TinyPort()
  using kernel = createKernel({ port })
  using client = kernel.openClient()
  const caller = new Caller(client)
  const attachType = BPF_ATTACH_TYPE.BPF_TRACE_KPROBE_MULTI
  const program = caller.load('r0 = 0\nexit', {
    prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_KPROBE,
    expected_attach_type: attachType,
  })
  const addresses = ['add_two', 'add_one'].map((name) => port.symbolByName(name)?.address ?? 0n)
  const attr = linkCreateKprobeMultiAttr.encode({
    prog_fd: program,
    attach_type: attachType,
    cnt: 2,
    addrs: caller.put(words(...addresses)),
    cookies: caller.put(words(6n, 0x5an)),
  })
  const link = caller.bpf('BPF_LINK_CREATE', attr)
  expect(linkInfo(client, link)).toMatchObject({
    type: 8,
    programId: 1,
    details: {
      kind: 'place',
      text: [
        '\n\tkprobe.multi  func_cnt 2  ',
        '\n\taddr             cookie           func [module]',
        `\n\t${addresses[1]?.toString(16)} 5a               add_one  `,
        `\n\t${addresses[0]?.toString(16)} 6                add_two  `,
      ].join(''),
      members: { retprobe: false, func_cnt: 2, missed: 0n },
    },
  })
})
