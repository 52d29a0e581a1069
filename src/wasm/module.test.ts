import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Code, ResultType, ValueType } from './index.ts'
import {
  atomic,
  block,
  br,
  brIf,
  brTable,
  choose,
  drop,
  i32,
  i64,
  label,
  load32,
  load64,
  loop,
  ModuleBuilder,
  memory,
  nop,
  ret,
  select,
  seq,
  seqThen,
  store32,
  store64,
  unreachable,
  when,
} from './index.ts'

const page = { minimum: 1, maximum: 1 }

/** Instantiates a module that exports one function. */
function single<P extends readonly ValueType[], R extends ResultType>(
  parameters: P,
  result: R,
  body: (f: ReturnType<ModuleBuilder['function']>) => Code<R>,
): (...values: unknown[]) => unknown {
  const module = new ModuleBuilder()
  module.memory(page)
  const f = module.function('f', parameters, result)
  f.body(body(f as never) as never)
  module.export('f', f)
  return new WebAssembly.Instance(new WebAssembly.Module(module.encode())).exports.f as never
}

const a32 = i32.const(1)
const a64 = i64.const(1n)
const ignore = (code: Code<ValueType>): Code => drop(code)

/** Calls each function of a table of instructions with operands that fit; `take` knows the operand types. */
const each = <F>(table: Readonly<Record<string, F>>, apply: (operator: F) => Code): [string, Code][] =>
  Object.entries(table).map(([name, operator]) => [name, apply(operator)])

describe('every instruction is accepted', () => {
  const { const: const32, wrap_i64, ...others32 } = i32
  const { const: const64, extend_i32_s, extend_i32_u, ...others64 } = i64
  type Any32 = (...operands: Code<'i32'>[]) => Code<ValueType>
  type Any64 = (...operands: Code<'i64'>[]) => Code<ValueType>
  const unary = new Set(['eqz', 'clz', 'ctz', 'popcnt', 'extend8_s', 'extend16_s', 'extend32_s'])
  const numeric = [
    ...Object.entries(others32 as Record<string, Any32>).map(
      ([name, f]) => [`i32.${name}`, ignore(unary.has(name) ? f(a32) : f(a32, a32))] as const,
    ),
    ...Object.entries(others64 as Record<string, Any64>).map(
      ([name, f]) => [`i64.${name}`, ignore(unary.has(name) ? f(a64) : f(a64, a64))] as const,
    ),
    ['i32.const', ignore(const32(-1))] as const,
    ['i64.const', ignore(const64(1n << 63n))] as const,
    ['i32.wrap_i64', ignore(wrap_i64(a64))] as const,
    ['i64.extend_i32_s', ignore(extend_i32_s(a32))] as const,
    ['i64.extend_i32_u', ignore(extend_i32_u(a32))] as const,
  ]
  const rmw = ['add', 'sub', 'and', 'or', 'xor', 'exchange'] as const
  const accesses: (readonly [string, Code])[] = [
    ...each(load32, (load) => ignore(load(a32, 70000))),
    ...each(load64, (load) => ignore(load(a32))),
    ...each(store32, (store) => store(a32, a32, 8)),
    ...each(store64, (store) => store(a32, a64)),
    ...each(atomic.load32, (load) => ignore(load(a32))),
    ...each(atomic.load64, (load) => ignore(load(a32))),
    ...each(atomic.store32, (store) => store(a32, a32)),
    ...each(atomic.store64, (store) => store(a32, a64)),
    ...rmw.flatMap((name) => [
      ...each(atomic[name].i32, (f) => ignore(f(a32, a32))),
      ...each(atomic[name].i64, (f) => ignore(f(a32, a64))),
    ]),
    ...each(atomic.compareExchange32, (f) => ignore(f(a32, a32, a32))),
    ...each(atomic.compareExchange64, (f) => ignore(f(a32, a64, a64))),
    ['atomic.fence', atomic.fence()],
    ['memory.size', ignore(memory.size())],
    ['memory.grow', ignore(memory.grow(a32))],
    ['memory.copy', memory.copy(a32, a32, a32)],
    ['memory.fill', memory.fill(a32, a32, a32)],
    ['nop', nop()],
    ['select', ignore(select(a32, a64, a64))],
    ['unreachable', unreachable()],
  ]
  test.each([...numeric, ...accesses])('%s', (_, code) => {
    const module = new ModuleBuilder()
    module.memory(page)
    module.function('f', [], 'void').body(code)
    expect(WebAssembly.validate(module.encode())).toBe(true)
  })
})

