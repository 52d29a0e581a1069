import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import type { DmaMemory } from './virtio-block.ts'
import { VirtioBlock } from './virtio-block.ts'

const RAM = 0x8000_0000
const DESCRIPTORS = RAM
const AVAILABLE = RAM + 0x1000
const USED = RAM + 0x2000
const HEADER = RAM + 0x3000
const STATUS = RAM + 0x3100
const BUFFER = RAM + 0x4000
const INDIRECT = RAM + 0x8000

class Memory implements DmaMemory {
  readonly bytes = new Uint8Array(0x10000)
  readonly all = new DataView(this.bytes.buffer)
  view(physical: number, size: number) {
    const at = physical - RAM
    return at >= 0 && at + size <= this.bytes.length ? new DataView(this.bytes.buffer, at, size) : undefined
  }
  read(physical: number, into: Uint8Array) {
    const view = this.view(physical, into.length)
    if (view) into.set(this.bytes.subarray(physical - RAM, physical - RAM + into.length))
    return view !== undefined
  }
  write(physical: number, bytes: Uint8Array) {
    const view = this.view(physical, bytes.length)
    if (view) this.bytes.set(bytes, physical - RAM)
    return view !== undefined
  }
}

/** A driver as the standard describes it (3.1.1), with a queue of eight. */
function driver(disk: Uint8Array | undefined = new Uint8Array(4096).map((_, i) => i >> 4)) {
  const memory = new Memory()
  const line = { raised: false }
  const device = new VirtioBlock('disk', disk, memory, (raised) => {
    line.raised = raised
  })
  const write = (offset: number, value: number) => device.write(offset, 4, value >>> 0)
  const read = (offset: number) => device.read(offset, 4)
  let available = 0
  const initialise = () => {
    write(0x70, 0)
    write(0x70, 1 | 2)
    write(0x24, 1)
    write(0x20, 1) // VERSION_1
    write(0x70, 1 | 2 | 8)
    write(0x30, 0)
    write(0x38, 8)
    write(0x80, DESCRIPTORS)
    write(0x90, AVAILABLE)
    write(0xa0, USED)
    write(0x44, 1)
    write(0x70, 1 | 2 | 8 | 4)
    available = 0
  }
  const describe_ = (table: number, i: number, address: number, size: number, flags: number, next = 0) => {
    const at = table - RAM + 16 * i
    memory.all.setBigUint64(at, BigInt(address), true)
    memory.all.setUint32(at + 8, size, true)
    memory.all.setUint16(at + 12, flags, true)
    memory.all.setUint16(at + 14, next, true)
  }
  const header = (type: number, sector: number) => {
    memory.all.setUint32(HEADER - RAM, type, true)
    memory.all.setBigUint64(HEADER - RAM + 8, BigInt(sector), true)
    memory.all.setUint8(STATUS - RAM, 0xff)
  }
  const notify = (head = 0) => {
    memory.all.setUint16(AVAILABLE - RAM + 4 + 2 * (available % 8), head, true)
    available = (available + 1) & 0xffff
    memory.all.setUint16(AVAILABLE - RAM + 2, available, true)
    write(0x50, 0)
  }
  /** One request with one buffer; its status, or undefined when none came. */
  const request = (type: number, sector: number, size: number, address = BUFFER) => {
    header(type, sector)
    describe_(DESCRIPTORS, 0, HEADER, 16, 1, 1)
    describe_(DESCRIPTORS, 1, address, size, type === 1 ? 1 : 3, 2)
    describe_(DESCRIPTORS, 2, STATUS, 1, 2)
    notify()
    const status = memory.all.getUint8(STATUS - RAM)
    return status === 0xff ? undefined : status
  }
  const used = () => ({
    index: memory.all.getUint16(USED - RAM + 2, true),
    last: memory.all.getUint32(
      USED - RAM + 8 + 8 * ((memory.all.getUint16(USED - RAM + 2, true) + 7) % 8),
      true,
    ),
  })
  const buffer = (size: number) => memory.bytes.subarray(BUFFER - RAM, BUFFER - RAM + size)
  initialise()
  return {
    memory,
    device,
    line,
    write,
    read,
    initialise,
    describe: describe_,
    header,
    notify,
    request,
    used,
    buffer,
    disk,
  }
}

const NEEDS_RESET = 0x40

