/** Which function or tracepoint of the kernel a program is for, where its section gives a name of the kernel's types. */
import { BTF_KIND, type BtfKind } from '../btf/index.ts'
import type { ProgramToLoad } from './calls.ts'
import { LoadError } from './errors.ts'
import type { KernelFacts } from './kernel-facts.ts'
import type { ProgramSpec } from './spec/index.ts'

/** Names of the kernel's types that stand for what programs attach to, by the rows of section names. */
const ATTACH_NAMES: readonly { readonly section: RegExp; readonly prefix: string; readonly kind: BtfKind }[] =
  [
    { section: /^tp_btf/, prefix: 'btf_trace_', kind: BTF_KIND.TYPEDEF },
    { section: /^lsm/, prefix: 'bpf_lsm_', kind: BTF_KIND.FUNC },
    { section: /^iter/, prefix: 'bpf_iter_', kind: BTF_KIND.FUNC },
    { section: /^(fentry|fexit|fmod_ret)/, prefix: '', kind: BTF_KIND.FUNC },
  ]

/** The function or tracepoint of the kernel that the program's section names; `undefined` where it names none. */
export function attachTarget(facts: KernelFacts, spec: ProgramSpec): ProgramToLoad['attachTo'] | LoadError {
  const { definition, name, section } = spec
  const { attach, pattern } = definition
  if (attach.kind !== 'btf') return undefined
  const row = ATTACH_NAMES.find((one) => one.section.test(pattern))
  if (row === undefined) {
    return new LoadError(
      'unsupported',
      name,
      `program '${name}' (${section}) replaces a function of another program`,
    )
  }
  const types = facts.types()
  if (types instanceof LoadError)
    return new LoadError(types.code, name, `program '${name}' (${section}): ${types.message}`, types.errno)
  const wanted = row.prefix + attach.name
  if (attach.module === undefined || attach.module === 'vmlinux') {
    const id = types.find(wanted, row.kind)
    if (id !== undefined) return { id, btfFd: 0 }
  }
  for (const { btf, fd, name: module } of facts.modules()) {
    if (attach.module !== undefined && attach.module !== module) continue
    for (const id of btf.findAll(wanted, row.kind)) if (id >= btf.firstId) return { id, btfFd: fd }
  }
  return new LoadError(
    'unknown-target',
    name,
    `program '${name}' (${section}): the kernel's types have no ${row.prefix === 'btf_trace_' ? 'tracepoint' : 'function'} '${attach.name}'`,
  )
}
