/**
 * `link list`: what is attached, and where. The places are written as bpftool 7.5 has them (7.1 shows none), with the
 * names of functions of programs behind their ids.
 */
import { BPF_LINK_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { Btf } from '../../btf/index.ts'
import { openObjectById, programInfo, SyscallError, typesOfProgram } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import type { JsonWriter } from './json-writer.ts'
import { type LinkDetails, type LinkInfo, linkInfo } from './link-info.ts'
import { forEachObject, must } from './objects.ts'
import { takeLink } from './take-link.ts'
import { attachTypeWord, linkTypeWord, programTypeWord, typeColumn } from './type-words.ts'
import type { Words } from './words.ts'

export function listLinks(context: CommandContext, words: Words): void {
  const { syscalls, json } = context
  const show = (fd: number) => {
    const info = must(linkInfo(syscalls, fd))
    if (json === undefined) context.print(plain(context, info))
    else json.object(() => writeJson(context, json, info))
  }
  if (words.isAtEnd) {
    const all = () => forEachObject(syscalls, 'link', show)
    if (json === undefined) all()
    else json.array(all)
    return
  }
  using link = takeLink(syscalls, words)
  words.end()
  show(link.fd)
}

function plain(context: CommandContext, info: LinkInfo): string {
  const column = typeColumn(linkTypeWord(info.type), info.type)
  // A link of a map has no program.
  const isOfMap = info.type === BPF_LINK_TYPE.BPF_LINK_TYPE_STRUCT_OPS
  const head = `${info.id}: ${column}${isOfMap ? '' : `prog ${info.programId}  `}`
  return `${head}${place(context, info)}\n`
}

function place(context: CommandContext, { details, programId }: LinkInfo): string {
  const hex = (value: number | bigint) => `0x${value.toString(16)}`
  switch (details.kind) {
    case 'none':
      return ''
    case 'place':
      return details.text
    case 'rawTracepoint':
      return `\n\ttp '${details.name}'  ${details.cookie === 0n ? '' : `cookie ${details.cookie}  `}`
    case 'tracepoint':
      return `\n\ttracepoint ${details.name}  ${details.cookie === 0n ? '' : `cookie ${details.cookie}  `}`
    case 'tracing': {
      const found = programTarget(context, programId, details)
      const names = found === undefined ? '' : `target_func ${found.function}  target_prog ${found.program}  `
      const target =
        details.targetObject === 0 && details.targetType === 0
          ? ''
          : `\n\ttarget_obj_id ${details.targetObject}  target_btf_id ${details.targetType}  ${names}`
      const cookie = details.cookie === 0n ? '' : `\n\tcookie ${details.cookie}  `
      const type = attachTypeWord(details.attachType) ?? details.attachType
      return `\n\tprog_type ${typeOfProgram(context, programId)}  attach_type ${type}  ${target}${cookie}`
    }
    case 'kprobe': {
      if (details.name === '' && details.address === 0n) return ''
      const address = details.address === 0n ? '' : `${details.address.toString(16)} `
      const offset = details.offset === 0 ? '' : `+${hex(details.offset)}`
      const missed = details.missed === 0n ? '' : `  missed ${details.missed}`
      const cookie = details.cookie === 0n ? '' : `  cookie ${details.cookie}`
      const what = details.isReturn ? 'kretprobe' : 'kprobe'
      return `\n\t${what} ${address}${details.name}${offset}${missed}${cookie}  `
    }
    case 'uprobe': {
      const cookie = details.cookie === 0n ? '' : `cookie ${details.cookie}  `
      const counter =
        details.referenceCounter === 0n ? '' : `ref_ctr_offset ${hex(details.referenceCounter)}  `
      const what = details.isReturn ? 'uretprobe' : 'uprobe'
      return `\n\t${what} ${details.name}+${hex(details.offset)}  ${cookie}${counter}`
    }
    default: {
      const unreachable: never = details
      throw new Error(`no such link: ${JSON.stringify(unreachable)}`)
    }
  }
}

/** Names of the function, and of the program that has it; undefined where it is one of the kernel's. */
function programTarget(
  { syscalls }: CommandContext,
  programId: number,
  { targetObject, targetType }: Extract<LinkDetails, { kind: 'tracing' }>,
): { readonly function: string; readonly program: string } | undefined {
  const opened = openObjectById(syscalls, 'prog', programId)
  if (opened instanceof SyscallError) return undefined
  using program = opened
  const info = must(programInfo(syscalls, program.fd))
  // Once attached to another program, it keeps that program's types no longer.
  const isOnProgram =
    info.type === BPF_PROG_TYPE.BPF_PROG_TYPE_EXT ||
    (info.type === BPF_PROG_TYPE.BPF_PROG_TYPE_TRACING && info.attach_btf_obj_id === 0)
  if (!isOnProgram) return undefined
  const target = openObjectById(syscalls, 'prog', targetObject)
  if (target instanceof SyscallError) return undefined
  using has = target
  const types = typesOfProgram(syscalls, has.fd)
  const id = types instanceof Btf ? types.id(targetType) : undefined
  if (!(types instanceof Btf) || id === undefined) return undefined
  return { function: types.nameOf(id), program: must(programInfo(syscalls, has.fd)).name }
}

function typeOfProgram({ syscalls }: CommandContext, id: number): string | number {
  const opened = openObjectById(syscalls, 'prog', id)
  if (opened instanceof SyscallError) return id
  using program = opened
  const { type } = must(programInfo(syscalls, program.fd))
  return programTypeWord(type) ?? type
}

function writeJson(context: CommandContext, json: JsonWriter, info: LinkInfo): void {
  const { details } = info
  json.members({ id: info.id, type: linkTypeWord(info.type) ?? info.type, prog_id: info.programId })
  switch (details.kind) {
    case 'none':
      return
    case 'place':
      json.members(details.members)
      return
    case 'rawTracepoint':
      json.members({ tp_name: details.name, cookie: details.cookie })
      return
    case 'tracepoint':
      json.members({ tracepoint: details.name, cookie: details.cookie })
      return
    case 'tracing': {
      const target = programTarget(context, info.programId, details)
      json.members({
        prog_type: typeOfProgram(context, info.programId),
        attach_type: attachTypeWord(details.attachType) ?? details.attachType,
        target_obj_id: details.targetObject,
        target_btf_id: details.targetType,
        cookie: details.cookie,
        ...(target === undefined ? {} : { target_func: target.function, target_prog: target.program }),
      })
      return
    }
    case 'kprobe':
      json.members({
        retprobe: details.isReturn,
        addr: details.address,
        func: details.name,
        offset: details.offset,
        missed: details.missed,
        cookie: details.cookie,
      })
      return
    case 'uprobe':
      json.members({
        retprobe: details.isReturn,
        file: details.name,
        offset: details.offset,
        cookie: details.cookie,
        ref_ctr_offset: details.referenceCounter,
      })
      return
    default: {
      const unreachable: never = details
      throw new Error(`no such link: ${JSON.stringify(unreachable)}`)
    }
  }
}
