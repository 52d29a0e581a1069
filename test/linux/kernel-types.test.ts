import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  EACCES,
  EINVAL,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  type Syscalls,
} from '../../src/abi/index.ts'
import { mapTypes } from '../../src/client/kernel-types.ts'
import { BtfBuilder } from '../../src/client/testing/btf-builder.ts'
import { createKernel } from '../../src/kernel/index.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { LinuxUnavailable, openLinux } from '../../src/ports/linux/index.ts'

const VMLINUX = '/sys/kernel/btf/vmlinux'
const PAGE = 4096

const linux = openLinux()
const noLinux = linux instanceof LinuxUnavailable ? linux.message : existsSync(VMLINUX) ? '' : 'no types'

/** What mapping the types of a kernel answers, by what is asked for. */
function answers(syscalls: Syscalls, size: number): Record<string, bigint> {
  const fd = syscalls.open(VMLINUX, 0)
  const whole = Math.ceil(size / PAGE) * PAGE
  const ask = (length: number, prot: number, flags: number, offset: number): bigint => {
    const address = syscalls.mmap(0n, length, prot, flags, fd, offset)
    if (address > 0n) syscalls.munmap(address, length)
    return address > 0n ? 0n : address
  }
  const found = {
    private: ask(size, PROT_READ, MAP_PRIVATE, 0),
    shared: ask(size, PROT_READ, MAP_SHARED, 0),
    writable: ask(size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0),
    'one page further': ask(PAGE, PROT_READ, MAP_PRIVATE, PAGE),
    'one page more': ask(whole + PAGE, PROT_READ, MAP_PRIVATE, 0),
  }
  syscalls.close(fd)
  return found
}

describe('mapping the types of a kernel', () => {
  const builder = new BtfBuilder()
  builder.int('int', 4)
  const port = new TinyPort()
  port.types = builder.build()
  const client = createKernel({ port }).openClient()
  const expected = {
    private: 0n,
    shared: BigInt(-EACCES),
    writable: BigInt(-EACCES),
    'one page further': BigInt(-EINVAL),
    'one page more': BigInt(-EINVAL),
  }

  test('gives what reading gives', () => {
    const mapped = mapTypes(client, VMLINUX)
    const fd = client.open(VMLINUX, 0)
    const buffer = client.memory.allocate(1 << 16)
    const count = client.read(fd, buffer, 1 << 16)
    expect(mapped).toEqual(client.memory.view(buffer, count).slice())
  })

  test('is refused where it would be shared or written', () => {
    expect(answers(client, mapTypes(client, VMLINUX)?.length ?? 0)).toEqual(expected)
  })

  test.skipIf(noLinux !== '')(`is the same on the running Linux${noLinux && ` (${noLinux})`}`, () => {
    if (linux instanceof LinuxUnavailable) return
    const bytes = new Uint8Array(readFileSync(VMLINUX))
    const mapped = mapTypes(linux, VMLINUX)
    // Before Linux 6.16 it can only be read.
    if (mapped !== undefined) {
      expect(Buffer.compare(mapped, bytes)).toBe(0)
      expect(answers(linux, bytes.length)).toEqual(expected)
    }
    linux[Symbol.dispose]()
  })
})
