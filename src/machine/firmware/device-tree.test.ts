import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { boardTree } from '../board.ts'
import { flattenDeviceTree } from './device-tree.ts'

const hasDtc = spawnSync('dtc', ['--version']).status === 0

const options = {
  harts: 2,
  ramBytes: 64 << 20,
  bootargs: 'console=ttyS0 "quoted"',
  rngSeed: Uint8Array.of(1, 2, 3, 4),
  initrd: { start: 0x8100_0000, end: 0x8100_1000 },
}

const decompile = (blob: Uint8Array) => {
  const { stdout, stderr, status } = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts'], {
    input: blob,
    encoding: 'utf8',
  })
  return { source: stdout, warnings: stderr, status }
}

describe('the device tree', () => {
  test.skipIf(!hasDtc)('is what dtc reads and writes, without a warning (skipped without dtc)', () => {
    const blob = flattenDeviceTree(boardTree(options))
    const { source, warnings, status } = decompile(blob)
    expect([status, warnings]).toEqual([0, ''])
    expect(source).toMatchSnapshot()
    // And back: dtc's own blob says the same.
    const back = spawnSync('dtc', ['-I', 'dts', '-O', 'dtb'], { input: source })
    expect(decompile(back.stdout).source).toBe(source)
  })

  test.skipIf(!hasDtc)('without a RAM disk, on one hart (skipped without dtc)', () => {
    const { source } = decompile(flattenDeviceTree(boardTree({ ...options, harts: 1, initrd: undefined })))
    expect(source).not.toMatch(/initrd/)
    expect(source.match(/cpu@/g)).toHaveLength(1)
  })

  test('has the header of version 17', () => {
    const blob = flattenDeviceTree({ name: '', properties: { a: true, b: [1], c: ['x', 'y'], d: 'z' } }, 3)
    const view = new DataView(blob.buffer)
    const word = (i: number) => view.getUint32(4 * i)
    expect([word(0), word(1), word(5), word(6), word(7)]).toEqual([0xd00dfeed, blob.length, 17, 16, 3])
    expect(word(2) + word(9)).toBe(word(3))
    expect(new TextDecoder().decode(blob.subarray(word(3)))).toBe('a\0b\0c\0d\0')
  })
})
