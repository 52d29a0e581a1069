import { expect, test } from 'vitest'
import {
  block,
  brIf,
  i32,
  i64,
  label,
  load64,
  type MarkPlace,
  ModuleBuilder,
  marked,
  seq,
  when,
} from './index.ts'
import { functionTexts } from './text.ts'

test('reads back what the encoder wrote, with the places of marks', () => {
  const builder = new ModuleBuilder('m')
  builder.importMemory('a', 'memory', { minimum: 1 })
  const log = builder.importFunction('a', 'log', ['i32'], 'void')
  const f = builder.function('my function', ['i32'], 'i64')
  const [x] = f.parameters
  const y = f.local('i64')
  const at = label()
  f.body([
    block(at, seq(brIf(at, i32.eqz(x.get)), marked(7, when(x.get, log.call(i32.const(-5)))))),
    marked(9, y.set(i64.add(load64.u32(x.get, 12), i64.const(0xffff_c900_0000_0000n)))),
    i64.rotl(y.get, i64.const(3n)),
  ] as never)
  const marks = new Map<string, MarkPlace[]>()
  const [text] = functionTexts(builder.encode(marks))
  expect(text).toMatchObject({ name: 'my function', type: '(param i32) (result i64)' })
  expect(text?.instructions.map(({ depth, text: line }) => `${'  '.repeat(depth)}${line}`)).toEqual([
    'block',
    '  local.get 0',
    '  i32.eqz',
    '  br_if 0',
    '  local.get 0',
    '  if',
    '    i32.const -5',
    '    call $log',
    '  end',
    'end',
    'local.get 0',
    'i64.load32_u offset=12',
    'i64.const -60473139527680',
    'i64.add',
    'local.set 1',
    'local.get 1',
    'i64.const 3',
    'i64.rotl',
  ])
  const places = marks.get('my function') as MarkPlace[]
  const firstOf = (mark: number) => places.find((place) => place.mark === mark)?.offset
  const lineAt = (offset: number | undefined) => text?.instructions.find((one) => one.offset === offset)?.text
  expect([lineAt(firstOf(7)), lineAt(firstOf(9))]).toEqual(['local.get 0', 'local.get 0'])
})
