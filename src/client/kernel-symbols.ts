/**
 * What `__ksym` externs are in the running kernel: addresses of symbols, variables and functions by their types.
 *
 * An extern with a type (`extern const struct rq runqueues __ksym`, a function) is looked up in the kernel's BTF,
 * then in that of its modules, and must be of the same shape there. A function may be declared in flavours
 * (`___suffix`), for kernels in which it takes other arguments; weak ones that do not fit are not there. One without a
 * type (`extern const void init_task __ksym`) is an address. A weak one that is not there is 0.
 */
import { areTypesCompatible, BTF_KIND, type Btf, type BtfId, cName, essentialName } from '../btf/index.ts'
import { LoadError } from './errors.ts'
import type { KernelFacts } from './kernel-facts.ts'
import type { KsymExtern } from './spec/index.ts'

/** What an extern stands for. Descriptors are those of a module's types; 0 is the kernel itself. */
export type KernelSymbolValue =
  | { readonly kind: 'address'; readonly address: bigint }
  | { readonly kind: 'variable'; readonly id: BtfId; readonly btfFd: number }
  | { readonly kind: 'function'; readonly id: BtfId; readonly btfFd: number }
  /** A weak function that the kernel has not. */
  | { readonly kind: 'no-function' }

/** What of a kernel is looked at for a symbol. */
export type SymbolFacts = Pick<KernelFacts, 'types' | 'modules' | 'addressesOf'>

/** Looks the extern up. `local` are the types of the object. */
export function kernelSymbol(
  extern: KsymExtern,
  local: Btf | undefined,
  facts: SymbolFacts,
): KernelSymbolValue | LoadError {
  const shape = local === undefined ? undefined : shapeOf(extern, local)
  if (extern.isFunction) {
    if (local === undefined || shape === undefined) {
      return unresolved(extern, `${NOT_DEFINED}; a kernel function needs a type (__ksym and -g)`)
    }
    return lookUp(extern, { local, shape, kind: BTF_KIND.FUNC }, facts)
  }
  if (local === undefined || shape === undefined || shape === 0) return addressOf(extern, facts)
  return lookUp(extern, { local, shape, kind: BTF_KIND.VAR }, facts)
}

const NOT_DEFINED =
  'the object does not define it, and BPF has no library of the compiler (memcpy, __bswapsi2)'

/** The type of a variable or the prototype of a function, modifiers aside. */
function shapeOf(extern: KsymExtern, local: Btf): BtfId | undefined {
  if (extern.type === undefined) return undefined
  const type = local.typeById(extern.type)
  return type.kind === BTF_KIND.VAR || type.kind === BTF_KIND.FUNC ? local.resolve(type.type) : undefined
}

function addressOf(extern: KsymExtern, facts: SymbolFacts): KernelSymbolValue | LoadError {
  const addresses = facts.addressesOf(extern.name)
  const [address, other] = addresses
  if (other !== undefined) {
    const list = addresses.map((one) => `0x${one.toString(16)}`).join(', ')
    return unresolved(extern, `the kernel has several symbols of this name, at ${list}`)
  }
  if (address === undefined) {
    if (extern.isWeak) return { kind: 'address', address: 0n }
    return unresolved(extern, 'the kernel has no such symbol')
  }
  if (address === 0n && !extern.isWeak) {
    return unresolved(extern, 'the kernel hides its addresses (kernel.kptr_restrict)')
  }
  return { kind: 'address', address }
}

interface Wanted {
  readonly local: Btf
  readonly shape: BtfId
  readonly kind: typeof BTF_KIND.VAR | typeof BTF_KIND.FUNC
}

function lookUp(
  extern: KsymExtern,
  { local, shape, kind }: Wanted,
  facts: SymbolFacts,
): KernelSymbolValue | LoadError {
  const types = facts.types()
  if (types instanceof LoadError) {
    return new LoadError(types.code, extern.name, `extern '${extern.name}': ${types.message}`, types.errno)
  }
  const isFunction = kind === BTF_KIND.FUNC
  const found = find(isFunction ? essentialName(extern.name) : extern.name, kind, types, facts)
  const what = isFunction ? 'function' : 'variable'
  if (found === undefined) {
    if (!extern.isWeak) return unresolved(extern, `the kernel's types have no such ${what}`)
    return isFunction ? { kind: 'no-function' } : { kind: 'address', address: 0n }
  }
  const { btf, id, btfFd } = found
  const type = btf.typeById(id)
  if (type.kind !== BTF_KIND.VAR && type.kind !== BTF_KIND.FUNC) throw new Error('found another kind')
  const theirs = btf.resolve(type.type)
  if (areTypesCompatible(local, shape, btf, theirs) !== true) {
    if (isFunction && extern.isWeak) return { kind: 'no-function' }
    const [ours, kernels] = [cName(local, shape), cName(btf, theirs)]
    return unresolved(extern, `expected the type '${ours}', found '${kernels}' in the kernel`)
  }
  return { kind: what, id, btfFd }
}

function find(name: string, kind: Wanted['kind'], types: Btf, facts: SymbolFacts) {
  const id = types.find(name, kind)
  if (id !== undefined) return { btf: types, id, btfFd: 0 }
  for (const { btf, fd } of facts.modules()) {
    for (const own of btf.findAll(name, kind)) if (own >= btf.firstId) return { btf, id: own, btfFd: fd }
  }
  return undefined
}

const unresolved = (extern: KsymExtern, why: string): LoadError =>
  new LoadError('unresolved-extern', extern.name, `extern '${extern.name}': ${why}`)
