/** What is symbolic in a linked program becomes descriptors, addresses and ids of the running kernel. */
import {
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
} from '../abi/index.ts'
import { LoadError } from './errors.ts'
import { viewOf } from './globals.ts'
import { kernelSymbol, type SymbolFacts } from './kernel-symbols.ts'
import type { CollectionSpec, LinkReference } from './spec/index.ts'

export interface ReferenceContext {
  readonly spec: CollectionSpec
  /** The descriptor of a map of the Spec's; undefined where it has no such map. */
  fdOf(map: string): number | undefined
  readonly facts: SymbolFacts
}

/**
 * Writes what a reference stands for into its instruction. Descriptors that instructions name by index are added to
 * `fdArray`.
 */
export function patchReference(
  context: ReferenceContext,
  instructions: Uint8Array,
  reference: LinkReference,
  fdArray: number[],
): LoadError | undefined {
  switch (reference.kind) {
    case 'map':
      patchWide(instructions, reference.instruction, BPF_PSEUDO_MAP_FD, fdOf(context, reference.map), 0)
      return undefined
    case 'mapValue':
      patchWide(
        instructions,
        reference.instruction,
        BPF_PSEUDO_MAP_VALUE,
        fdOf(context, reference.map),
        reference.offset,
      )
      return undefined
    case 'extern': {
      const extern = context.spec.externs.find(({ name }) => name === reference.name)
      if (extern?.kind === 'kconfig') {
        const map = context.spec.maps.find(({ origin }) => origin === 'kconfig')
        if (map === undefined) throw new Error('a __kconfig extern without a .kconfig map')
        const fd = fdOf(context, map.name)
        patchWide(instructions, reference.instruction, BPF_PSEUDO_MAP_VALUE, fd, extern.offset)
        return undefined
      }
      return patchSymbol(context, instructions, reference, fdArray)
    }
    case 'externCall':
      return patchSymbol(context, instructions, reference, fdArray)
    default: {
      const unreachable: never = reference
      throw new Error(`no such reference: ${JSON.stringify(unreachable)}`)
    }
  }
}

/** An address or a variable goes into `ldimm64`, a function's id into a call. */
function patchSymbol(
  context: ReferenceContext,
  instructions: Uint8Array,
  { instruction, name, kind }: LinkReference & { readonly kind: 'extern' | 'externCall' },
  fdArray: number[],
): LoadError | undefined {
  const extern = context.spec.externs.find((one) => one.name === name)
  if (extern?.kind !== 'ksym')
    throw new Error(`a reference to extern '${name}', which the Spec does not have`)
  const value = kernelSymbol(extern, context.spec.btf, context.facts)
  if (value instanceof LoadError) return value
  switch (value.kind) {
    case 'address': {
      const { address } = value
      const [low, high] = [BigInt.asIntN(32, address), BigInt.asIntN(32, address >> 32n)]
      patchWide(instructions, instruction, 0, Number(low), Number(high))
      return undefined
    }
    case 'variable':
      patchWide(instructions, instruction, BPF_PSEUDO_BTF_ID, value.id, value.btfFd)
      return undefined
    case 'function':
    case 'no-function': {
      const isThere = value.kind === 'function'
      // The address of a function is asked for to see whether it is there (`bpf_ksym_exists`).
      if (kind === 'extern') {
        if (isThere) patchWide(instructions, instruction, BPF_PSEUDO_BTF_ID, value.id, value.btfFd)
        else patchWide(instructions, instruction, 0, 0, 0)
        return undefined
      }
      const index = isThere ? indexOfDescriptor(fdArray, value.btfFd) : 0
      patchCall(instructions, instruction, isThere ? value.id : 0, index)
      return undefined
    }
    default: {
      const unreachable: never = value
      throw new Error(`no such value: ${JSON.stringify(unreachable)}`)
    }
  }
}

/** Where the descriptor of a module's types stands in the array; 0 means the kernel and stays unused. */
function indexOfDescriptor(fdArray: number[], btfFd: number): number {
  if (btfFd === 0) return 0
  if (fdArray.length === 0) fdArray.push(0)
  const known = fdArray.indexOf(btfFd)
  return known > 0 ? known : fdArray.push(btfFd) - 1
}

function patchCall(instructions: Uint8Array, slot: number, id: number, index: number): void {
  const view = viewOf(instructions)
  const at = slot * 8
  view.setUint8(at + 1, (view.getUint8(at + 1) & 0x0f) | (BPF_PSEUDO_KFUNC_CALL << 4))
  view.setInt16(at + 2, index, true)
  view.setInt32(at + 4, id, true)
}

/**
 * The two slots of a 64-bit immediate load: `source` in the high nibble of byte 1, `low` and `high` where the
 * halves of the number were.
 */
function patchWide(instructions: Uint8Array, slot: number, source: number, low: number, high: number): void {
  const view = viewOf(instructions)
  const at = slot * 8
  view.setUint8(at + 1, (view.getUint8(at + 1) & 0x0f) | (source << 4))
  view.setInt32(at + 4, low, true)
  view.setInt32(at + 12, high, true)
}

function fdOf(context: ReferenceContext, map: string): number {
  const fd = context.fdOf(map)
  if (fd === undefined) throw new Error(`a reference to map '${map}', which the Spec does not have`)
  return fd
}
