/** Calls of programs that implement a function of the kernel: their context is the arguments, each a 64-bit word. */
import type { KernelCore } from '../core.ts'
import type { ProgramObject } from '../program-object.ts'

const WORD_BYTES = 8

/**
 * r0, or undefined where the program could not run. Memory is passed as a pointer to a copy, which is copied back.
 */
export function callProgram(
  core: KernelCore,
  program: ProgramObject,
  args: readonly (bigint | Uint8Array)[],
  cpu: number,
): bigint | undefined {
  const { arena } = core
  const copies: { readonly offset: number; readonly bytes: Uint8Array }[] = []
  const place = (sizeBytes: number) => arena.allocate(sizeBytes, { access: 'write' })
  const context = place(args.length * WORD_BYTES)
  try {
    if (context === undefined) return undefined
    for (const [index, argument] of args.entries()) {
      let value = argument
      if (typeof value !== 'bigint') {
        const offset = place(value.length)
        if (offset === undefined) return undefined
        copies.push({ offset, bytes: value })
        arena.bytes.set(value, offset)
        value = arena.address(offset)
      }
      arena.view.setBigUint64(context + index * WORD_BYTES, BigInt.asUintN(64, value), true)
    }
    const result = core.runner.run(program, { cpu, context: arena.address(context) })
    for (const { offset, bytes } of copies) bytes.set(arena.bytes.subarray(offset, offset + bytes.length))
    return result
  } finally {
    if (context !== undefined) arena.free(context)
    for (const { offset } of copies) arena.free(offset)
  }
}
