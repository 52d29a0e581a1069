/** The struct_ops variables of an object: their maps, and which programs they need. */
import type { Syscalls } from '../abi/index.ts'
import { LoadError } from './errors.ts'
import type { KernelFacts } from './kernel-facts.ts'
import type { LoadOptions } from './load-options.ts'
import type { Implementation } from './load-programs.ts'
import type { Owner } from './owner.ts'
import type { CollectionSpec } from './spec/index.ts'
import { StructOps } from './struct-ops.ts'
import { planStructOps } from './struct-ops-plan.ts'

export interface StructOpsContext {
  readonly spec: CollectionSpec
  readonly syscalls: Syscalls
  readonly options: LoadOptions
  readonly facts: KernelFacts
  /** Of the object's types. */
  readonly btfFd: number | undefined
  /** Of what is created. */
  readonly owner: Owner
}

export function createStructOps(context: StructOpsContext): ReadonlyMap<string, StructOps> | LoadError {
  const { spec, syscalls, options, facts, btfFd, owner } = context
  const changes = options.structOps ?? {}
  const unknown = Object.keys(changes).find((name) => !spec.structOps.some((one) => one.name === name))
  if (unknown !== undefined) {
    const message = `the object has no struct_ops variable '${unknown}'`
    return new LoadError('unknown-name', unknown, message)
  }
  const created = new Map<string, StructOps>()
  for (const variable of spec.structOps) {
    if (!variable.autocreate && changes[variable.name] === undefined) continue
    if (spec.btf === undefined) continue
    const plan = planStructOps(spec.btf, facts, variable, changes[variable.name])
    if (plan instanceof LoadError) return plan
    const made = StructOps.create(syscalls, plan, btfFd)
    if (made instanceof LoadError) return made
    created.set(variable.name, owner.own(made))
  }
  return created
}

/** What each program is for: in one load, a program implements one function of one kind of struct. */
export function implementationsOf(
  structOps: ReadonlyMap<string, StructOps>,
): ReadonlyMap<string, Implementation> | LoadError {
  const found = new Map<string, Implementation>()
  for (const { plan } of structOps.values()) {
    const { typeId, btfFd, functions } = plan
    for (const { program, member } of functions) {
      const other = found.get(program)
      if (other !== undefined && (other.typeId !== typeId || other.member !== member)) {
        const message = `program '${program}' is for two functions of the kernel, one of them in '${plan.name}'`
        return new LoadError('unsupported', program, message)
      }
      found.set(program, { typeId, btfFd, member })
    }
  }
  return found
}
