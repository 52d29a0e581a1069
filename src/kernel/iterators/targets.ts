/**
 * What iterators walk, one row each: Linux's name for it, what a link may be told, and the walk. To add one is a row
 * here and its parameters in `declarations.ts`.
 *
 * Source: the bpf_iter_reg structs and seq_operations of kernel/bpf/{map,prog,link,task}_iter.c and kernel/kallsyms.c of
 * Linux.
 */
import { EBADF, EINVAL } from '../../abi/index.ts'
import type { IdTable } from '../ids.ts'
import type { LinkObject } from '../link-object.ts'
import type { MapObject } from '../map-object.ts'
import type { KernelSymbol, TaskIdentity } from '../port.ts'
import type { KernelProcess } from '../process.ts'
import type { ProgramObject } from '../program-object.ts'
import type { IteratorName } from './declarations.ts'
import { checkElements, ElementWalk } from './elements.ts'
import { showMap } from './map-view.ts'
import type { StructView } from './struct-view.ts'
import { IdWalk, type IteratorScope, type Walk, type WalkMemory } from './walk.ts'

/** union bpf_iter_link_info, as the numbers that it begins with. */
export interface IteratorRequest {
  readonly words: readonly [number, number, number]
}

export interface IteratorTarget {
  readonly name: IteratorName
  /** Whether programs that may sleep may walk it. */
  readonly maySleep?: true
  /** The scope, or -errno; absent: what a link is told does not matter. */
  scope?(process: KernelProcess, program: ProgramObject, request: IteratorRequest): IteratorScope | number
  /** Undefined: there is no memory for it. */
  open(memory: WalkMemory, scope: IteratorScope): Walk | undefined
}

/** The object whose id is the first that is not below. */
const byId =
  <T>(table: IdTable<T>) =>
  (least: number) => {
    const id = table.next(least - 1)
    const object = id === undefined ? undefined : table.get(id)
    return id === undefined || object === undefined ? undefined : { id, object }
  }

/** A program and what belongs to it. */
class ProgramView {
  readonly #program: StructView
  readonly #aux: StructView

  constructor(program: StructView, aux: StructView) {
    this.#program = program
    this.#aux = aux
  }

  static make(memory: WalkMemory): ProgramView | undefined {
    const [program, aux] = [memory.struct('bpf_prog'), memory.struct('bpf_prog_aux')]
    return program === undefined || aux === undefined ? undefined : new ProgramView(program, aux)
  }

  show({ id, loaded, references, maps, isSleepable }: ProgramObject): bigint {
    this.#aux.set({
      'refcnt.counter': references,
      used_map_cnt: maps.length,
      id,
      attach_btf_id: loaded.attach?.btfId ?? 0,
      verified_insns: loaded.verifiedInstructions,
      load_time: loaded.loadTimeNs,
      name: loaded.name,
      sleepable: isSleepable,
    })
    this.#program.set({
      type: loaded.type.type,
      expected_attach_type: loaded.expectedAttachType,
      len: loaded.instructions().length,
      tag: loaded.tag(),
      aux: this.#aux.address,
    })
    return this.#program.address
  }
}

const symbolType = ({ isFunction }: KernelSymbol): number => (isFunction ? 'T' : 'D').charCodeAt(0)

export const iteratorTargets: readonly IteratorTarget[] = [
  {
    name: 'bpf_map',
    open(memory) {
      const view = memory.struct('bpf_map')
      if (view === undefined) return undefined
      const { core } = memory
      const show = (object: MapObject) => {
        core.showMapAt(view.address, object.map)
        return showMap(view, object)
      }
      return new IdWalk(byId(core.maps), show, () => core.showMapAt(view.address, undefined))
    },
  },
  {
    name: 'bpf_map_elem',
    scope: (process, program, { words: [fd] }) => (fd === 0 ? -EBADF : checkElements(process, program, fd)),
    open: (memory, { map }) => (map === undefined ? undefined : ElementWalk.make(memory, map)),
  },
  {
    name: 'bpf_prog',
    open(memory) {
      const view = ProgramView.make(memory)
      return view && new IdWalk(byId(memory.core.programs), (program) => view.show(program))
    },
  },
  {
    name: 'bpf_link',
    open(memory) {
      const [view, program] = [memory.struct('bpf_link'), ProgramView.make(memory)]
      if (view === undefined || program === undefined) return undefined
      const show = (link: LinkObject) => {
        const prog = link.programId === 0 ? 0n : program.show(link.program)
        const { id, type, references } = link
        return view.set({ id, type, prog, 'refcnt.counter': references }).address
      }
      return new IdWalk(byId(memory.core.links), show)
    },
  },
  {
    name: 'ksym',
    maySleep: true,
    open(memory) {
      const view = memory.struct('kallsym_iter')
      if (view === undefined) return undefined
      const symbols = memory.core.port.symbols()
      const find = (id: number) => {
        const object = symbols[id]
        return object === undefined ? undefined : { id, object }
      }
      const show = (symbol: KernelSymbol) =>
        view.set({ value: symbol.address, type: symbolType(symbol), name: symbol.name, show_value: 1 })
          .address
      return new IdWalk(find, show)
    },
  },
  {
    name: 'task',
    maySleep: true,
    scope: (_process, _program, { words: [tid, pid, pidFd] }) =>
      [tid, pid, pidFd].filter((word) => word !== 0).length > 1 || pidFd !== 0 ? -EINVAL : { tid, pid },
    open({ core }, { tid = 0, pid = 0 }) {
      const find = (least: number) => {
        let first: TaskIdentity | undefined
        for (const task of core.runner.tasks()) {
          const isMeant = (tid === 0 || task.pid === tid) && (pid === 0 || task.tgid === pid)
          if (!isMeant || task.pid < least || (task.address ?? 0n) === 0n) continue
          if (first === undefined || task.pid < first.pid) first = task
        }
        return first === undefined ? undefined : { id: first.pid, object: first }
      }
      return new IdWalk(find, (task: TaskIdentity) => task.address ?? 0n)
    },
  },
]

export const iteratorTarget = (functionName: string): IteratorTarget | undefined =>
  iteratorTargets.find(({ name }) => functionName === `bpf_iter_${name}`)
