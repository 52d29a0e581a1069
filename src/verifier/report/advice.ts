/** For each kind of rejection: what was required, and what to do. */
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import { helperByName, helperPrototypes } from '../../helpers/index.ts'
import { calleeOf, type Step } from './path.ts'

/** What is known of a rejection where advice is given. */
export interface Findings {
  readonly message: string
  readonly match: RegExpExecArray
  readonly notes: readonly string[]
  readonly steps: readonly Step[]
  /** The function that gave the register that the message names its value, if one did. */
  readonly givenBy: string | undefined
  /** A helper that moved the packet after the register had pointed into it. */
  readonly packetMovedBy: string | undefined
}

type Words = string | ((findings: Findings) => string)

export interface Advice {
  readonly when: RegExp
  readonly requirement: Words
  readonly suggestion: Words
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(BPF_PROG_TYPE).map(([name, id]) => [id, name.replace('BPF_PROG_TYPE_', '').toLowerCase()]),
)

/** Types of programs that may call the helper. */
function callersOf(name: string): string {
  const types = new Set(
    helperPrototypes.filter((row) => row.name === name).flatMap((row) => row.programTypes),
  )
  const names = [...types].map((type) => TYPE_NAMES.get(type) ?? `${type}`)
  return names.length > 12
    ? `${names.slice(0, 12).join(', ')} and ${names.length - 12} more`
    : names.join(', ')
}

const noted = ({ notes }: Findings, pattern: RegExp): RegExpExecArray | undefined => {
  for (const note of notes) {
    const match = pattern.exec(note)
    if (match !== null) return match
  }
  return undefined
}

function outsideOf(findings: Findings): string | undefined {
  const match = noted(findings, /(?:value_size|key_size|mem_size)=(\d+) off=(-?\d+) size=(\d+)/)
  if (match === undefined) return undefined
  const [, size, offset, access] = match
  return `it reaches byte ${Number(offset) + Number(access) - 1}, and there are bytes 0 to ${Number(size) - 1}`
}

const LOOP_ADVICE =
  'bound the loop by a constant that is small enough to be walked round by round, or use bpf_for(), bpf_loop() or an iterator, whose bodies are verified once'

