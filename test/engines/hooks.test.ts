/** What stands for functions of a program: the same on every engine. */
import { describe, expect, it } from 'vitest'
import type { FunctionHook, FunctionHooks } from '../../src/helpers/index.ts'
import { functionAddress } from '../../src/interpreter/index.ts'
import { assemble } from '../../src/isa/index.ts'
import { Arena } from '../../src/memory/index.ts'
import { type EngineEnvironment, engine, type Helper } from './engines.ts'

/** One slot each but for the wide loads: main at 0, `add` and `deep` behind it. */
const source = `
  r6 = 7
  r1 = 40
  r2 = 2
  r3 = 99
  call add
  r0 += r6
  exit
add:
  r0 = r1
  r0 += r2
  exit`
const ADD = 7

function assembled(text: string) {
  const result = assemble(text)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result
}

describe.each(['interpreter', 'jit', 'proved jit'] as const)('%s', (name) => {
  function run(
    hooks: FunctionHooks,
    text = source,
    environment: EngineEnvironment = { helper: () => undefined },
    context = 0n,
  ) {
    const under = engine(name, new Arena(), environment)
    const result = under.run(under.prepare(assembled(text).program, hooks), context)
    return result.ok ? result.value : result.message
  }
  const on = (entry: number, call: FunctionHook['call'], argumentCount = 2) =>
    new Map([[entry, { argumentCount, call }]])

  it('takes the arguments and gives the result', () => {
    expect(run(new Map())).toBe(49n)
    const seen: bigint[][] = []
    const hooks = on(ADD, (args) => {
      seen.push([...args.slice(0, 2)])
      return 1000n
    })
    expect(run(hooks)).toBe(1007n)
    expect(seen).toEqual([[40n, 2n]])
  })

  it('is given arguments that the function does not look at', () => {
    const hooks = on(ADD, (args) => args[2] as bigint, 3)
    expect(run(hooks)).toBe(106n)
  })

  it('goes on with the function itself', () => {
    const results: (bigint | undefined)[] = []
    const hooks = on(ADD, (_args, proceed) => {
      const result = proceed()
      results.push(result)
      return (result ?? 0n) * 2n
    })
    expect(run(hooks)).toBe(91n)
    expect(results).toEqual([42n])
  })

  it('keeps the registers and the stack of the caller', () => {
    const text = `
      *(u64 *)(r10 -8) = 5
      r9 = 30
      r1 = r10
      r1 += -8
      call up
      r0 = *(u64 *)(r10 -8)
      r0 += r9
      exit
    up:
      r2 = *(u64 *)(r1 +0)
      r2 += 1
      *(u64 *)(r1 +0) = r2
      *(u64 *)(r10 -8) = 77
      r9 = 1
      r0 = 0
      exit`
    const entry = assembled(text).labels.get('up') as number
    expect(
      run(
        on(entry, (_args, proceed) => proceed() ?? 0n),
        text,
      ),
    ).toBe(36n)
  })

  it('stands for the whole program', () => {
    const text = 'r0 = r1\nr0 += 1\nexit'
    const hooks = on(0, (args, proceed) => (proceed() ?? 0n) * 10n + (args[0] as bigint), 1)
    expect(run(hooks, text, undefined, 4n)).toBe(54n)
  })

  it('stands for callbacks and indirect calls', () => {
    const text = `
      r1 = subprog[back]
      r2 = 5
      call 1
      r6 = r0
      r1 = subprog[back]
      r3 = r1
      r1 = 6
      callx r3
      r0 += r6
      exit
    back:
      r0 = r1
      exit`
    const entry = assembled(text).labels.get('back') as number
    const helper: Helper = (address, value, _3, _4, _5, context) => {
      expect(address).toBe(functionAddress(entry))
      return context.callback(address, value) ?? 0n
    }
    const hooks = on(entry, (_args, proceed) => (proceed() ?? 0n) * 100n, 1)
    expect(run(hooks, text, { helper: () => helper })).toBe(1100n)
  })

  it('stands for small functions that are called in a loop, each time', () => {
    const text = `
      r6 = 0
      r7 = 0
    next:
      r1 = r6
      call square
      r7 += r0
      r6 += 1
      if r6 != 5 goto next
      r0 = r7
      exit
    square:
      r0 = r1
      r0 *= r0
      exit`
    const entry = assembled(text).labels.get('square') as number
    const seen: bigint[] = []
    const hooks = on(
      entry,
      (args, proceed) => {
        seen.push(args[0] as bigint)
        return proceed() ?? 0n
      },
      1,
    )
    expect(run(hooks, text)).toBe(30n)
    expect(seen).toEqual([0n, 1n, 2n, 3n, 4n])
  })

  it('may stand for several functions, one inside of the other', () => {
    const text = `
      r1 = 1
      call outer
      exit
    outer:
      r1 += 1
      call inner
      r0 += 1
      exit
    inner:
      r0 = r1
      r0 *= 10
      exit`
    const { labels } = assembled(text)
    const order: string[] = []
    const noting = (what: string): FunctionHook => ({
      argumentCount: 1,
      call: (args, proceed) => {
        order.push(`${what} ${args[0]}`)
        const result = proceed() ?? 0n
        order.push(`${what} gave ${result}`)
        return result
      },
    })
    const hooks = new Map([
      [labels.get('outer') as number, noting('outer')],
      [labels.get('inner') as number, noting('inner')],
    ])
    expect(run(hooks, text)).toBe(21n)
    expect(order).toEqual(['outer 1', 'inner 2', 'inner gave 20', 'outer gave 21'])
  })

  it('takes no frame of its own', () => {
    // Eight frames: main and seven functions.
    const functions = Array.from({ length: 7 }, (_, n) =>
      n < 6 ? `f${n}:\ncall f${n + 1}\nr0 += 1\nexit` : `f${n}:\nr0 = 1\nexit`,
    )
    const text = `call f0\nexit\n${functions.join('\n')}`
    const { labels } = assembled(text)
    const passing: FunctionHook = { argumentCount: 0, call: (_args, proceed) => proceed() ?? 0n }
    const hooks = new Map([...labels.values()].map((entry) => [entry, passing]))
    expect(run(hooks, text)).toBe(7n)
  })

  it('ends the run where it cannot give a result', () => {
    expect(run(on(ADD, () => ({ kind: 'fault', reason: 'it cannot' })))).toBe(`instruction ${ADD}: it cannot`)
  })

  it('hears when the function itself cannot go on', () => {
    const text = `
      call bad
      exit
    bad:
      call 9
      exit`
    const entry = assembled(text).labels.get('bad') as number
    const hooks = on(entry, (_args, proceed) => proceed() ?? 3n, 0)
    expect(run(hooks, text)).toMatch(/^instruction \d: unknown helper 9$/)
  })

  it('is not asked by a tail call, as on Linux', () => {
    const target = 'r0 = 5\nexit'
    const under = engine(name, new Arena(), { helper: () => () => ({ tailCall: other }) })
    let calls = 0
    const hooks = on(
      0,
      (_args, proceed) => {
        calls++
        return proceed() ?? 0n
      },
      1,
    )
    const other = under.prepare(assembled(target).program, hooks)
    const main = under.prepare(assembled('call 12\nr0 = 1\nexit').program)
    expect(under.run(main, 0n)).toMatchObject({ ok: true, value: 5n })
    expect(calls).toBe(0)
    expect(under.run(other, 0n)).toMatchObject({ ok: true, value: 5n })
    expect(calls).toBe(1)
  })

  it('is around a function that goes on with another program', () => {
    const under = engine(name, new Arena(), { helper: () => () => ({ tailCall: other }) })
    const other = under.prepare(assembled('r0 = r1\nr0 += 3\nexit').program)
    const text = `
      r6 = 1
      r1 = 20
      call leaves
      r0 += r6
      exit
    leaves:
      call 12
      r0 = 0
      exit`
    const { program, labels } = assembled(text)
    const hooks = on(labels.get('leaves') as number, (_args, proceed) => (proceed() ?? 0n) * 2n, 1)
    expect(under.run(under.prepare(program, hooks), 0n)).toMatchObject({ ok: true, value: 47n })
  })

  it('may run the program again', () => {
    const under = engine(name, new Arena(), { helper: () => undefined })
    const { program } = assembled(source)
    const hooks = on(ADD, (args, proceed) => {
      if (depth++ > 0) return args[0] as bigint
      const inner = under.run(ready, 0n)
      return (inner.ok ? inner.value : 0n) + (proceed() ?? 0n)
    })
    let depth = 0
    const ready = under.prepare(program, hooks)
    // 40 + 7 inside, 42 outside, 7 more.
    expect(under.run(ready, 0n)).toMatchObject({ ok: true, value: 96n })
  })
})
