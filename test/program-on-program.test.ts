/** Programs that replace or trace functions of programs, as compilers make them: by the client, on both engines. */
import { describe, expect, test } from 'vitest'
import { EBUSY, EINVAL, type Syscalls } from '../src/abi/index.ts'
import { CommandContext } from '../src/cli/kernel/command.ts'
import { listLinks } from '../src/cli/kernel/link-list.ts'
import { Words } from '../src/cli/kernel/words.ts'
import { nodeHost } from '../src/cli/node-host.ts'
import {
  AttachError,
  type Collection,
  type Link,
  LoadError,
  type LoadOptions,
  load,
  ObjectError,
  openObject,
  type Program,
  SyscallError,
  VerifierError,
} from '../src/client/index.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { TinyPort } from '../src/kernel/testing/tiny-port.ts'
import { compileObject } from './linux/compile.ts'

const object = compileObject('extended')
const noObject = typeof object === 'string' ? object : ''

function attempt(syscalls: Syscalls, options: LoadOptions): Collection | LoadError {
  const spec = openObject(object as Uint8Array, { name: 'extended' })
  if (spec instanceof ObjectError) throw new Error(spec.message)
  return load(spec, syscalls, options)
}

function loaded(syscalls: Syscalls, options: LoadOptions): Collection {
  const collection = attempt(syscalls, options)
  if (!(collection instanceof LoadError)) return collection
  throw new Error(`${collection.message}\n${collection instanceof VerifierError ? collection.log : ''}`)
}

/** The last words of the verifier on a program that is refused. */
function refused(syscalls: Syscalls, program: string, target: Program): string | undefined {
  const error = attempt(syscalls, { programs: [program], targetPrograms: { [program]: target } })
  if (!(error instanceof VerifierError)) return error instanceof LoadError ? error.message : undefined
  return error.log.split('\n').filter((line) => !line.startsWith('processed'))[0]
}

function attached(link: Link | AttachError): Link {
  if (link instanceof AttachError) throw new Error(link.message)
  return link
}

const PACKET = Uint8Array.from({ length: 64 }, (_, n) => 0xa0 + n)

function run(program: Program): number {
  const result = program.testRun({ data: PACKET })
  if (result instanceof SyscallError) throw result
  return result.returnValue
}