/** First match counts. */
export const ADVICE: readonly Advice[] = [
  {
    when: /(invalid mem access|pointer arithmetic on) '?\w*_or_null|Possibly NULL pointer|expected to be non-NULL/,
    requirement: 'a pointer that is not NULL',
    suggestion: ({ givenBy }) =>
      `${givenBy === undefined ? 'this' : `${givenBy}()`} may give NULL: test for it before this line, on every path that leads here: if (!p) return 0;`,
  },
  {
    when: /invalid mem access '(scalar|mem_or_null)'/,
    requirement: 'a pointer to memory that the program may use',
    suggestion: ({ givenBy, packetMovedBy }) => {
      if (packetMovedBy !== undefined) {
        return `${packetMovedBy}() may move the packet: after it, read data and data_end from the context again, and compare again`
      }
      if (givenBy === 'bpf_get_current_task') {
        return 'bpf_get_current_task() gives a plain number: read with bpf_probe_read_kernel() or BPF_CORE_READ(), or use bpf_get_current_task_btf()'
      }
      return 'the register holds a plain number: either the pointer was lost in arithmetic, or it points to memory that only bpf_probe_read_kernel(), bpf_probe_read_user() or BPF_CORE_READ() may read'
    },
  },
  {
    when: /outside of the packet|invalid access to packet|pkt pointer .* out/,
    requirement: 'an access that lies before the end of the packet',
    suggestion:
      'compare first: if (data + offset + size > data_end) return ...; and go on with that same pointer afterwards',
  },
  {
    when: /unbounded memory access, use|invalid zero-sized read|R\d+ min value is negative, either use unsigned or 'var/,
    requirement: 'a size that is known to be greater than 0 and not too large',
    suggestion:
      'bound the size right before the call, as unsigned: if (n == 0 || n > sizeof(buffer)) return 0; where the compiler drops the test, put barrier_var(n) in front of it',
  },
  {
    when: /unbounded memory access|min value is negative|unbounded min value|makes .* pointer be out of bounds/,
    requirement: 'an offset with known bounds',
    suggestion:
      'bound the value right before its use, as unsigned: if (i >= MAX) return 0; or i &= MAX - 1; where the compiler lost or moved the test, put barrier_var(i) in front of it',
  },
  {
    when: /outside of the allowed memory range|invalid access to (map value|map_value|map key|memory|ringbuf|alloc_mem)/,
    requirement: (findings) => {
      const outside = outsideOf(findings)
      return `an access inside the memory that the pointer stands for${outside === undefined ? '' : `: ${outside}`}`
    },
    suggestion:
      'check the index against the number of elements (if (i >= N) return 0;, not i > N), or make the memory larger',
  },
  {
    when: /R\d+ !read_ok/,
    requirement: 'a register that was written on this path',
    suggestion: ({ message }) =>
      message.startsWith('R0')
        ? 'a program must return a value on every path, and a function that returns nothing leaves nothing in r0'
        : 'give the variable a value on every path; a call leaves nothing in r1 to r5',
  },
  {
    when: /cannot use helper (\w+)#/,
    requirement: 'a helper that programs of this type may call',
    suggestion: ({ match }) => {
      const name = match[1] as string
      const callers = helperByName(name) === undefined ? '' : callersOf(name)
      return `${name}() is for programs of the types ${callers}: choose another section, or another helper`
    },
  },
  {
    when: /invalid func unknown#|calling kernel function (\w+) is not allowed/,
    requirement: 'a function that programs of this type may call',
    suggestion: 'choose another section (program type) or another function',
  },
  {
    when: /invalid (variable-offset |unbounded variable-offset )?(indirect )?(read from|write to|access to) stack.* size=(\d+)/,
    requirement: 'an access inside the 512 bytes of the stack frame',
    suggestion: ({ steps }) =>
      calleeOf(steps.at(-1)?.text) === undefined
        ? 'check the index against the number of elements: if (i >= sizeof(buffer)) return 0;'
        : 'the size can be larger than the buffer: bound it first: if (n > sizeof(buffer)) return 0;',
  },
  {
    when: /invalid (indirect )?read from stack|invalid size of register (spill|fill)|invalid stack|corrupted spill/,
    requirement: 'bytes of stack that hold data of the program itself',
    suggestion:
      'initialise the whole variable (struct s v = {};), its padding included, and use it as what it is',
  },
  {
    when: /combined stack size|stack size of subprog|call stack|tail_calls are not allowed/,
    requirement: 'at most 512 bytes of stack along every chain of calls',
    suggestion: 'move large variables into a per-CPU array map, or into a ring buffer record',
  },
  {
    when: /reference leak|Unreleased reference/,
    requirement: 'every reference given back before the program ends, on every path',
    suggestion: ({ givenBy }) =>
      givenBy?.includes('ringbuf') === true
        ? 'hand the record on with bpf_ringbuf_submit(), or back with bpf_ringbuf_discard(), on every way out, early returns included'
        : 'release what was acquired on every way out, early returns included (bpf_sk_release, bpf_task_release, ...)',
  },
  {
    when: /reference has not been acquired|must be referenced when passed to release/,
    requirement: 'a reference that is held, and given back once only',
    suggestion:
      'pass the pointer that the acquiring function gave, unchanged, and do not use it after its release',
  },
  {
    when: /holding a lock|spin_lock|_lock-ed|_unlock|preempt_disable|rcu_read_lock|local_irq/,
    requirement: 'locks taken and given back in pairs, with no calls and no way out in between',
    suggestion: 'call what has to be called before the lock is taken, and unlock before every return',
  },
  {
    when: /infinite loop|back-edge/,
    requirement: 'a loop in which something changes that ends it',
    suggestion: LOOP_ADVICE,
  },
  {
    when: /too large\. Processed|too complex|Too many|program is too large/,
    requirement: 'a program whose paths can be walked within 1,000,000 instructions',
    suggestion: LOOP_ADVICE,
  },
  {
    when: /GPL/,
    requirement: 'a licence that is compatible with the GPL',
    suggestion: 'declare it: char LICENSE[] SEC("license") = "GPL";',
  },
  {
    when: /invalid bpf_context access|dereference of modified ctx|variable ctx access/,
    requirement: 'a field of the context that programs of this type may use this way',
    suggestion:
      'use whole fields of the context struct, at their own size and through the pointer as it was given; write only those that may be written',
  },
  {
    when: /should have been in (\[[^\]]*\])/,
    requirement: ({ match }) => `a return value in ${match[1]}`,
    suggestion: 'return one of the constants that programs of this type may return, on every path',
  },
  {
    when: /misaligned/,
    requirement: 'an access aligned to its size',
    suggestion: 'align the field, or read it byte by byte (__attribute__((packed)))',
  },
  {
    when: /only read is supported|cannot write|write into|write to|only read from/,
    requirement: 'memory that the program may write',
    suggestion:
      'what is const or .rodata cannot be written: copy the data to the stack, or use a variable or a map',
  },
  {
    when: /might sleep|must be sleepable|sleepable/,
    requirement: 'a place where the program may sleep',
    suggestion:
      'make the program sleepable (SEC("fentry.s/..."), SEC("lsm.s/..."), SEC("uprobe.s/...")), and call it outside of RCU, lock and preempt-disabled sections',
  },
  {
    when: /missing btf func_info/,
    requirement: 'types of the functions of the program, since it passes one to a helper',
    suggestion:
      'compile it with -g; a compiler that writes no func_info into .BTF.ext (GCC 12) cannot make it',
  },
  {
    when: /must provide btf_id|FENTRY\/FEXIT|attach_btf_id|missing btf|without CONFIG_DEBUG_INFO_BTF|invalid module BTF/,
    requirement: 'the types of the kernel that the program is for',
    suggestion: 'give them with --btf /sys/kernel/btf/vmlinux, or a vmlinux file with BTF',
  },
  {
    when: /type=(\S+) expected=(.*)/,
    requirement: ({ match }) => `an argument that is one of: ${match[2]}`,
    suggestion: ({ match }) =>
      match[1] === 'scalar'
        ? 'the function takes a pointer, and was given a number: pass the address of a variable (&key), of map memory or of packet data'
        : 'pass what the function takes: fp is the address of a local variable, map_value memory of a map, map_ptr the map itself (&map)',
  },
  {
    when: /tail call/,
    requirement: 'a tail call into a map of programs, from where it is allowed',
    suggestion: 'use a map of type BPF_MAP_TYPE_PROG_ARRAY, and call outside of callbacks',
  },
  {
    when: /[Dd]ynptr|iter(ator)?_|expected (an |)(un)?initialized/,
    requirement: 'an object on the stack that was set up first, once',
    suggestion:
      'initialise it, test that this worked, and destroy or submit it exactly once before the function ends',
  },
  {
    when: /bitwise operator|pointer arithmetic|math between|subtraction from stack pointer/,
    requirement: 'arithmetic that leaves a pointer a pointer',
    suggestion: 'only add or subtract bounded numbers; do other arithmetic on offsets, not on pointers',
  },
  {
    when: /div by zero|invalid shift/,
    requirement: 'an operation that is defined',
    suggestion: 'test the divisor or the width of the shift before',
  },
  {
    when: /unreachable insn/,
    requirement: 'a program without code that nothing leads to',
    suggestion: 'compile with -O2, and leave out functions that never return',
  },
]

export const GENERAL: Omit<Advice, 'when'> = {
  requirement: 'what the message says',
  suggestion: 'run with --states: it shows what was known at each instruction on the way here',
}

export const wordsOf = (words: Words, findings: Findings): string =>
  typeof words === 'string' ? words : words(findings)
