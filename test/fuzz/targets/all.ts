/** The targets by name. */
import { existsSync, readFileSync } from 'node:fs'
import { kernelTypes, objectsAt, ownObjects, typesIn } from '../corpus.ts'
import { judgedPrograms } from '../judged.ts'
import { Random } from '../random.ts'
import type { Seed, Target } from '../target.ts'
import { AttrTarget } from './attr.ts'
import { BtfTarget } from './btf.ts'
import { ElfTarget, ExtTarget } from './elf.ts'
import { LinkTarget } from './link.ts'
import { LoadTarget } from './load.ts'
import { VerifierTarget } from './verifier.ts'

const VMLINUX = '/sys/kernel/btf/vmlinux'
const PARTS_OF_KERNEL = 40
const TYPES_OF_PART = 120
/** Objects in the kernel whose calls are recorded: as many as have something of their own. */
const LOADED = new Set([
  'hello.bpf.o',
  'syscount.bpf.o',
  'hash-lookup.bpf.o',
  'ring-buffer.bpf.o',
  'headers.bpf.o',
])

/** Changed, their loops are endless, and the verifier walks all of the million instructions that it may. */
const LOOPING = new Set(
  [
    'array-counters',
    'checksum',
    'hash-lookup',
    'hash-update',
    'lcg64',
    'lru-lookup',
    'murmur3',
    'percpu-counters',
  ]
    .concat(['fib-calls', 'ring-buffer', 'siphash', 'stack-copies'])
    .map((name) => `${name}.bpf.o`),
)

export interface CorpusOptions {
  /** Files and folders with more objects. */
  readonly paths: readonly string[]
  /** Whether the running kernel's types are input as well: then what a seed gives depends on the machine. */
  readonly useKernelTypes: boolean
  /** Folder of recorded verdicts. */
  readonly verdicts: string
}

export const targetNames = ['elf', 'link', 'btf', 'ext', 'attr', 'load', 'verifier'] as const

export type TargetName = (typeof targetNames)[number]

/** Has no seeds where what it needs is not there. */
export function makeTarget(name: TargetName, { paths, useKernelTypes, verdicts }: CorpusOptions): Target {
  const objects = (): Seed[] => [...ownObjects(), ...objectsAt(paths)]
  switch (name) {
    case 'elf':
      return new ElfTarget(objects())
    case 'link':
      return new LinkTarget(objects())
    case 'ext':
      return new ExtTarget(objects())
    case 'btf': {
      const parts = useKernelTypes ? kernelTypes(new Random(1), PARTS_OF_KERNEL, TYPES_OF_PART) : []
      return new BtfTarget([...typesIn(objects()), ...parts])
    }
    case 'attr':
      return new AttrTarget(ownObjects().filter((object) => LOADED.has(object.name)))
    case 'load': {
      const types = useKernelTypes && existsSync(VMLINUX) ? new Uint8Array(readFileSync(VMLINUX)) : undefined
      return new LoadTarget(
        objects().filter(({ name }) => !LOOPING.has(name)),
        types,
      )
    }
    case 'verifier':
      return new VerifierTarget(judgedPrograms(verdicts))
  }
}
