/**
 * The assembly text of a row, as a sequence of literal tokens and placeholders, from which both directions are
 * derived: the disassembler fills the placeholders in, the assembler (`grammar.ts`) recognises them.
 *
 * | placeholder | field | kernel | clang |
 * | --- | --- | --- | --- |
 * | `{d}` `{s}` | dst, src | `1` (after `r` or `w`) | `1` |
 * | `{i}` | imm | `-5` | `-0x5` |
 * | `{x}` | imm, compared with | `0xfffffffb` | `-0x5` |
 * | `{o}` | displacement | `+4` | `+ 0x4` |
 * | `{p}` | imm, added to a register | ` + 4` | (not printed) |
 * | `{j}` | jump distance | `pc+3` (in `subprog[+3]` without pc) | `+0x3` |
 * | `{I}` | 64-bit immediate | `0x1` | `0x1` |
 * | `{h}` | its high half, left out if 0 | `+8` | (not printed) |
 * | `{a}` `{b}` | upper and lower half of imm | `0`, `1` | `0x0`, `0x1` |
 * | `{n}` | helper | `bpf_map_lookup_elem#1` | `0x1` |
 * | `{k}` | kernel function | `kernel-function#1` | `0x1` |
 */
export type Placeholder = 'd' | 's' | 'i' | 'x' | 'o' | 'p' | 'j' | 'I' | 'h' | 'a' | 'b' | 'n' | 'k'

export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'field'; readonly field: Placeholder }

/** Splits a template at its placeholders. */
export function parseTemplate(template: string): TemplatePart[] {
  return template
    .split(/(\{\w\})/)
    .filter((part) => part !== '')
    .map((part) =>
      /^\{\w\}$/.test(part) ? { kind: 'field', field: part[1] as Placeholder } : { kind: 'text', text: part },
    )
}
