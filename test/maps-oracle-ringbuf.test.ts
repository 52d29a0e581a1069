/** Ring buffers beside the running kernel's: the same records lie at the same places. */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import * as abi from '../src/abi/index.ts'
import { createMap, RingBuffer } from '../src/maps/index.ts'
import { hex, openLinux, programBytes } from './oracle/linux.ts'
import { ScriptedMaps } from './oracle/map-scripts.ts'

const T = abi.BPF_MAP_TYPE
const SYSCALL = abi.BPF_PROG_TYPE.BPF_PROG_TYPE_SYSCALL
const linux = openLinux()
const why = typeof linux === 'string' ? ` (skipped: ${linux})` : ''
afterAll(() => {
  if (typeof linux !== 'string') linux[Symbol.dispose]()
})
const oracle = () => {
  if (typeof linux === 'string') throw new Error(linux)
  return linux
}

describe.skipIf(why !== '')(`ring buffers of the running kernel${why}`, () => {
  test('a ring buffer holds the same bytes', () => {
    const size = 4096
    const output = `
      r6 = r1
      r3 = *(u64 *)(r6 +0)
      r4 = *(u64 *)(r6 +8)
      if r3 > 2000 goto large
      r2 = VALUE 1
      r1 = MAP 0
      call bpf_ringbuf_output
      exit
    large:
      r0 = 1
      exit`
    const pair = `
      r6 = r1
      r1 = MAP 0
      r2 = 24
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto none
      r7 = r0
      r1 = MAP 0
      r2 = 37
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto only
      r1 = 0x1122334455667788 ll
      *(u64 *)(r0 +0) = r1
      *(u64 *)(r0 +8) = r1
      *(u64 *)(r0 +16) = r1
      *(u64 *)(r0 +24) = r1
      *(u32 *)(r0 +32) = r1
      *(u8 *)(r0 +36) = r1
      r1 = r0
      r2 = 0
      call bpf_ringbuf_submit
    only:
      r1 = 7
      *(u64 *)(r7 +0) = r1
      *(u64 *)(r7 +8) = r1
      *(u64 *)(r7 +16) = r1
      r1 = r7
      r2 = 0
      call bpf_ringbuf_discard
      r1 = MAP 0
      r2 = *(u64 *)(r6 +8)
      call bpf_ringbuf_query
      exit
    none:
      r0 = 99
      exit`
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('output' as const),
        size: fc.nat(700),
        flags: fc.constantFrom(0, 1, 2, 4),
        fill: fc.nat(255),
      }),
      fc.record({ kind: fc.constant('pair' as const), query: fc.nat(5) }),
      fc.record({ kind: fc.constant('consume' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ kind: fc.constant('set' as const), position: fc.constantFrom(0, 8, 4096, 100_000) }),
    )
    const runScript = (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
      const ours = new ScriptedMaps(oracle().cpuCount)
      const ring = createMap(ours.host, {
        name: 'ring',
        type: T.BPF_MAP_TYPE_RINGBUF,
        keySize: 0,
        valueSize: 0,
        maxEntries: size,
        flags: 0,
      })
      if (!(ring instanceof RingBuffer)) throw new Error(`ring buffer: ${ring}`)
      const { consumer, producerAndData } = ring.regions
      const { arena } = ours
      const data = arena.allocate(4096) as number
      const script = [
        `create 0 ${T.BPF_MAP_TYPE_RINGBUF} 0 0 ${size} 0 0 0`,
        `create 1 ${T.BPF_MAP_TYPE_ARRAY} 4 2000 1 0 0 0`,
        `load 0 ${SYSCALL} 1 ${hex(programBytes(output))}`,
        `load 1 ${SYSCALL} 1 ${hex(programBytes(pair))}`,
      ]
      const expected: string[] = []
      const show = () => {
        script.push(`ring 0 ${size} -1`)
        const position = (at: number) => arena.view.getBigUint64(at, true)
        const start = producerAndData.offset + 4096
        const bytes = arena.bytes.slice(start, start + size)
        expected.push(`${position(consumer.offset)} ${position(producerAndData.offset)} ${hex(bytes)}`)
      }
      for (const each of steps) {
        const ctx = new Uint8Array(16)
        const view = new DataView(ctx.buffer)
        if (each.kind === 'output') {
          view.setBigUint64(0, BigInt(each.size), true)
          view.setBigUint64(8, BigInt(each.flags), true)
          script.push(`update 1 00000000 ${hex(new Uint8Array(2000).fill(each.fill))} 0`)
          expected.push('0')
          script.push(`run 0 ${hex(ctx)}`)
          arena.bytes.fill(each.fill, data, data + each.size)
          expected.push(`${ring.output(data, each.size, BigInt(each.flags)) >>> 0} ${hex(ctx)}`)
        } else if (each.kind === 'pair') {
          view.setBigUint64(8, BigInt(each.query), true)
          script.push(`run 1 ${hex(ctx)}`)
          const first = ring.reserve(24, 0n)
          let answer = 99
          if (first !== 0) {
            const second = ring.reserve(37, 0n)
            if (second !== 0) {
              for (let at = 0; at < 32; at += 8)
                arena.view.setBigUint64(second + at, 0x1122334455667788n, true)
              arena.view.setUint32(second + 32, 0x55667788, true)
              arena.view.setUint8(second + 36, 0x88)
              ring.submit(second, 0n)
            }
            for (let at = 0; at < 24; at += 8) arena.view.setBigUint64(first + at, 7n, true)
            ring.discard(first, 0n)
            answer = ring.query(BigInt(each.query))
          }
          expected.push(`${answer >>> 0} ${hex(ctx)}`)
        } else {
          const [from, to] = [ring.query(abi.BPF_RB_CONS_POS), ring.query(abi.BPF_RB_PROD_POS)]
          const target =
            each.kind === 'set'
              ? each.position
              : from + Math.floor((Math.max(0, to - from) * each.share) / 8) * 8
          arena.view.setBigUint64(consumer.offset, BigInt(target), true)
          script.push(`ring 0 ${size} ${target}`)
          expected.push('')
        }
        show()
      }
      const theirs = oracle().run(script)
      expect(theirs.slice(0, 4)).toEqual(['0', '0', '0', '0'])
      const answers = theirs.slice(4).map((answer, index) => (expected[index] === '' ? '' : answer))
      for (const [index, answer] of answers.entries()) {
        expect(`${script[index + 4]?.slice(0, 60)}: ${expected[index]}`).toBe(
          `${script[index + 4]?.slice(0, 60)}: ${answer}`,
        )
      }
    }
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), runScript), {
      numRuns: 20,
    })
  })
})
