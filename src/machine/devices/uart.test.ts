import { describe, expect, test } from 'vitest'
import { Uart } from './uart.ts'

const DATA = 0
const IER = 1
const IIR = 2
const FCR = 2
const LCR = 3
const LSR = 5

function uart() {
  const sent: number[] = []
  const line = { raised: false }
  const device = new Uart(
    (byte) => sent.push(byte),
    (raised) => {
      line.raised = raised
    },
  )
  return { device, sent, line, write: (offset: number, value: number) => device.write(offset, 1, value) }
}

describe('the UART', () => {
  test('sends what is written, at once, and is always ready', () => {
    const { device, sent, write } = uart()
    write(DATA, 0x168)
    write(DATA, 0x69)
    expect(sent).toEqual([0x68, 0x69])
    expect(device.read(LSR)).toBe(0x60)
  })

  test('keeps input in order, and raises its line while there is some', () => {
    const { device, line, write } = uart()
    device.receive(Uint8Array.of(1, 2))
    expect(line.raised).toBe(false)
    write(IER, 1)
    expect([line.raised, device.read(IIR), device.read(LSR) & 1]).toEqual([true, 4, 1])
    expect([device.read(DATA), line.raised, device.read(DATA), line.raised]).toEqual([1, true, 2, false])
    expect([device.read(IIR), device.read(DATA), device.take()]).toEqual([1, 0, -1])
  })

  test('reports an empty transmitter once, until the next byte', () => {
    const { device, line, write } = uart()
    write(IER, 2)
    expect([line.raised, device.read(IIR), line.raised, device.read(IIR)]).toEqual([true, 2, false, 1])
    write(DATA, 0)
    expect([line.raised, device.read(IIR), line.raised]).toEqual([true, 2, false])
    write(IER, 0)
    write(DATA, 0)
    expect(line.raised).toBe(false)
  })

  test('input goes before the transmitter, and shows the FIFO', () => {
    const { device, write } = uart()
    write(FCR, 1)
    write(IER, 3)
    device.receive(Uint8Array.of(7))
    expect([device.read(IIR), device.read(DATA), device.read(IIR), device.read(IIR)]).toEqual([
      0xc4, 7, 0xc2, 0xc1,
    ])
    device.receive(Uint8Array.of(8))
    write(FCR, 3)
    expect(device.read(LSR) & 1).toBe(0)
  })

  test('the divisor hides behind its bit', () => {
    const { device, sent, write } = uart()
    write(LCR, 0x83)
    write(DATA, 0x34)
    write(IER, 0x12)
    expect([device.read(DATA), device.read(IER), device.read(LCR)]).toEqual([0x34, 0x12, 0x83])
    write(LCR, 3)
    expect([device.read(IER), sent]).toEqual([0, []])
    write(7, 0x5a)
    write(4, 0x0b)
    expect([device.read(7), device.read(4), device.read(6)]).toEqual([0x5a, 0x0b, 0xb0])
  })
})
