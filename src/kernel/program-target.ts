/** A program as those see it that attach to it, and as it attaches itself. */
import { BPF_F_SLEEPABLE, BPF_PROG_TYPE } from '../abi/index.ts'
import { type Attacher, attachmentError, type TargetProgram } from '../verifier/index.ts'
import type { LoadedProgram } from './program-object.ts'

const { BPF_PROG_TYPE_TRACING } = BPF_PROG_TYPE

/** What the program is for those that want to attach to one of its functions. */
export function targetOf({ type, expectedAttachType, attach, functions }: LoadedProgram): TargetProgram {
  return {
    programType: type.type,
    expectedAttachType,
    contextType: runsAs(type.type, attach?.program),
    functions,
    // Both engines let functions be replaced.
    isJited: true,
    tracesTracing:
      type.type === BPF_PROG_TYPE_TRACING && attach?.program?.programType === BPF_PROG_TYPE_TRACING,
  }
}

/** The type whose context, helpers and callees the program has: an extension's are those of what it extends. */
export function runsAs(type: number, target: TargetProgram | undefined): number {
  return type === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT ? (target?.programType ?? type) : type
}

/** May an extension that was proved for one program go to a function of another one? 0, or -errno. */
export function checkOtherTarget(loaded: LoadedProgram, target: LoadedProgram, btfId: number): number {
  const { type, expectedAttachType, flags, btf, functions, functionInfo, attach } = loaded
  const [first] = functions
  const attacher: Attacher = {
    programType: type.type,
    expectedAttachType,
    isSleepable: (flags & BPF_F_SLEEPABLE) !== 0,
    btf: btf?.types,
    functions: functionInfo,
    changesPacket: first?.changesPacket === true,
    mightSleep: first?.mightSleep === true,
    ...(attach?.program === undefined ? {} : { provedFor: attach.program }),
  }
  return -attachmentError(attacher, targetOf(target), target.btf?.types, btfId) + 0
}
