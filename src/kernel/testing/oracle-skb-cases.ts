/** Helpers over packets that linux-oracle.test.ts has test runs of both kernels call: what they return and leave. */
import { BPF_PROG_TYPE, progTestRunAttr } from '../../abi/index.ts'
import { define, loadProgram, type OracleCase } from './oracle.ts'
import type { ResultRef, Script } from './script.ts'

const T = BPF_PROG_TYPE
/** More than any packet here becomes; what is compared of it. */
const ROOM = 20_000
const SHOWN = 5000
const CONTEXT_BYTES = 192
const CHECKSUM_COMPLETE = 4

/** An IPv4 packet with UDP, whose checksums are right as far as the sums here show. */
function frame(sizeBytes: number): Uint8Array {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i < 12 ? 0 : (i * 37) & 0xff))
  bytes.set([8, 0, 0x45, 0, 0, sizeBytes - 14, 0, 1, 0, 0, 64, 17, 0xab, 0xcd], 12)
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
  script.dump(out, 0, SHOWN)
  script.dump(context, 0, CONTEXT_BYTES)
}

/** Sixteen bytes on the stack from -16 on, of which r3 is the pointer after `r3 = r10; r3 += -16`. */
const STACK = `r2 = 0x1122334455667788 ll
  *(u64 *)(r10 -16) = r2
  r2 = 0x99aabbccddeeff00 ll
  *(u64 *)(r10 -8) = r2
  r3 = r10
  r3 += -16`

/** How a sum is kept in 32 bits is each CPU's own. */
const FOLD = 'r1 = r0\nr1 &= 0xffff\nr0 &= 0xffffffff\nr0 >>= 16\nr0 += r1'