describe('what the instructions compute', () => {
  test('arithmetic means what JavaScript means by it', () => {
    const f = single(['i64', 'i64'], 'i64', (f) => {
      const [a, b] = f.parameters as never as [{ get: Code<'i64'> }, { get: Code<'i64'> }]
      return i64.xor(i64.mul(a.get, b.get), i64.sub(a.get, i64.shl(b.get, i64.const(3n))))
    })
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
        fc.bigInt(-1000n, 1000n),
        (a, b) => {
          expect(f(a, b)).toBe(BigInt.asIntN(64, (a * b) ^ (a - (b << 3n))))
        },
      ),
    )
  })

  test('a loop with two exits sums up to a limit', () => {
    const f = single(['i32'], 'i32', (f) => {
      const n = f.parameters[0] as never as { get: Code<'i32'>; set(v: Code<'i32'>): Code }
      const sum = f.local('i32')
      const [again, done] = [label('again'), label('done')]
      return seqThen(
        [
          block(
            done,
            loop(
              again,
              seq(
                brIf(done, i32.eqz(n.get)),
                when(i32.gt_u(sum.get, i32.const(1000)), br(done)),
                sum.set(i32.add(sum.get, n.get)),
                n.set(i32.sub(n.get, i32.const(1))),
                br(again),
              ),
            ),
          ),
        ],
        sum.get,
      )
    })
    expect([f(0), f(4), f(100)]).toEqual([0, 10, 100 + 99 + 98 + 97 + 96 + 95 + 94 + 93 + 92 + 91 + 90])
  })

  test('br_table goes to the chosen block, and beyond its end to the default', () => {
    const f = single(['i32'], 'i32', (f) => {
      const index = f.parameters[0] as never as { get: Code<'i32'> }
      const [zero, one, other] = [label('zero'), label('one'), label('other')]
      return seqThen(
        [
          block(
            other,
            seq(
              block(one, seq(block(zero, brTable(index.get, [zero, one], other)), ret(i32.const(100)))),
              ret(i32.const(101)),
            ),
          ),
        ],
        i32.const(102),
      )
    })
    expect([f(0), f(1), f(2), f(-1)]).toEqual([100, 101, 102, 102])
  })

  test('only the chosen side is evaluated', () => {
    const f = single(['i32'], 'i32', (f) => {
      const x = f.parameters[0] as never as { get: Code<'i32'> }
      return choose('i32', i32.eqz(x.get), i32.const(7), i32.div_u(i32.const(100), x.get))
    })
    expect([f(0), f(5)]).toEqual([7, 20])
  })

  test('narrow accesses extend as their name says', () => {
    const f = single(['i64'], 'i64', (f) => {
      const x = f.parameters[0] as never as { get: Code<'i64'> }
      return seqThen(
        [store64.full(i32.const(8), x.get)],
        i64.add(load64.s8(i32.const(8)), i64.add(load64.u16(i32.const(8)), load64.s32(i32.const(0), 8))),
      )
    })
    expect(f(0xffff_ffffn)).toBe(-1n + 0xffffn - 1n)
  })
})

describe('modules', () => {
  test('imports, tables, segments, globals, calls and tail calls work together', () => {
    const module = new ModuleBuilder('whole')
    const log = module.importFunction('env', 'log', ['i32'], 'void')
    module.importMemory('env', 'memory', page)
    const step = module.importGlobal('env', 'step', 'i32')
    const counter = module.global('i64', 40n)
    const table = module.table(2)
    const even = module.function('even', ['i32'], 'i32')
    const odd = module.function('odd', ['i32'], 'i32')
    const [n] = even.parameters
    const [m] = odd.parameters
    // A depth of recursion that only tail calls survive.
    even.body(choose('i32', i32.eqz(n.get), i32.const(1), odd.returnCall(i32.sub(n.get, step.get))))
    odd.body(choose('i32', i32.eqz(m.get), i32.const(0), even.returnCall(i32.sub(m.get, step.get))))
    const main = module.function('main', ['i32'], 'i64')
    const [which] = main.parameters
    main.body(
      seqThen(
        [
          log.call(load32.u8(i32.const(16))),
          counter.set(i64.add(counter.get, i64.const(2n))),
          log.call(table.callIndirect(even.type, which.get, i32.const(1_000_001))),
        ],
        counter.get,
      ),
    )
    const viaTable = module.function('viaTable', ['i32'], 'i32')
    viaTable.body(table.returnCallIndirect(even.type, i32.const(1), viaTable.parameters[0].get))
    module.elements(table, 0, [even, odd])
    module.data(16, Uint8Array.of(200))
    module.export('main', main)
    module.export('viaTable', viaTable)
    module.export('counter', counter, 'global')
    const seen: number[] = []
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), {
      env: {
        log: (x: number) => seen.push(x),
        memory: new WebAssembly.Memory({ initial: 1, maximum: 1 }),
        step: 1,
      },
    })
    const run = exports.main as (which: number) => bigint
    expect([run(0), run(1)]).toEqual([42n, 44n])
    expect(seen).toEqual([200, 0, 200, 1])
    expect((exports.viaTable as (n: number) => number)(7)).toBe(1)
  })

  test('the name section names the functions in a trap', () => {
    const module = new ModuleBuilder('named')
    const f = module.function('somewhere', [], 'void')
    f.body(unreachable())
    module.export('f', f)
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()))
    expect(() => (exports.f as () => void)()).toThrow(
      expect.objectContaining({ stack: expect.stringContaining('somewhere') }),
    )
  })

  test.each([
    ['a function without a body', (m: ModuleBuilder) => m.function('f', [], 'void'), /f has no body/],
    [
      'a branch to a label that is not open',
      (m: ModuleBuilder) => m.function('f', [], 'void').body(br(label('away'))),
      /away/,
    ],
    [
      'a label opened twice',
      (m: ModuleBuilder) => {
        const again = label('again')
        m.function('f', [], 'void').body(block(again, block(again, nop())))
      },
      /already open/,
    ],
    [
      'an import after a function',
      (m: ModuleBuilder) => {
        m.function('f', [], 'void').body(nop())
        m.importFunction('env', 'late', [], 'void')
      },
      /late/,
    ],
  ])('%s is refused', (_, build, message) => {
    const module = new ModuleBuilder()
    expect(() => {
      build(module)
      module.encode()
    }).toThrow(message)
  })
})