describe('the block device', () => {
  let d = driver()
  beforeEach(() => {
    d = driver()
  })

  test('says who it is', () => {
    expect([d.read(0), d.read(4), d.read(8), d.read(0x34)]).toEqual([0x74726976, 2, 2, 256])
    expect([d.read(0x100), d.read(0x114), d.device.read(0x100, 1)]).toEqual([8, 512, 8])
    d.write(0x14, 1)
    expect(d.read(0x10) & 1).toBe(1)
    const empty = new VirtioBlock('none', undefined, d.memory, () => {})
    expect([empty.read(0, 4), empty.read(8, 4)]).toEqual([0x74726976, 0])
  })

  test('takes no features that it does not have, and insists on VERSION_1', () => {
    d.write(0x70, 0)
    d.write(0x70, 3)
    d.write(0x24, 0)
    d.write(0x20, 1)
    d.write(0x24, 1)
    d.write(0x20, 1)
    d.write(0x70, 11)
    expect(d.read(0x70) & 8).toBe(0)
    d.write(0x24, 0)
    d.write(0x20, 0)
    d.write(0x70, 11)
    expect(d.read(0x70) & 8).toBe(8)
  })

  test('reads, writes and flushes; what is written is read', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }),
        fc.uint8Array({ minLength: 1024, maxLength: 1024 }),
        (sector, data) => {
          d.buffer(1024).set(data)
          expect(d.request(1, sector, 1024)).toBe(0)
          expect(d.used().last, 'only the status was written').toBe(1)
          expect(d.disk!.subarray(512 * sector, 512 * sector + 1024)).toEqual(data)
          d.buffer(1024).fill(0)
          expect(d.request(0, sector, 1024)).toBe(0)
          expect(d.used().last).toBe(1025)
          expect(d.buffer(1024)).toEqual(data)
        },
      ),
    )
    expect(d.request(4, 0, 0)).toBe(0)
  })

  test('tells its name, refuses what it does not know and what lies beyond its end', () => {
    expect(d.request(8, 0, 20)).toBe(0)
    expect(new TextDecoder().decode(d.buffer(4))).toBe('disk')
    expect(d.request(99, 0, 512)).toBe(2)
    expect(d.request(0, 8, 512)).toBe(1)
    expect(d.request(1, 7, 1024)).toBe(1)
  })

  test('raises its interrupt until it is acknowledged, unless the driver wants none', () => {
    d.request(0, 0, 512)
    expect([d.line.raised, d.read(0x60)]).toEqual([true, 1])
    d.write(0x64, 1)
    expect([d.line.raised, d.read(0x60)]).toEqual([false, 0])
    d.memory.all.setUint16(AVAILABLE - RAM, 1, true)
    d.request(0, 0, 512)
    expect([d.line.raised, d.used().index]).toEqual([false, 2])
  })

  test('an indirect table is one descriptor', () => {
    d.header(0, 2)
    d.describe(INDIRECT, 0, HEADER, 16, 1, 1)
    d.describe(INDIRECT, 1, BUFFER, 512, 3, 2)
    d.describe(INDIRECT, 2, STATUS, 1, 2)
    d.describe(DESCRIPTORS, 3, INDIRECT, 48, 4)
    d.notify(3)
    expect([d.memory.bytes[STATUS - RAM], d.buffer(1)[0], d.used().last]).toEqual([0, 64, 513])
  })

  test('the ring indexes wrap', () => {
    for (let i = 0; i < 70_000; i++) d.request(0, i % 8, 16)
    expect([d.used().index, d.memory.bytes[STATUS - RAM]]).toEqual([70_000 % 65_536, 0])
  })

  test.each([
    ['a buffer outside RAM', () => d.request(0, 0, 512, 0x1000)],
    [
      'a chain that goes round',
      () => {
        d.describe(DESCRIPTORS, 0, HEADER, 16, 1, 1)
        d.describe(DESCRIPTORS, 1, BUFFER, 16, 3, 1)
        d.notify()
      },
    ],
    [
      'a descriptor beyond the queue',
      () => {
        d.describe(DESCRIPTORS, 0, HEADER, 16, 1, 8)
        d.notify()
      },
    ],
    [
      'a request of one descriptor',
      () => {
        d.describe(DESCRIPTORS, 0, HEADER, 16, 0)
        d.notify()
      },
    ],
    [
      'a status that the device may not write',
      () => {
        d.header(0, 0)
        d.describe(DESCRIPTORS, 0, HEADER, 16, 1, 1)
        d.describe(DESCRIPTORS, 1, STATUS, 1, 0)
        d.notify()
      },
    ],
    [
      'an indirect table in an indirect table',
      () => {
        d.describe(INDIRECT, 0, INDIRECT, 16, 4)
        d.describe(DESCRIPTORS, 0, INDIRECT, 16, 4)
        d.notify()
      },
    ],
    [
      'a queue whose size is no power of two',
      () => {
        d.write(0x38, 7)
        d.notify()
      },
    ],
    [
      'rings outside RAM',
      () => {
        d.write(0x94, 1)
        d.notify()
      },
    ],
  ])('%s stops the queue until a reset', (_, breakIt) => {
    breakIt()
    expect([d.read(0x70) & NEEDS_RESET, d.read(0x60)]).toEqual([NEEDS_RESET, 2])
    expect(d.request(0, 0, 512)).toBeUndefined()
    d.memory.bytes.fill(0)
    d.initialise()
    expect(d.request(0, 1, 512)).toBe(0)
  })
})
