/** What programs that trace programs over packets send of them, read from the ring of a perf event. */
import { describe, expect, test } from 'vitest'
import {
  BPF_ATTACH_TYPE,
  BPF_MAP_TYPE,
  BPF_PROG_TYPE,
  EFAULT,
  EINVAL,
  linkCreateTracingAttr,
  MAP_SHARED,
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_MMAP_DATA_HEAD,
  PERF_RECORD_SAMPLE,
  PERF_SAMPLE_RAW,
  PERF_TYPE,
  PROT_READ,
  PROT_WRITE,
  perfEventAttr,
  progTestRunAttr,
} from '../abi/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import { loadTyped } from './testing/typed-program.ts'

const { BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS } = BPF_PROG_TYPE
const { BPF_TRACE_FENTRY, BPF_TRACE_FEXIT } = BPF_ATTACH_TYPE
const CURRENT_CPU = 0xffff_ffffn
const META = [0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0]
const FRAME = Uint8Array.from({ length: 64 }, (_, n) => (n < 12 ? 0 : (n * 37 + 1) & 0xff))

/** Drops 14 bytes of the frame. */
const XDP = 'r2 = 14\ncall bpf_xdp_adjust_head\nr0 = 2\nexit'
const SKB = 'r2 = 20\nr3 = 0\ncall bpf_skb_change_tail\nr0 = 0\nexit'

