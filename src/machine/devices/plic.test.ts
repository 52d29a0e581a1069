import { describe, expect, test } from 'vitest'
import { Plic } from './plic.ts'

const PRIORITY = (source: number) => 4 * source
const ENABLE = (context: number) => 0x2000 + 0x80 * context
const THRESHOLD = (context: number) => 0x20_0000 + 0x1000 * context
const CLAIM = (context: number) => THRESHOLD(context) + 4

function plic(harts = 2) {
  const lines = new Array<boolean>(2 * harts).fill(false)
  const device = new Plic(harts, (context, raised) => {
    lines[context] = raised
  })
  return { device, lines, write: (offset: number, value: number) => device.write(offset, 4, value) }
}

describe('the PLIC', () => {
  test('an interrupt is pending, claimed and completed; the wire raises it again', () => {
    const { device, lines, write } = plic()
    write(PRIORITY(10), 1)
    write(ENABLE(1), 1 << 10)
    device.setSource(10, true)
    expect([lines, device.read(0x1000)]).toEqual([[false, true, false, false], 1 << 10])
    expect([device.read(CLAIM(1)), lines[1], device.read(CLAIM(1))]).toEqual([10, false, 0])
    write(CLAIM(1), 10)
    expect(lines[1], 'the wire is still up').toBe(true)
    expect(device.read(CLAIM(1))).toBe(10)
    device.setSource(10, false)
    write(CLAIM(1), 10)
    expect([lines[1], device.read(CLAIM(1))]).toEqual([false, 0])
  })

  test('the highest priority goes first, among equals the lowest number', () => {
    const { device, write } = plic()
    for (const [source, priority] of [
      [3, 2],
      [5, 7],
      [6, 7],
      [40, 1],
    ] as const) {
      write(PRIORITY(source), priority)
      device.setSource(source, true)
    }
    write(ENABLE(0), (1 << 3) | (1 << 5) | (1 << 6))
    write(ENABLE(0) + 4, 1 << 8)
    expect([1, 2, 3, 4, 5].map(() => device.read(CLAIM(0)))).toEqual([5, 6, 3, 40, 0])
  })

  test('a threshold holds the line down, but not the claim', () => {
    const { device, lines, write } = plic()
    write(PRIORITY(1), 3)
    write(ENABLE(2), 2)
    write(THRESHOLD(2), 3)
    device.setSource(1, true)
    expect(lines[2]).toBe(false)
    write(THRESHOLD(2), 2)
    expect([lines[2], device.read(THRESHOLD(2))]).toEqual([true, 2])
  })

  test('priority 0 is never, and a source that is not enabled cannot be completed', () => {
    const { device, lines, write } = plic()
    write(ENABLE(0), 0xffff_ffff)
    device.setSource(2, true)
    expect([lines[0], device.read(CLAIM(0)), device.read(ENABLE(0)) & 1]).toEqual([false, 0, 0])
    write(PRIORITY(2), 1)
    expect(device.read(CLAIM(0))).toBe(2)
    write(CLAIM(1), 2)
    expect(lines[0]).toBe(false)
    write(CLAIM(0), 2)
    expect(lines[0]).toBe(true)
  })

  test('registers that are not there read as zero', () => {
    const { device, write } = plic(1)
    write(ENABLE(9), 2)
    write(CLAIM(9), 2)
    expect([device.read(ENABLE(9)), device.read(CLAIM(9)), device.read(THRESHOLD(0) + 8)]).toEqual([0, 0, 0])
  })
})
