/** Programs of the network at places that the caller names: on this project's kernel, which has one network namespace. */
import { describe, expect, test } from 'vitest'
import { EBADF, EINVAL, ENODEV, type Syscalls } from '../../src/abi/index.ts'
import {
  AttachError,
  type Collection,
  LoadError,
  load,
  ObjectError,
  openObject,
} from '../../src/client/index.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import { TinyPort } from '../../src/kernel/testing/tiny-port.ts'
import { compileObject } from './compile.ts'

const object = compileObject('places')
const why = typeof object === 'string' ? object : ''

function loaded(syscalls: Syscalls, program: string): Collection {
  const spec = openObject(object as Uint8Array, { name: 'places' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  const collection = load(spec, syscalls, { programs: [program] })
  if (collection instanceof LoadError) throw new Error(collection.message)
  return collection
}

describe.skipIf(why !== '')(`places that the caller names${why && ` (skipped: ${why})`}`, () => {
  test('the network namespace takes a program, until its link is closed', () => {
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    using collection = loaded(client, 'at_lookup')
    const program = collection.program('at_lookup')
    expect(program.hasTarget).toBe(false)
    expect(program.attach()).toMatchObject({ code: 'no-target' })
    const target = { kind: 'netns' } as const
    const link = program.attach(target)
    if (link instanceof AttachError) throw new Error(link.message)
    expect(link.target).toBe(target)
    expect(kernel.stats().links).toBe(1)
    link[Symbol.dispose]()
    expect(kernel.stats().links).toBe(0)
  })

  test.each([
    [
      'at_driver',
      { kind: 'xdp', ifindex: 1 },
      EINVAL,
      /interface 1 \(xdp\): EINVAL: the kernel has no such place/,
    ],
    [
      'at_ingress',
      { kind: 'tcx', ifindex: 1 },
      ENODEV,
      /interface 1 \(tcx\): ENODEV: the kernel has no such interface/,
    ],
    ['at_group', { kind: 'cgroup', path: '/proc/self/ns/net' }, EBADF, /EBADF: that is no control group/],
  ] as const)('%s is refused where this kernel has no such place', (name, target, errno, message) => {
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    using collection = loaded(client, name)
    const error = collection.program(name).attach(target)
    expect(error).toMatchObject({ code: 'refused', errno })
    expect((error as AttachError).message).toMatch(message)
  })

  test('a program of another kind is refused before the kernel is asked', () => {
    using kernel = createKernel({ port: new TinyPort() })
    using client = kernel.openClient()
    using collection = loaded(client, 'at_driver')
    const program = collection.program('at_driver')
    expect(program.attach({ kind: 'tcx', ifindex: 1 })).toMatchObject({
      code: 'bad-target',
      message: expect.stringContaining('its section must be tc/ingress'),
    })
    expect(program.attach({ kind: 'cgroup', path: '/sys/fs/cgroup/none' })).toMatchObject({
      code: 'bad-file',
    })
  })
})