describe.each(['interpreter', 'jit'] as const)('by the %s', (engine) => {
  function setUp(prog_type: number, source: string, declaration: string) {
    const kernel = createKernel({ port: new TinyPort(), engine })
    const client = kernel.openClient()
    const caller = new Caller(client)
    const answers = caller.createArray(8)
    const events = caller.createMap({
      map_type: BPF_MAP_TYPE.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
    })
    const attr = perfEventAttr.encode({
      type: PERF_TYPE.PERF_TYPE_SOFTWARE,
      size: perfEventAttr.size,
      config: PERF_COUNT_SW_BPF_OUTPUT,
      sample_type: PERF_SAMPLE_RAW,
    })
    const event = client.perfEventOpen(caller.put(attr), -1, 0, -1, 8n)
    const ring = client.mmap(0n, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0)
    expect(caller.update(events, u32(0), u32(event))).toBe(0)
    const target = loadTyped(caller, source, [declaration], { prog_type })
    expect(target.fd).toBeGreaterThan(0)

    /** A program that finds the target's context in r1, and leaves its answer in r0. */
    const load = (attachType: number, source: string) =>
      loadTyped(
        caller,
        `
        r1 = *(u64 *)(r1 +0)
        ${source}
        r1 = map[fd:${answers}][0]
        *(u64 *)(r1 +0) = r0
        r0 = 0
        exit`,
        ['int tracer(u64 *context)'],
        {
          prog_type: BPF_PROG_TYPE_TRACING,
          expected_attach_type: attachType,
          attach_prog_fd: target.fd,
          attach_btf_id: target.id('main'),
        },
      )
    const output = (helper: string, flags: bigint, size = 5) => `
        r2 = 0x1122334455 ll
        *(u64 *)(r10 -8) = r2
        r2 = map[fd:${events}]
        r3 = ${flags} ll
        r4 = r10
        r4 += -8
        r5 = ${size}
        call ${helper}`
    /** Traces one run: the answer, and the sample, its size and its contents. */
    const trace = (attachType: number, source: string) => {
      const tracer = load(attachType, source)
      expect(tracer.log).toContain('processed')
      const link = caller.bpf(
        'BPF_LINK_CREATE',
        linkCreateTracingAttr.encode({ prog_fd: tracer.fd, attach_type: attachType }),
      )
      expect(link).toBeGreaterThan(0)
      const before = head()
      const run = { prog_fd: target.fd, data_in: caller.put(FRAME), data_size_in: FRAME.length }
      expect(caller.bpf('BPF_PROG_TEST_RUN', progTestRunAttr.encode(run))).toBe(0)
      client.close(link)
      const bytes = client.memory.view(ring + 4096n, 8192).slice(before, head())
      const answer = Number(BigInt.asIntN(64, caller.lookupU64(answers, u32(0))))
      return { answer, sample: bytes.length === 0 ? undefined : sampleOf(bytes) }
    }
    const head = () => {
      const page = client.memory.view(ring, 4096)
      return Number(new DataView(page.buffer, page.byteOffset).getBigUint64(PERF_MMAP_DATA_HEAD, true))
    }
    return { load, output, trace }
  }

  function sampleOf(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    expect([view.getUint32(0, true), view.getUint16(6, true)]).toEqual([PERF_RECORD_SAMPLE, bytes.length])
    return { size: view.getUint32(8, true), bytes: [...bytes.subarray(12)] }
  }

  /** What a sample holds: metadata, packet, and what is left of 8 bytes. */
  const holding = (meta: number, packet: Uint8Array) => {
    const bytes = [...META.slice(0, meta), ...packet]
    const size = Math.ceil((bytes.length + 4) / 8) * 8 - 4
    return { size, bytes: [...bytes, ...new Array<number>(size - bytes.length).fill(0)] }
  }

  const xdp = () => setUp(BPF_PROG_TYPE_XDP, XDP, 'int main(struct xdp_md *context)')
  const skb = () => setUp(BPF_PROG_TYPE_SCHED_CLS, SKB, 'int main(struct __sk_buff *context)')
  const bytes = (count: number) => (BigInt(count) << 32n) | CURRENT_CPU

  test('bpf_xdp_output: the frame before and after the program', () => {
    const { output, trace } = xdp()
    const entry = trace(BPF_TRACE_FENTRY, output('bpf_xdp_output', bytes(33)))
    expect(entry).toEqual({ answer: 0, sample: holding(5, FRAME.subarray(0, 33)) })
    const exit = trace(BPF_TRACE_FEXIT, output('bpf_xdp_output', bytes(50), 8))
    expect(exit).toEqual({ answer: 0, sample: holding(8, FRAME.subarray(14)) })
  })

  test('bpf_skb_output: the packet before and after the program', () => {
    const { output, trace } = skb()
    const entry = trace(BPF_TRACE_FENTRY, output('bpf_skb_output', bytes(64)))
    expect(entry).toEqual({ answer: 0, sample: holding(5, FRAME) })
    const exit = trace(BPF_TRACE_FEXIT, output('bpf_skb_output', bytes(20), 0))
    expect(exit).toEqual({ answer: 0, sample: holding(0, FRAME.subarray(0, 20)) })
    const tooLong = trace(BPF_TRACE_FEXIT, output('bpf_skb_output', bytes(21)))
    expect(tooLong).toEqual({ answer: -EFAULT, sample: undefined })
  })

  test('no packet, more than there is, flags that there are not', () => {
    const { load, output, trace } = xdp()
    const send = (flags: bigint) => trace(BPF_TRACE_FENTRY, output('bpf_xdp_output', flags))
    expect(send(CURRENT_CPU)).toEqual({ answer: 0, sample: holding(5, FRAME.subarray(0, 0)) })
    expect(send(bytes(65))).toEqual({ answer: -EFAULT, sample: undefined })
    expect(send(bytes(64) | (1n << 52n))).toEqual({ answer: -EINVAL, sample: undefined })
    // A frame is no socket buffer.
    expect(load(BPF_TRACE_FENTRY, output('bpf_skb_output', CURRENT_CPU)).log).toContain('expected')
  })

  test('the length of the frame, and where it came in', () => {
    const { trace } = xdp()
    const answer = (attachType: number, source: string) => trace(attachType, source).answer
    expect(answer(BPF_TRACE_FENTRY, 'call bpf_xdp_get_buff_len')).toBe(64)
    expect(answer(BPF_TRACE_FEXIT, 'call bpf_xdp_get_buff_len')).toBe(50)
    // xdp->rxq->dev->ifindex, xdp->rxq->queue_index; skb->dev->ifindex
    const rxq = 'r1 = *(u64 *)(r1 +48)'
    const device = `${rxq}\nr1 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r1 +0)`
    expect(answer(BPF_TRACE_FENTRY, device)).toBe(1)
    expect(answer(BPF_TRACE_FENTRY, `${rxq}\nr0 = *(u32 *)(r1 +8)`)).toBe(0)
    const ofSkb = skb().trace(BPF_TRACE_FENTRY, 'r1 = *(u64 *)(r1 +216)\nr0 = *(u32 *)(r1 +0)')
    expect(ofSkb.answer).toBe(1)
  })
})