describe.skipIf(noObject !== '').each(['interpreter', 'jit'] as const)(
  `by the %s${noObject && ` (skipped: ${noObject})`}`,
  (engine) => {
    function setUp(target = 'filter') {
      const kernel = createKernel({ port: new TinyPort(), engine })
      const client = kernel.openClient()
      const program = loaded(client, { programs: [target] }).program(target)
      /** Loads a program for a function of that one, or of another one. */
      const on = (name: string, of: Program = program) => {
        const collection = loaded(client, { programs: [name], targetPrograms: { [name]: of } })
        const value = (variable: string) => collection.globals.get(variable)
        return { program: collection.program(name), value }
      }
      return { kernel, client, program, on }
    }

    test('an extension replaces a function, and the function comes back', () => {
      const { program, on } = setUp()
      expect(run(program)).toBe(1)
      const { program: wide, value } = on('wide_limit')
      {
        using _link = attached(wide.attach())
        expect(run(program)).toBe(2)
        expect(value('replaced')).toBe(1n)
      }
      expect(run(program)).toBe(1)
      expect(value('replaced')).toBe(1n)
    })

    test('an extension gets the context', () => {
      const { program, on } = setUp()
      using _link = attached(on('no_length').program.attach())
      expect(run(program)).toBe(2)
    })

    test('an extension goes on to another program', () => {
      const { client, program, on } = setUp()
      const second = loaded(client, { programs: ['second_filter'] }).program('second_filter')
      const { program: wide } = on('wide_limit')
      attached(wide.attach())[Symbol.dispose]()
      expect(wide.attach()).toMatchObject({
        code: 'refused',
        errno: EINVAL,
        message: expect.stringContaining('the option targetProgram'),
      })
      expect([run(program), run(second)]).toEqual([1, 1])
      using _link = attached(wide.attach(undefined, { targetProgram: second }))
      expect([run(program), run(second)]).toEqual([1, 2])
      expect(wide.attach(undefined, { targetProgram: second })).toMatchObject({ errno: EBUSY })
      using _both = attached(wide.attach(undefined, { targetProgram: program }))
      expect([run(program), run(second)]).toEqual([2, 2])
      const loops = loaded(client, { programs: ['loops'] }).program('loops')
      // Its types name the function, but it does not have it.
      expect(wide.attach(undefined, { targetProgram: loops })).toMatchObject({ errno: EINVAL })
      expect(
        wide.attach({ kind: 'btf', name: 'lost', module: undefined }, { targetProgram: loops }),
      ).toMatchObject({
        code: 'bad-target',
        message: "freplace at lost: the program that it is to go to has no function 'lost'",
      })
    })

    test('tracing programs see arguments and results of a static function', () => {
      const { program, on } = setUp()
      const [before, after] = [on('before_both'), on('after_both')]
      using _entry = attached(before.program.attach(undefined, { cookie: 7n }))
      using _exit = attached(after.program.attach())
      expect(run(program)).toBe(1)
      expect(before.value('arguments')).toEqual([64n, 1n, 0n])
      expect(['cookie', 'words', 'calls'].map(before.value)).toEqual([7n, 2n, 1n])
      expect(['result', 'asked', 'calls'].map(after.value)).toEqual([6401n, 0n, 1n])
    })

    test('a tracing program finds the packet behind the context', () => {
      const { program, on } = setUp()
      const { program: after, value } = on('after_filter')
      using _link = attached(after.attach())
      run(program)
      expect(['packet_bytes', 'first_byte', 'result', 'calls'].map(value)).toEqual([64n, 0xa0, 1n, 1n])
    })

    test('a tracing program is at a function that a helper calls back', () => {
      const { program, on } = setUp('loops')
      const { program: before, value } = on('before_count')
      expect(run(program)).toBe(10)
      {
        using _link = attached(before.attach())
        expect(run(program)).toBe(10)
        expect(value('calls')).toBe(5n)
        expect(value('arguments')).toEqual([10n, 0n, 0n])
      }
      expect(run(program)).toBe(10)
      expect(value('calls')).toBe(5n)
    })

    test('an exception leaves the program that throws it, and what is attached there', () => {
      const { program, on } = setUp('throws')
      expect(run(program)).toBe(33)
      const [before, after] = [on('before_checked'), on('after_checked')]
      {
        using _entry = attached(before.program.attach())
        using _exit = attached(after.program.attach())
        expect(run(program)).toBe(33)
        expect(run(program)).toBe(33)
        expect([before.value('calls'), after.value('calls')]).toEqual([2n, 0n])
      }
      using _link = attached(on('throws_too').program.attach())
      expect(run(program)).toBe(45)
    })

    test('tracing programs and extensions are traced, too', () => {
      const { program, on } = setUp()
      const inner = on('before_both')
      const outer = on('before_tracer', inner.program)
      const wide = on('wide_limit')
      const after = on('after_extension', wide.program)
      using _links = {
        links: [inner, outer, wide, after].map((one) => attached(one.program.attach())),
        [Symbol.dispose]() {
          for (const link of this.links) link[Symbol.dispose]()
        },
      }
      expect(run(program)).toBe(2)
      expect([inner.value('calls'), outer.value('calls')]).toEqual([1n, 100n])
      expect(after.value('arguments')).toEqual([0n, 0n, 10n])
      expect(after.value('result')).toBe(10000n)
    })

    test('what does not fit is refused with the reason', () => {
      const { client, program } = setUp()
      expect(refused(client, 'other_arguments', program)).toBe(
        'other_arguments() has 2 args while limit() has 1 args',
      )
      expect(refused(client, 'of_static', program)).toBe('both() is not a global function')
      expect(refused(client, 'changes', program)).toBe("can't modify return codes of BPF programs")
      expect(refused(client, 'before_count', program)).toContain("Subprog count_one doesn't exist")
      const error = attempt(client, { programs: ['wide_limit'] })
      expect((error as LoadError).message).toContain('the option targetPrograms')
    })

    test('nothing is left when all is closed', () => {
      const { kernel, client, program, on } = setUp()
      for (const name of ['wide_limit', 'before_both']) {
        attached(on(name).program.attach())[Symbol.dispose]()
      }
      expect(run(program)).toBe(1)
      client[Symbol.dispose]()
      expect(kernel.stats()).toMatchObject({ programs: 0, links: 0, maps: 0 })
    })

    test('link list names the function and its program', () => {
      const { client, on } = setUp()
      using _replaces = attached(on('wide_limit').program.attach())
      using _traces = attached(on('before_both').program.attach())
      const list = (form: 'plain' | 'json') => {
        let out = ''
        const stream = {
          columns: undefined,
          rows: undefined,
          write: (text: string) => {
            out += text
          },
        }
        const host = nodeHost({ stdout: stream, stderr: stream })
        const context = new CommandContext({ host, syscalls: client, form, bootTimeMs: undefined })
        listLinks(context, new Words([]))
        return form === 'json' ? JSON.parse(context.json?.text ?? '') : out
      }
      expect(list('plain')).toMatch(
        /^1: tracing {2}prog 2 {2}\n\tprog_type ext {2}.*\n\ttarget_obj_id 1 {2}target_btf_id \d+ {2}target_func limit {2}target_prog filter {2}\n2: tracing {2}prog 3 {2}\n\tprog_type tracing {2}attach_type trace_fentry {2}\n\ttarget_obj_id 1 {2}target_btf_id \d+ {2}target_func both {2}target_prog filter {2}\n$/,
      )
      expect(list('json')).toMatchObject([
        { prog_type: 'ext', target_obj_id: 1, target_func: 'limit', target_prog: 'filter' },
        { prog_type: 'tracing', target_func: 'both', target_prog: 'filter' },
      ])
    })
  },
)
