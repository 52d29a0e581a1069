/** Helpers that change what a packet is, or ask for the network, that linux-oracle.test.ts has both kernels call. */
import { BPF_PROG_TYPE, progTestRunAttr } from '../../abi/index.ts'
import { define, loadProgram, type OracleCase } from './oracle.ts'
import type { ResultRef, Script } from './script.ts'

const T = BPF_PROG_TYPE
const ROOM = 8000
const CONTEXT_BYTES = 192
const CHECKSUM_COMPLETE = 4

const types = { ipv4: [8, 0], ipv6: [0x86, 0xdd], vlan: [0x81, 0], odd: [0x12, 0x34] } as const

/** A frame of a type; one with a tag holds IPv4, or, `nested`, another tag. */
function frame(type: keyof typeof types, sizeBytes = 80, nested = false): Uint8Array {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i < 12 ? 0 : (i * 37) & 0xff))
  bytes.set(types[type], 12)
  if (type === 'vlan') bytes.set([0x20, 0x17, ...(nested ? [0x88, 0xa8, 0x30, 5, 8, 0] : [8, 0])], 14)
  if (type === 'ipv4') bytes.set([0x45, 2, 0, sizeBytes - 14, 0, 1, 0, 0, 64, 17, 0xab, 0xcd], 14)
  return bytes
}

function run(script: Script, program: ResultRef, data: Uint8Array, flags = 0): void {
  const at = progTestRunAttr.offsets
  const out = script.buffer(ROOM)
  const context = script.buffer(CONTEXT_BYTES)
  const attr = progTestRunAttr.encode({ data_size_in: data.length, ctx_size_out: CONTEXT_BYTES, flags })
  const bytes = script.buffer(attr, {
    [at.prog_fd]: program,
    [at.data_in]: script.buffer(data),
    [at.data_out]: out,
    [at.ctx_out]: context,
  })
  script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
  for (const told of [at.retval, at.data_size_out]) script.dump(bytes, told, 4)
  script.dump(out, 0, 160)
  script.dump(context, 0, CONTEXT_BYTES)
}

/** What the packet is now, in r0, beside what the helper said. */
const SHAPE = `
  r7 = r0
  r7 &= 0xff
  r1 = *(u32 *)(r6 +16)
  r7 <<= 16
  r7 |= r1
  r1 = *(u32 *)(r6 +0)
  r7 *= 31
  r7 += r1
  r1 = *(u32 *)(r6 +20)
  r7 *= 31
  r7 += r1
  r1 = *(u32 *)(r6 +24)
  r7 *= 31
  r7 += r1
  r1 = *(u32 *)(r6 +28)
  r7 *= 31
  r7 += r1
  r0 = r7`

