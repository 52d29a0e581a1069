/**
 * Names as the kernel takes them in types: identifiers of C, in which dots may be.
 *
 * Source: btf_name_valid_identifier() of kernel/bpf/btf.c of Linux.
 */

const ANYWHERE = 1
const NOT_FIRST = 2

/** By byte: where it may stand in a name; 0: nowhere. There are many bytes, so it is a table. */
const PLACES = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  if (/[A-Za-z_.]/.test(character)) return ANYWHERE
  return /[0-9]/.test(character) ? NOT_FIRST : 0
})

/** Bytes of the identifier at `offset` of strings that end with NUL; 0 where there is none. */
export function identifierBytes(strings: Uint8Array, offset: number): number {
  let at = offset
  if (PLACES[strings[at] as number] !== ANYWHERE) return 0
  for (let byte = strings[++at] as number; byte !== 0; byte = strings[++at] as number) {
    // Past the end, where there is no NUL, there is no place either.
    if (!PLACES[byte]) return 0
  }
  return at - offset
}
