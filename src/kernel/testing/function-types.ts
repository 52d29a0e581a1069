/** Types of the tiny port's functions, as a kernel's BTF has them. */
import { BTF_KIND, BTF_LINKAGE, BtfError, type BtfId, BtfWriter } from '../../btf/index.ts'

/** `long NAME(long a, ...)` for each name and number of parameters. */
export function functionTypes(functions: Readonly<Record<string, number>>): Uint8Array {
  const writer = new BtfWriter()
  const long = writer.add({
    kind: BTF_KIND.INT,
    name: 'long',
    size: 8,
    isSigned: true,
    isChar: false,
    isBool: false,
    bits: 64,
    bitOffset: 0,
  })
  for (const [name, count] of Object.entries(functions)) {
    const parameters = Array.from({ length: count }, (_, n) => ({ name: `p${n}`, type: long }))
    const type = writer.add({
      kind: BTF_KIND.FUNC_PROTO,
      name: '',
      returns: long,
      parameters,
      isVariadic: false,
    })
    writer.add({ kind: BTF_KIND.FUNC, name, type: type as BtfId, linkage: BTF_LINKAGE.GLOBAL })
  }
  const bytes = writer.finish()
  if (bytes instanceof BtfError) throw new Error(bytes.message)
  return bytes
}