export function skbCases(): OracleCase[] {
  const cases: OracleCase[] = []
  const add = define(cases)
  const load = (script: Script, source: string, prog_type: number = T.BPF_PROG_TYPE_SCHED_CLS) =>
    loadProgram(script, `r6 = r1\n${source}\nexit`, { prog_type })

  for (const prog_type of [
    T.BPF_PROG_TYPE_SCHED_CLS,
    T.BPF_PROG_TYPE_SOCKET_FILTER,
    T.BPF_PROG_TYPE_LWT_XMIT,
  ]) {
    add(`skb_load_bytes, type ${prog_type}`, (script) => {
      for (const offset of [0, 14, 44, 48, 58, 60, -1, 0x7fff_ffff]) {
        const source = `${STACK}\nr2 = ${offset}\nr4 = 6\ncall bpf_skb_load_bytes
          r1 = *(u32 *)(r10 -16)\nr0 <<= 3\nr0 ^= r1`
        run(script, load(script, source, prog_type), frame(64))
      }
    })
    add(`skb_load_bytes_relative, type ${prog_type}`, (script) => {
      if (prog_type === T.BPF_PROG_TYPE_LWT_XMIT) return
      for (const offset of [0, 8, 44, 50, 60, 65535, 65536]) {
        for (const start of [0, 1, 2]) {
          const source = `${STACK}\nr2 = ${offset}\nr4 = 6\nr5 = ${start}\ncall bpf_skb_load_bytes_relative
            r1 = *(u32 *)(r10 -16)\nr0 <<= 3\nr0 ^= r1`
          run(script, load(script, source, prog_type), frame(64))
        }
      }
    })
  }

  add('skb_store_bytes', (script) => {
    for (const offset of [0, 15, 50, 58, 59, -1]) {
      for (const flags of [0, 1, 2, 3, 4]) {
        const source = `${STACK}\nr2 = ${offset}\nr4 = 6\nr5 = ${flags}\ncall bpf_skb_store_bytes`
        const program = load(script, source)
        run(script, program, frame(64))
        run(script, program, frame(64), CHECKSUM_COMPLETE)
      }
    }
  })
  add('skb_pull_data', (script) => {
    for (const size of [0, 10, 64, 65, 5000]) {
      run(script, load(script, `r2 = ${size}\ncall bpf_skb_pull_data`), frame(64))
    }
  })
  add('skb_change_tail', (script) => {
    for (const size of [0, 13, 14, 20, 63, 64, 65, 200, 4000, 16064, 16065, -1]) {
      for (const flags of [0, 1]) {
        const source = `r2 = ${size}\nr3 = ${flags}\ncall bpf_skb_change_tail
          r1 = *(u32 *)(r6 +0)\nr0 <<= 16\nr0 ^= r1`
        run(script, load(script, source), frame(64))
      }
    }
    run(script, load(script, `r2 = 40\nr3 = 0\ncall bpf_skb_change_tail`), frame(64), CHECKSUM_COMPLETE)
    run(script, load(script, `r2 = 41\nr3 = 0\ncall bpf_skb_change_tail`), frame(64), CHECKSUM_COMPLETE)
    run(script, load(script, `r2 = 90\nr3 = 0\ncall bpf_skb_change_tail`), frame(64), CHECKSUM_COMPLETE)
  })
  for (const prog_type of [T.BPF_PROG_TYPE_SCHED_CLS, T.BPF_PROG_TYPE_LWT_XMIT]) {
    add(`skb_change_head, type ${prog_type}`, (script) => {
      for (const size of [0, 1, 14, 64, 100, 2000, 16000, 16001, -1]) {
        const source = `r2 = ${size}\nr3 = 0\ncall bpf_skb_change_head
          r1 = *(u32 *)(r6 +0)\nr0 <<= 16\nr0 ^= r1`
        run(script, load(script, source, prog_type), frame(64))
      }
      run(script, load(script, `r2 = 4\nr3 = 1\ncall bpf_skb_change_head`, prog_type), frame(64))
    })
  }
  add('skb_change_type, set_hash', (script) => {
    for (const type of [0, 1, 2, 3, 4, -1]) {
      const source = `r2 = ${type}\ncall bpf_skb_change_type\nr1 = *(u32 *)(r6 +4)\nr0 <<= 8\nr0 ^= r1`
      run(script, load(script, source), frame(64))
    }
    run(script, load(script, 'r2 = 77\ncall bpf_set_hash\nr0 = *(u32 *)(r6 +68)'), frame(64))
    const twice = 'r2 = 77\ncall bpf_set_hash\nr1 = r6\ncall bpf_set_hash_invalid\nr0 = *(u32 *)(r6 +68)'
    run(script, load(script, twice), frame(64))
    run(script, load(script, 'call bpf_get_cgroup_classid'), frame(64))
  })
  for (const helper of ['l3', 'l4']) {
    add(`${helper}_csum_replace`, (script) => {
      for (const offset of [24, 25, 62, 63, 64, 65536]) {
        for (const flags of [0, 2, 4, 1, 8, 0x10, 0x12, 0x14, 0x22, 0x24, 0x34, 0x60, 0x80, 0x94, 0x100]) {
          const source = `r2 = ${offset}\nr3 = ${(flags & 15) === 0 ? 0 : 0x1234}\nr4 = 0x5678abcd\nr5 = ${flags}
            call bpf_${helper}_csum_replace`
          run(script, load(script, source), frame(64))
          if (offset === 24) run(script, load(script, source), frame(64), CHECKSUM_COMPLETE)
        }
      }
      const zero = frame(64)
      zero.fill(0, 24, 26)
      for (const flags of [0x24, 0x64, 0x04]) {
        const source = `r2 = 24\nr3 = 1\nr4 = 0\nr5 = ${flags}\ncall bpf_l4_csum_replace`
        run(script, load(script, source), zero)
      }
    })
  }
  add('csum_diff, csum_update, csum_level', (script) => {
    for (const [from, to, seed] of [
      [0, 0, 0],
      [4, 0, 0],
      [0, 4, 0],
      [8, 4, 0],
      [4, 8, 0xffff],
      [16, 16, 0x12345],
      [16, 16, 0],
      [2, 4, 0],
      [4, 6, 0],
    ]) {
      const source = `${STACK}\nr1 = r10\nr1 += -16\nr2 = ${from}\nr4 = ${to}\nr5 = ${seed}
        ${from === 0 ? 'r1 = 0' : ''}\n${to === 0 ? 'r3 = 0' : ''}\ncall bpf_csum_diff`
      run(script, load(script, source), frame(64))
    }
    for (const flags of [0, CHECKSUM_COMPLETE]) {
      run(script, load(script, `r2 = 0\ncall bpf_csum_update\n${FOLD}`), frame(64), flags)
      run(script, load(script, 'r2 = 5\ncall bpf_csum_update\nr0 = 0'), frame(64), flags)
      for (const levels of [
        [0],
        [1, 0],
        [1, 1, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 2, 0],
        [1, 1, 2, 0],
        [1, 3, 0],
        [4],
        [2, 0],
      ]) {
        const source = levels.map((level) => `r1 = r6\nr2 = ${level}\ncall bpf_csum_level`).join('\n')
        run(script, load(script, source), frame(64), flags)
      }
    }
  })
  add('redirect and its like', (script) => {
    for (const flags of [0, 1, 2]) {
      run(script, load(script, `r1 = 1\nr2 = ${flags}\ncall bpf_redirect`), frame(64))
      run(script, load(script, `r1 = 1\nr2 = ${flags}\ncall bpf_redirect_peer`), frame(64))
      run(script, load(script, `r1 = 1\nr2 = 0\nr3 = 0\nr4 = ${flags}\ncall bpf_redirect_neigh`), frame(64))
      run(script, load(script, `r2 = 999999\nr3 = ${flags}\ncall bpf_clone_redirect`), frame(64))
    }
  })
  add('xdp_get_buff_len, xdp_load_bytes, xdp_store_bytes', (script) => {
    const xdp = (source: string) => load(script, source, T.BPF_PROG_TYPE_XDP)
    const runXdp = (program: ResultRef, size: number) => {
      const at = progTestRunAttr.offsets
      const out = script.buffer(ROOM)
      const bytes = script.buffer(progTestRunAttr.encode({ data_size_in: size }), {
        [at.prog_fd]: program,
        [at.data_in]: script.buffer(frame(size)),
        [at.data_out]: out,
      })
      script.bpfOn('BPF_PROG_TEST_RUN', bytes, progTestRunAttr.size)
      script.dump(bytes, at.retval, 4)
      script.dump(bytes, at.data_size_out, 4)
      script.dump(out, 0, 10_000)
    }
    for (const size of [64, 5000, 9000]) {
      runXdp(xdp('call bpf_xdp_get_buff_len'), size)
      for (const offset of [0, 58, 59, 3517, 4994, 4995, 65535, 65536]) {
        runXdp(
          xdp(
            `${STACK}\nr2 = ${offset}\nr4 = 6\ncall bpf_xdp_load_bytes\nr1 = *(u32 *)(r10 -16)\nr0 <<= 3\nr0 ^= r1`,
          ),
          size,
        )
        runXdp(xdp(`${STACK}\nr2 = ${offset}\nr4 = 6\ncall bpf_xdp_store_bytes`), size)
      }
      for (const by of [-10, -1480, -1481, -5000, -8986, -8987, 10, 600, 3000, 3900]) {
        runXdp(xdp(`r2 = ${by}\ncall bpf_xdp_adjust_tail`), size)
      }
    }
  })
  return cases
}
