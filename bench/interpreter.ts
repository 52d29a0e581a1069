/**
 * What an interpreted instruction costs, for programs of several kinds; beside it Linux's JIT on the same bytes, where
 * this may ask it (root). Run: `npm run bench -- interpreter`.
 */
import { Interpreter, type PreparedProgram, prepare } from '../src/interpreter/index.ts'
import { assemble, type Program } from '../src/isa/index.ts'
import { Arena } from '../src/memory/index.ts'
import { LinuxOracle } from '../test/support/linux-oracle.ts'

const programs: Readonly<Record<string, string>> = {
  empty: 'r0 = 0\nexit',
  lcg64: `
      r0 = 1
      r1 = 4000
      r3 = 6364136223846793005 ll
      r4 = 1442695040888963407 ll
    next:
      r0 *= r3
      r0 += r4
      r2 = r0
      r2 >>= 33
      r0 ^= r2
      r1 += -1
      if r1 != 0 goto next
      exit`,
  murmur32: `
      w0 = 42
      r1 = 4000
    next:
      w2 = w1
      w2 *= 0xcc9e2d51
      w3 = w2
      w3 <<= 15
      w2 >>= 17
      w2 |= w3
      w2 *= 0x1b873593
      w0 ^= w2
      w3 = w0
      w3 <<= 13
      w0 >>= 19
      w0 |= w3
      w0 *= 5
      w0 += 0xe6546b64
      r1 += -1
      if r1 != 0 goto next
      exit`,
  'stack copies': `
      r1 = 1000
      r2 = 0x0102030405060708 ll
    next:
      *(u64 *)(r10 -8) = r2
      r3 = *(u32 *)(r10 -8)
      *(u32 *)(r10 -16) = r3
      r4 = *(u16 *)(r10 -16)
      *(u16 *)(r10 -24) = r4
      r5 = *(u8 *)(r10 -24)
      *(u8 *)(r10 -1) = r5
      r2 = *(u64 *)(r10 -8)
      r1 += -1
      if r1 != 0 goto next
      r0 = r2
      exit`,
  'bpf-to-bpf calls': `
      r6 = 2000
      r7 = 0
    next:
      r1 = r6
      call double
      r7 += r0
      r6 += -1
      if r6 != 0 goto next
      r0 = r7
      exit
    double:
      r0 = r1
      r0 += r1
      exit`,
  'helper calls': `
      r6 = 2000
    next:
      call 8
      r6 += -1
      if r6 != 0 goto next
      r0 = 0
      exit`,
}

const assembled = (source: string): Program => {
  const result = assemble(source)
  if (!result.ok) throw new Error(result.errors[0].message)
  return result.program
}

/** The least time of a run, in ns, and the instructions that it executed; at least 0.4 s of runs are timed. */
function measure(interpreter: Interpreter, program: PreparedProgram) {
  const once = interpreter.run(program, 0n)
  if (!once.ok) throw new Error(JSON.stringify(once))
  const batch = Math.max(1, Math.floor(20_000 / once.instructions))
  let least = Number.POSITIVE_INFINITY
  const end = performance.now() + 400
  while (performance.now() < end) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < batch; i++) interpreter.run(program, 0n)
    least = Math.min(least, Number(process.hrtime.bigint() - start) / batch)
  }
  return { ns: least, instructions: once.instructions }
}

const oracle = LinuxOracle.open()
const interpreter = new Interpreter(new Arena(), { helper: () => () => 0n })
console.log('program            instructions      ns/run  ns/instruction   Linux JIT ns/run   ratio')
for (const [name, source] of Object.entries(programs)) {
  const program = assembled(source)
  const { ns, instructions } = measure(interpreter, prepare(program))
  const repeat = Math.max(10, Math.floor(2_000_000 / instructions))
  const [linux] =
    typeof oracle === 'string' ? [] : oracle.ask([{ program, data: new Uint8Array(64), repeat }])
  if (linux !== undefined && linux.errno !== 0) console.log(`  Linux refuses ${name}: ${linux.message}`)
  const peer = linux?.returned === undefined ? undefined : linux.durationNs
  console.log(
    name.padEnd(18),
    `${instructions}`.padStart(12),
    ns.toFixed(0).padStart(11),
    (ns / instructions).toFixed(2).padStart(15),
    (peer === undefined ? '-' : `${peer}`).padStart(18),
    (peer === undefined ? '-' : (ns / peer).toFixed(1)).padStart(7),
  )
}
if (typeof oracle === 'string') console.log(`Linux's JIT was not asked: ${oracle}`)
else oracle[Symbol.dispose]()
