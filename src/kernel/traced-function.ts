/**
 * The function of the operating system that a tracing program is attached to, and the probe that stands for Linux's
 * trampoline: at the entry for fentry, at the return with the arguments of the entry for fexit.
 */
import { BPF_ATTACH_TYPE, ENOENT, ENOTSUPP } from '../abi/index.ts'
import { BTF_KIND, type Btf } from '../btf/index.ts'
import type { Kprobe, Kretprobe } from '../probes/index.ts'
import { argumentsOf, type CallingConvention, callingConventions } from './calling-convention.ts'
import type { KernelCore } from './core.ts'
import type { ProgramObject } from './program-object.ts'

interface TracedFunction {
  readonly name: string
  readonly address: bigint
  readonly argumentCount: number
}

/** The function with a BTF id; undefined where the id is none, or the function has no address. */
function tracedFunction(core: KernelCore, types: Btf, btfId: number): TracedFunction | undefined {
  const id = types.id(btfId)
  const type = id === undefined ? undefined : types.typeById(id)
  if (type?.kind !== BTF_KIND.FUNC) return undefined
  const prototype = types.typeById(type.type)
  const symbol = core.port.symbolByName(type.name)
  if (symbol === undefined || prototype.kind !== BTF_KIND.FUNC_PROTO) return undefined
  return { name: type.name, address: symbol.address, argumentCount: prototype.parameters.length }
}

/** Runs `program` at each call of its function from now on; or -errno. */
export function traceFunction(
  core: KernelCore,
  program: ProgramObject,
  cookie: bigint,
): Kprobe | Kretprobe | number {
  const { attach, expectedAttachType } = program.loaded
  const types = core.kernelBtf?.types
  const convention = callingConventions[core.port.architecture]
  if (convention === undefined) return -ENOTSUPP
  const traced =
    attach === undefined || types === undefined ? undefined : tracedFunction(core, types, attach.btfId)
  if (traced === undefined) return -ENOENT
  const { address, argumentCount } = traced
  const take = argumentsTaker(core, convention, argumentCount)
  const attached = core.runner.attach(program, address, cookie)
  if (expectedAttachType === BPF_ATTACH_TYPE.BPF_TRACE_FENTRY) {
    return core.probes.registerKprobe({
      address,
      handler: (cpu) => attached.runAtCall(cpu, { values: take(cpu) }),
    })
  }
  return core.probes.registerKretprobe({
    address,
    capture: take,
    handler: (cpu, _probe, captured) => {
      const values = captured as BigUint64Array
      const returned = cpu.get(convention.result)
      attached.runAtCall(cpu, { values, returned })
    },
  })
}

const argumentsTaker =
  ({ port }: KernelCore, convention: CallingConvention, count: number) =>
  (cpu: Parameters<typeof argumentsOf>[1]): BigUint64Array =>
    argumentsOf(convention, cpu, count, (address, into) => port.readKernel(cpu.index, address, into))
