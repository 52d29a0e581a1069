/**
 * BPF_PROG_LOAD: copies everything in once, has the program verified, and makes it runnable.
 *
 * Source: bpf_prog_load() of kernel/bpf/syscall.c, bpf_check() of kernel/bpf/verifier.c of Linux.
 */
import { EFAULT, EINVAL, progLoadAttr } from '../../abi/index.ts'
import { type Acceptance, isGplCompatible } from '../../verifier/index.ts'
import { contextLayout } from '../contexts/layout.ts'
import { translateContext } from '../contexts/translate.ts'
import { later } from '../later.ts'
import type { MapObject } from '../map-object.ts'
import { ProgramFile } from '../program-object.ts'
import { programTag } from '../program-tag.ts'
import { runsAs } from '../program-target.ts'
import { writeU32 } from '../user-copy.ts'
import type { BpfCall } from './call.ts'
import { isValidLogRequest, type LogRequest, writeLog } from './log.ts'
import { translateArena } from './program-arena.ts'
import { attachTypeOf, copyProgram } from './program-attr.ts'
import { copyDebugInfo, functionsOf } from './program-debug-info.ts'
import { translateKfuncs } from './program-kfuncs.ts'
import { overridesReturn, type ProgramToLoad, verifyProgram } from './program-proof.ts'
import { ProgramReferences } from './program-references.ts'
import { translateSymbols } from './program-symbols.ts'

const TRUE_SIZE = progLoadAttr.offsets.log_true_size

export function loadProgram(call: BpfCall): number {
  const { process } = call
  const attr = progLoadAttr.view(call.attr)
  const copied = copyProgram(call, attr)
  if (typeof copied === 'number') return copied
  const log: LogRequest = { level: attr.log_level, sizeBytes: attr.log_size, pointer: attr.log_buf }
  if (!isValidLogRequest(log)) return -EINVAL
  const debugInfo = copyDebugInfo(process, attr)
  if (typeof debugInfo === 'number') return debugInfo
  const references = new ProgramReferences(process, attr, copied.program)
  if (references.error !== 0) return references.error

  const load = { attr, copied, references, debugInfo }
  const verdict = verifyProgram(call.core, load)
  const written = writeLog(process.memory, log, verdict.log)
  if (call.sizeBytes >= TRUE_SIZE + 4) {
    if (!writeU32(process.memory, call.pointer + BigInt(TRUE_SIZE), written.trueSize)) return -EFAULT
  }
  if (written.errno !== 0) return written.errno
  if (!verdict.accepted) return -verdict.errno
  return finish(call, load, verdict)
}

function finish({ core, process }: BpfCall, load: ProgramToLoad, verdict: Acceptance): number {
  const { attr, copied, references, debugInfo } = load
  const { type, name, license, program } = copied
  const maps: MapObject[] = references.maps.map((map) => map.get())
  const runsAsType = runsAs(type.type, copied.attach?.program)
  const layout = contextLayout(runsAsType)
  const { proof } = verdict
  const { arena } = references
  const translated = (what: 'ids' | 'addresses') => {
    const resolved = references.instructions(what)
    const inContext =
      layout === undefined ? resolved : translateContext(resolved, layout, proof?.contextAccesses)
    return arena === undefined || proof === undefined ? inContext : translateArena(inContext, arena, proof)
  }
  const calls = translateKfuncs(core, translateSymbols(core, translated('addresses')), proof)
  const object = core.newProgram({
    type,
    expectedAttachType: attachTypeOf(attr),
    attach: copied.attach,
    target: copied.target?.get(),
    flags: attr.prog_flags,
    attachedTo: proof?.attachedTo,
    functions: proof?.functions ?? [],
    functionInfo: functionsOf(debugInfo),
    name,
    tag: later(() => programTag(program)),
    isGplCompatible: isGplCompatible(license),
    instructions: later(() => translated('ids')),
    executable: core.engine.prepare(calls.program, {
      isProved: proof !== undefined,
      name,
      exceptionCallback: proof?.exceptionCallback,
      takesArguments: runsAsType !== type.type,
      ...(proof === undefined ? {} : { foreignLoads: proof.foreignLoads }),
      ...(arena === undefined || proof === undefined
        ? {}
        : { arena: { map: arena, slots: proof.arenaAccesses } }),
    }),
    usesContext: proof?.usesContext ?? true,
    bufferBytes: proof?.bufferBytes ?? { readOnly: 0, writable: 0 },
    overridesReturn: overridesReturn(load, proof?.reached),
    kfuncNumbers: calls.numbers,
    maps,
    btf: debugInfo.btf?.get(),
    funcInfo: debugInfo.funcInfo,
    lineInfo: debugInfo.lineInfo,
    loadTimeNs: core.port.clockNs('boot'),
    uid: process.uid,
    verifiedInstructions: verdict.processed,
  })
  const fd = process.install(new ProgramFile(object), true)
  object.put()
  return fd
}
