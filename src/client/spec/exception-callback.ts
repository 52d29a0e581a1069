/** `__attribute__((btf_decl_tag("exception_callback:NAME")))`: what a program's exceptions go to. */
import { BTF_KIND } from '../../btf/index.ts'
import type { CollectionSpec, FunctionSpec } from './types.ts'

const PREFIX = 'exception_callback:'

/** The function that the program's tag names; undefined where there is no tag, or no such global function. */
export function exceptionCallback(
  { btf, functions }: CollectionSpec,
  { btfFunction }: FunctionSpec,
): FunctionSpec | undefined {
  if (btf === undefined || btfFunction === undefined) return undefined
  for (const id of btf.declTags) {
    if (!btf.nameOf(id).startsWith(PREFIX)) continue
    const tag = btf.typeById(id)
    if (tag.kind !== BTF_KIND.DECL_TAG || tag.type !== btfFunction || tag.component !== -1) continue
    const name = tag.name.slice(PREFIX.length)
    return functions.find((one) => one.name === name && one.isGlobal)
  }
  return undefined
}