export function shapeCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  const load = (script: Script, source: string, prog_type: number = T.BPF_PROG_TYPE_SCHED_CLS) =>
    loadProgram(script, `r6 = r1\n${source}\nexit`, { prog_type })
  const frames = () => [
    frame('ipv4'),
    frame('ipv6'),
    frame('odd'),
    frame('vlan'),
    frame('vlan', 80, true),
    frame('ipv4', 40),
    frame('vlan', 20),
  ]
  const everywhere = (script: Script, program: ResultRef) => {
    for (const data of frames()) run(script, program, data)
    run(script, program, frame('ipv4'), CHECKSUM_COMPLETE)
  }

  add('skb_vlan_push', (script) => {
    for (const protocol of [0x81, 0xa888, 0x1234]) {
      const push = `r1 = r6\nr2 = ${protocol}\nr3 = 0x2345\ncall bpf_skb_vlan_push`
      everywhere(script, load(script, `${push}${SHAPE}`))
      everywhere(script, load(script, `${push}\n${push}\n${push}${SHAPE}`))
    }
  })
  add('skb_vlan_pop', (script) => {
    const pop = 'r1 = r6\ncall bpf_skb_vlan_pop'
    const push = 'r1 = r6\nr2 = 0x81\nr3 = 7\ncall bpf_skb_vlan_push'
    for (const source of [
      pop,
      `${pop}\n${pop}`,
      `${push}\n${pop}`,
      `${push}\n${push}\n${pop}`,
      `${push}\n${push}\n${pop}\n${pop}`,
    ]) {
      everywhere(script, load(script, `${source}${SHAPE}`))
    }
  })
  add('skb_change_proto', (script) => {
    for (const [protocol, flags] of [
      [8, 0],
      [0xdd86, 0],
      [0xdd86, 1],
      [0x81, 0],
    ]) {
      const change = `r1 = r6\nr2 = ${protocol}\nr3 = ${flags}\ncall bpf_skb_change_proto`
      everywhere(script, load(script, `${change}${SHAPE}`))
    }
    everywhere(
      script,
      load(
        script,
        `r1 = r6\nr2 = 0xdd86\nr3 = 0\ncall bpf_skb_change_proto\nr1 = r6\nr2 = 8\nr3 = 0\ncall bpf_skb_change_proto${SHAPE}`,
      ),
    )
  })
  for (const mode of [0, 1, 2]) {
    add(`skb_adjust_room, mode ${mode}`, (script) => {
      for (const by of [0, 4, 20, 4095, 4096, -4, -20, -26, -46, -60, -200]) {
        const source = `r1 = r6\nr2 = ${by}\nr3 = ${mode}\nr4 = 0\ncall bpf_skb_adjust_room${SHAPE}`
        everywhere(script, load(script, source))
      }
    })
  }
  add('skb_adjust_room, flags', (script) => {
    for (const flags of [1, 2, 4, 6, 0x0a, 0x12, 0x1a, 0x20, 0x42, 0x80, 0x100, 0x180, 0x200, 0x102]) {
      for (const by of [20, -20]) {
        const once = `r1 = r6\nr2 = ${by}\nr3 = 1\nr4 = ${flags}\ncall bpf_skb_adjust_room`
        for (const data of [frame('ipv4'), frame('ipv6')]) run(script, load(script, `${once}${SHAPE}`), data)
        if (by > 0) run(script, load(script, `${once}\n${once}${SHAPE}`), frame('ipv4'))
      }
    }
    for (const inner of [14, 20, 21]) {
      const source = `r1 = r6\nr2 = 20\nr3 = 1\nr4 = 0x${inner.toString(16)}00000000000042 ll
        call bpf_skb_adjust_room${SHAPE}`
      run(script, load(script, source), frame('ipv4'))
    }
  })
  add('get_hash_recalc, skb_set_tstamp', (script) => {
    const hash = 'r1 = r6\nr2 = 77\ncall bpf_set_hash\nr1 = r6\ncall bpf_get_hash_recalc'
    everywhere(script, load(script, hash))
    const again = 'r1 = r6\ncall bpf_get_hash_recalc\nr7 = r0\nr1 = r6\ncall bpf_get_hash_recalc\nr0 -= r7'
    run(script, load(script, again), frame('ipv4'))
    for (const type of [0, 1, 2, 3]) {
      for (const time of [0, 5]) {
        const source = `r1 = r6\nr2 = ${time}\nr3 = ${type}\ncall bpf_skb_set_tstamp
          r7 = *(u8 *)(r6 +180)\nr0 <<= 8\nr0 |= r7`
        everywhere(script, load(script, source))
      }
    }
  })
  for (const prog_type of [T.BPF_PROG_TYPE_SCHED_CLS, T.BPF_PROG_TYPE_XDP]) {
    add(`fib_lookup, check_mtu, type ${prog_type}`, (script) => {
      const runOne = (program: ResultRef) => {
        if (prog_type !== T.BPF_PROG_TYPE_XDP) return run(script, program, frame('ipv4'))
        const at = progTestRunAttr.offsets
        const bytes = script.buffer(progTestRunAttr.encode({ data_size_in: 80 }), {
          [at.prog_fd]: program,
          [at.data_in]: script.buffer(frame('ipv4')),
        })
        script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
        script.dump(bytes, at.retval, 4)
      }
      const zeros = Array.from({ length: 8 }, (_, i) => `*(u64 *)(r10 -${64 - 8 * i}) = 0`).join('\n')
      for (const family of [0, 2, 10]) {
        for (const device of [0, 1, 99999]) {
          for (const flags of [0, 1, 0x40]) {
            const source = `${zeros}\n*(u8 *)(r10 -64) = ${family}\n*(u32 *)(r10 -56) = ${device}
              r1 = r6\nr2 = r10\nr2 += -64\nr3 = 64\nr4 = ${flags}\ncall bpf_fib_lookup`
            runOne(load(script, source, prog_type))
          }
        }
      }
      for (const device of [0, 1, 99999]) {
        for (const given of [0, 1500, 65536, 65537]) {
          for (const by of [0, -100, 65535]) {
            for (const flags of [0, 1]) {
              const source = `*(u32 *)(r10 -8) = ${given}\nr1 = r6\nr2 = ${device}\nr3 = r10\nr3 += -8
                r4 = ${by}\nr5 = ${flags}\ncall bpf_check_mtu\nr1 = *(u32 *)(r10 -8)\nr0 *= 31\nr0 += r1`
              runOne(load(script, source, prog_type))
            }
          }
        }
      }
    })
  }
  add('tunnels and sockets that are not there', (script) => {
    for (const size of [44, 28, 24, 10]) {
      const source = `*(u64 *)(r10 -48) = 1\n*(u64 *)(r10 -40) = 1\n*(u64 *)(r10 -32) = 1\n*(u64 *)(r10 -24) = 1
        *(u64 *)(r10 -16) = 1\n*(u64 *)(r10 -8) = 1\nr1 = r6\nr2 = r10\nr2 += -48\nr3 = ${size}\nr4 = 0
        call bpf_skb_get_tunnel_key\nr1 = *(u64 *)(r10 -48)\nr2 = *(u64 *)(r10 -8)\nr0 <<= 2\nr0 += r1\nr0 += r2`
      run(script, load(script, source), frame('ipv4'))
    }
    const opt = `*(u64 *)(r10 -8) = 1\nr1 = r6\nr2 = r10\nr2 += -8\nr3 = 8\ncall bpf_skb_get_tunnel_opt
      r1 = *(u64 *)(r10 -8)\nr0 <<= 2\nr0 += r1`
    run(script, load(script, opt), frame('ipv4'))
    run(
      script,
      load(script, '*(u64 *)(r10 -8) = 1\nr1 = r6\nr2 = r10\nr2 += -8\nr3 = 8\ncall bpf_skb_set_tunnel_opt'),
      frame('ipv4'),
    )
    for (const lookup of ['sk_lookup_tcp', 'sk_lookup_udp', 'skc_lookup_tcp']) {
      const source = `*(u64 *)(r10 -16) = 0\n*(u64 *)(r10 -8) = 0\nr1 = r6\nr2 = r10\nr2 += -12\nr3 = 12\nr4 = -1\nr5 = 0
        call bpf_${lookup}\nif r0 == 0 goto none\nr1 = r0\ncall bpf_sk_release\nr0 = 1\nexit\nnone: r0 = 0`
      run(script, load(script, source), frame('ipv4'))
    }
    run(script, load(script, 'r1 = r6\ncall bpf_skb_cgroup_classid'), frame('ipv4'))
  })
  return cases
}
