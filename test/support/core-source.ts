/**
 * Makes pairs of C sources for tests of CO-RE: a BPF program that asks everything about the members of some structs,
 * and a "kernel" in which the same structs look different: members moved, dropped, retyped, wrapped into anonymous
 * structs and unions.
 */

/** A small generator of numbers (xorshift32): the same seed gives the same sources. */
class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = (seed * 2654435761) >>> 0 || 1
  }

  /** A whole number under `limit`. */
  under(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state % limit
  }

  oneOf<T>(choices: readonly T[]): T {
    return choices[this.under(choices.length)] as T
  }

  chance(percent: number): boolean {
    return this.under(100) < percent
  }

  shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items]
    const result: T[] = []
    while (rest.length > 0) result.push(...rest.splice(this.under(rest.length), 1))
    return result
  }
}

interface Member {
  readonly name: string
  readonly type: string
  /** What follows the name: `[3]`, ` : 5`. */
  readonly suffix: string
}

const scalars = ['char', 'signed char', 'unsigned char', 'short', 'unsigned short', 'int', 'unsigned', 'long']
const wholeTypes = [...scalars, 'unsigned long', '_Bool', 'void *', 'struct other *', 'enum colour', 'word_t']

function randomMember(dice: Dice, name: string): Member {
  const suffix = dice.oneOf(['', '', `[${1 + dice.under(5)}]`, 'bits'] as const)
  if (suffix !== 'bits') return { name, type: dice.oneOf(wholeTypes), suffix }
  const type = dice.oneOf(['int', 'unsigned', 'unsigned char', 'unsigned short', 'unsigned long'])
  return { name, type, suffix: ` : ${1 + dice.under(type.endsWith('char') ? 8 : 14)}` }
}

/** The member as another kernel might have it. */
function changed(dice: Dice, member: Member): Member {
  if (!dice.chance(35)) return member
  if (!member.suffix.startsWith(' :')) {
    const suffix = member.suffix === '' ? '' : `[${1 + dice.under(6)}]`
    return { ...member, type: dice.oneOf(wholeTypes), suffix }
  }
  return dice.chance(50) ? { ...member, suffix: ` : ${1 + dice.under(7)}` } : { ...member, suffix: '' }
}

const declare = ({ type, name, suffix }: Member): string => `  ${type} ${name}${suffix};`

/** Clang 19 fails on bit fields that follow narrower members, so in the program they begin a word. */
const declareAligned = (member: Member): string =>
  member.suffix.startsWith(' :') ? `  long : 0;\n${declare(member)}` : declare(member)

function wrapped(dice: Dice, lines: readonly string[], fresh: () => string): string[] {
  const result: string[] = []
  for (let at = 0; at < lines.length; ) {
    const count = 1 + dice.under(4)
    const group = lines.slice(at, at + count)
    at += count
    if (dice.chance(25)) result.push('  struct {', `  long ${fresh()};`, ...group, '  };')
    else if (dice.chance(15))
      result.push('  union {', `  long ${fresh()}[${1 + dice.under(3)}];`, ...group, '  };')
    else result.push(...group)
    if (dice.chance(30)) result.push(declare(randomMember(dice, fresh())))
  }
  return result
}

const preamble = `
enum colour { RED, GREEN = 1000, BLUE = -7 };
typedef unsigned word_t;
struct other { int a; };
`

/** The sources of the program and of the kernel. */
export function coreSources(seed: number, structs: number): { program: string; kernel: string } {
  const dice = new Dice(seed)
  let extras = 0
  const fresh = () => `extra${extras++}`
  const kernel = [preamble]
  const declarations: string[] = []
  const functions: string[] = []
  for (let n = 0; n < structs; n++) {
    const members = Array.from({ length: 3 + dice.under(8) }, (_, i) => randomMember(dice, `m${i}`))
    const theirs = dice.shuffled(members.filter(() => !dice.chance(12)).map((one) => changed(dice, one)))
    const attribute = dice.chance(15) ? ' __attribute__((packed))' : ''
    const isMissing = dice.chance(5)
    const body = wrapped(dice, theirs.map(declare), fresh).join('\n')
    kernel.push(`struct ${isMissing ? 'absent' : 's'}${n} {\n${body}\n  long last;\n}${attribute};`)
    kernel.push(`struct ${isMissing ? 'absent' : 's'}${n} *use${n}(void) { return 0; }`)
    declarations.push(
      `struct s${n} {\n${wrapped(dice, members.map(declareAligned), fresh).join('\n')}\n  long last;\n} PORTABLE;`,
    )
    const questions = members.flatMap((member) => questionsAbout(dice, member))
    functions.push(`SEC("raw_tp/f${n}") int f${n}(void **context) {
  struct s${n} *p = context[0];
${questions.map((question) => `  sink += ${question};`).join('\n')}
  sink += bpf_core_type_size(struct s${n}) + bpf_core_type_exists(struct s${n}) + bpf_core_type_matches(struct s${n});
  sink += bpf_core_type_id_kernel(struct s${n}) + bpf_core_type_id_local(struct s${n});
  return 0;
}`)
  }
  const program = `
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#define PORTABLE __attribute__((preserve_access_index))
#define INFO(field, kind) __builtin_preserve_field_info(field, BPF_FIELD_##kind)
char LICENSE[] SEC("license") = "GPL";
unsigned long sink;
${preamble}
${declarations.join('\n')}
${functions.join('\n')}
`
  return { program, kernel: kernel.join('\n') }
}

function questionsAbout(dice: Dice, { name, type, suffix }: Member): string[] {
  const field = `p->${name}`
  const isArray = suffix.startsWith('[')
  const always = [`INFO(${field}, BYTE_OFFSET)`, `INFO(${field}, BYTE_SIZE)`, `INFO(${field}, EXISTS)`]
  if (isArray) {
    const element = `${field}[${dice.under(Number(suffix.slice(1, -1)))}]`
    return [
      ...always,
      `INFO(${element}, BYTE_OFFSET)`,
      `INFO(${element}, BYTE_SIZE)`,
      `(unsigned long)${element}`,
    ]
  }
  const bits = [`INFO(${field}, SIGNED)`, `INFO(${field}, LSHIFT_U64)`, `INFO(${field}, RSHIFT_U64)`]
  const isPointer = type.endsWith('*')
  return [...always, ...(isPointer ? bits.slice(1) : bits), `(unsigned long)${field}`]
}
