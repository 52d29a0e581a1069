/**
 * The board: QEMU's `virt` machine, as far as it is here. The whole address map, and its device tree.
 *
 * Source: QEMU 7.2, hw/riscv/virt.c (memory map, interrupt numbers, node names), and the device tree bindings
 * of Linux for riscv,cpus, sifive,clint0, sifive,plic-1.0.0, ns16550a and virtio,mmio.
 */
import { RAM_BASE } from './cpu/layout.ts'
import { PLIC_SOURCES } from './devices/plic.ts'
import type { TreeNode } from './firmware/device-tree.ts'

export const board = {
  test: { base: 0x10_0000, size: 0x1000 },
  clint: { base: 0x200_0000, size: 0x1_0000 },
  plic: { base: 0xc00_0000, size: 0x60_0000 },
  uart: { base: 0x1000_0000, size: 0x100, interrupt: 10 },
  /** Eight slots. */
  virtio: { base: 0x1000_1000, size: 0x1000, count: 8, firstInterrupt: 1 },
  ram: { base: RAM_BASE },
  /** Where the firmware lies on the real board; nothing is there here, and the kernel comes behind it. */
  kernel: 0x8020_0000,
} as const

/** The frequency of `time` and `mtime`. */
export const TIMEBASE_HZ = 10_000_000

export interface BoardOptions {
  readonly harts: number
  readonly ramBytes: number
  readonly bootargs: string
  readonly rngSeed: Uint8Array
  /** Physical addresses; `end` is behind the last byte. */
  readonly initrd: { readonly start: number; readonly end: number } | undefined
}

const hex = (value: number) => value.toString(16)
const cells64 = (value: number) => [Math.floor(value / 2 ** 32), value % 2 ** 32]
const region = (base: number, size: number) => [...cells64(base), ...cells64(size)]

export function boardTree({ harts, ramBytes, bootargs, rngSeed, initrd }: BoardOptions): TreeNode {
  const plicHandle = harts + 1
  const testHandle = harts + 2
  const cpuInterrupts = (...numbers: number[]) =>
    Array.from({ length: harts }, (_, i) => numbers.flatMap((number) => [i + 1, number])).flat()
  const cpu = (i: number): TreeNode => ({
    name: `cpu@${hex(i)}`,
    properties: {
      device_type: 'cpu',
      reg: [i],
      status: 'okay',
      compatible: 'riscv',
      'riscv,isa': 'rv64imac_zicsr_zifencei_zicntr',
      'riscv,isa-base': 'rv64i',
      'riscv,isa-extensions': ['i', 'm', 'a', 'c', 'zicntr', 'zicsr', 'zifencei'],
      'mmu-type': 'riscv,sv39',
    },
    children: [
      {
        name: 'interrupt-controller',
        properties: {
          '#address-cells': [0],
          '#interrupt-cells': [1],
          'interrupt-controller': true,
          compatible: 'riscv,cpu-intc',
          phandle: [i + 1],
        },
      },
    ],
  })
  const power = (name: string, compatible: string, value: number): TreeNode => ({
    name,
    properties: { compatible, regmap: [testHandle], offset: [0], value: [value] },
  })
  const { test, clint, plic, uart, virtio } = board
  return {
    name: '',
    properties: {
      '#address-cells': [2],
      '#size-cells': [2],
      compatible: 'riscv-virtio',
      model: 'riscv-virtio,anybpf',
    },
    children: [
      {
        name: 'chosen',
        properties: {
          bootargs,
          'stdout-path': `/soc/serial@${hex(uart.base)}`,
          'rng-seed': rngSeed,
          ...(initrd === undefined
            ? {}
            : { 'linux,initrd-start': cells64(initrd.start), 'linux,initrd-end': cells64(initrd.end) }),
        },
      },
      {
        name: `memory@${hex(RAM_BASE)}`,
        properties: { device_type: 'memory', reg: region(RAM_BASE, ramBytes) },
      },
      {
        name: 'cpus',
        properties: { '#address-cells': [1], '#size-cells': [0], 'timebase-frequency': [TIMEBASE_HZ] },
        children: Array.from({ length: harts }, (_, i) => cpu(i)),
      },
      {
        name: 'soc',
        properties: { '#address-cells': [2], '#size-cells': [2], compatible: 'simple-bus', ranges: true },
        children: [
          {
            name: `test@${hex(test.base)}`,
            properties: {
              compatible: ['sifive,test1', 'sifive,test0', 'syscon'],
              reg: region(test.base, test.size),
              phandle: [testHandle],
            },
          },
          {
            name: `clint@${hex(clint.base)}`,
            properties: {
              compatible: ['sifive,clint0', 'riscv,clint0'],
              reg: region(clint.base, clint.size),
              'interrupts-extended': cpuInterrupts(3, 7),
            },
          },
          {
            name: `plic@${hex(plic.base)}`,
            properties: {
              compatible: ['sifive,plic-1.0.0', 'riscv,plic0'],
              reg: region(plic.base, plic.size),
              '#address-cells': [0],
              '#interrupt-cells': [1],
              'interrupt-controller': true,
              'interrupts-extended': cpuInterrupts(11, 9),
              'riscv,ndev': [PLIC_SOURCES],
              phandle: [plicHandle],
            },
          },
          {
            name: `serial@${hex(uart.base)}`,
            properties: {
              compatible: 'ns16550a',
              reg: region(uart.base, uart.size),
              'clock-frequency': [3_686_400],
              interrupts: [uart.interrupt],
              'interrupt-parent': [plicHandle],
            },
          },
          ...Array.from({ length: virtio.count }, (_, i) => ({
            name: `virtio_mmio@${hex(virtio.base + i * virtio.size)}`,
            properties: {
              compatible: 'virtio,mmio',
              reg: region(virtio.base + i * virtio.size, virtio.size),
              interrupts: [virtio.firstInterrupt + i],
              'interrupt-parent': [plicHandle],
            },
          })),
        ],
      },
      power('poweroff', 'syscon-poweroff', 0x5555),
      power('reboot', 'syscon-reboot', 0x7777),
    ],
  }
}
