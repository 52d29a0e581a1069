import { describe, expect, it } from 'vitest'
import { assemble } from './assembler.ts'
import { disassemble } from './disassembler.ts'

const text = (source: string, options = {}) => {
  const result = assemble(source, options)
  return result.ok ? disassemble(result.program) : result.errors.map(({ message }) => message).join('\n')
}

describe('assemble', () => {
  it('resolves labels forwards and backwards, over wide instructions', () => {
    const source = `
      start: r1 = 0x123456789 ll   ; two slots
             if r1 == 0 goto end
             w2 = 5                // the other syntax
             goto start
      end:
             exit                  # done`
    expect(text(source)).toBe(
      ['r1 = 0x123456789 ll', 'if r1 == 0x0 goto pc+2', 'w2 = 5', 'goto pc-5', 'exit'].join('\n'),
    )
  })

  it('calls helpers by number or name, and subprograms by label', () => {
    const helperId = (name: string) => (name === 'bpf_ktime_get_ns' ? 5 : undefined)
    const source = `call 5
      call bpf_ktime_get_ns
      call bpf_ktime_get_ns#5
      call sub
      call kernel-function#7@2
      r2 = subprog[sub]
      exit
      sub: exit`
    expect(text(source, { helperId })).toBe(
      [
        'call unknown#5',
        'call unknown#5',
        'call unknown#5',
        'call pc+4',
        'call kernel-function#7@2',
        'r2 = subprog[+2]',
        'exit',
        'exit',
      ].join('\n'),
    )
  })

  it('reads back what bpftool and llvm-objdump print', () => {
    const source = `   0: (b7) r0 = 0
   1: (15) if r0 == 0x0 goto pc+1
       2:\tif r1 > -0x1 goto +0x3 <LBB0_2>
       3:\tr0 = *(u64 *)(r10 - 0x8)`
    expect(text(source)).toBe(
      ['r0 = 0', 'if r0 == 0x0 goto pc+1', 'if r1 > 0xffffffff goto pc+3', 'r0 = *(u64 *)(r10 -8)'].join(
        '\n',
      ),
    )
  })

  it('says which line each slot came from, and where labels point', () => {
    const result = assemble('a: r1 = 1 ll\n\nb: exit')
    expect(result).toMatchObject({ ok: true, lines: [1, 1, 3] })
    expect(result.ok && [...result.labels]).toEqual([
      ['a', 0],
      ['b', 2],
    ])
  })

  it.each([
    ['r0 = r11', undefined],
    ['r1 += q5', '1:7: unexpected `q5`; expected a number or a 64-bit register (r0 to r10)'],
    ['r1 +=', '1:6: unexpected end of line; expected a number or a 64-bit register (r0 to r10)'],
    ['exit now', '1:6: unexpected `now`; expected end of line'],
    [
      'w1 = be16 w1',
      '1:6: unexpected `be16`; expected a number, a 32-bit register (w0 to w10), `-`, `(`, `*`, `atomic_fetch_add`, `atomic_fetch_or`, `atomic_fetch_and`, `atomic_fetch_xor`, `xchg32_32`, `cmpxchg32_32` or `load_acquire`',
    ],
    ['r1 = be16 r2', '1:11: not the same register: `r2`; expected `r1`'],
    ['r2 = *(u8 *)skb[1]', '1:1: unexpected `r2`; expected `r0`'],
    ['goto nowhere', '1:6: undefined label `nowhere`'],
    ['goto +40000', '1:6: out of range: `+40000`; expected -32768 to 32767'],
    ['r0 = 4294967296', '1:6: out of range: `4294967296`; expected -2147483648 to 4294967295'],
    ['r0 = *(u8 *)(r1 +99999)', '1:17: out of range: `+99999`; expected -32768 to 32767'],
    [
      'r0 = 0x1ffffffffffffffff ll',
      '1:6: out of range: `0x1ffffffffffffffff`; expected -9223372036854775808 to 18446744073709551615',
    ],
    ['.8byte', '1:7: unexpected `end of line`; expected a number'],
    ['r0 = @', '1:6: unexpected @; expected an instruction'],
    ['a: exit\na: exit', '2:1: label defined twice: `a`'],
  ])('%s', (source, message) => {
    const result = assemble(source)
    expect(result.ok ? undefined : result.errors[0].message).toBe(message)
  })

  it('reports every wrong line, in order', () => {
    const result = assemble('goto x\nr0 = \nexit\nfoo')
    expect(result.ok ? [] : result.errors.map(({ line, kind }) => [line, kind])).toEqual([
      [1, 'undefined-label'],
      [2, 'unexpected-end'],
      [4, 'unexpected-token'],
    ])
  })
})
