/** Loads programs whose functions have types, as compilers leave them. */
import { BPF_PROG_TYPE, btfLoadAttr, type progLoadAttr, type StructValue } from '../../abi/index.ts'
import { BTF_KIND, Btf } from '../../btf/index.ts'
import { functionTypeBytes } from '../../btf/testing/function-types.ts'
import { helperByName } from '../../helpers/index.ts'
import { assemble } from '../../isa/index.ts'
import type { Caller } from './caller.ts'

export interface TypedProgram {
  /** A descriptor, or -errno. */
  readonly fd: number
  readonly log: string
  /** BTF id of a function. */
  id(name: string): number
}

/**
 * `functions`: the C of each, the first that of the program; the others begin at the labels of their names.
 */
export function loadTyped(
  caller: Caller,
  source: string,
  functions: readonly [string, ...string[]],
  attr: Partial<StructValue<typeof progLoadAttr>> = {},
): TypedProgram {
  const assembled = assemble(source, { helperId: (name) => helperByName(name)?.id })
  if (!assembled.ok) throw new Error(assembled.errors[0].message)
  const bytes = functionTypeBytes(...functions)
  const types = Btf.parse(bytes)
  if (!(types instanceof Btf)) throw types
  const btf = caller.bpf(
    'BPF_BTF_LOAD',
    btfLoadAttr.encode({ btf: caller.put(bytes), btf_size: bytes.length }),
  )
  if (btf < 0) throw new Error(`types: ${btf}`)
  const names = functions.map((text) => /(\w+)\(/.exec(text)?.[1] as string)
  const id = (name: string) => types.find(name, BTF_KIND.FUNC) as number
  const records = names
    .map((name, n) => [n === 0 ? 0 : (assembled.labels.get(name) as number), id(name)] as const)
    .sort(([a], [b]) => a - b)
  const log = { text: '' }
  const fd = caller.load(
    assembled.program,
    {
      prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_XDP,
      prog_btf_fd: btf,
      func_info: caller.put(new Uint8Array(Uint32Array.from(records.flat()).buffer)),
      func_info_cnt: records.length,
      func_info_rec_size: 8,
      ...attr,
    },
    log,
  )
  caller.syscalls.close(btf)
  return { fd, log: log.text, id }
}
