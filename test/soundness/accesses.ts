/**
 * Every load and store of every size at every offset of each context, and of the sockets that programs are given: held
 * against Linux, they show what is wrong with a row of the tables of fields.
 */
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../src/abi/index.ts'
import { type Instruction, instruction } from '../../src/isa/index.ts'
import { plainAttachType, SLEEPABLE, TYPES } from './helper-calls.ts'
import type { Subject } from './subject.ts'

const A = BPF_ATTACH_TYPE
const T = BPF_PROG_TYPE

/** Attach types on which it depends what may be touched. */
const ATTACH_TYPES: Readonly<Record<number, readonly number[]>> = {
  [T.BPF_PROG_TYPE_CGROUP_SOCK]: [
    A.BPF_CGROUP_INET_SOCK_CREATE,
    A.BPF_CGROUP_INET_SOCK_RELEASE,
    A.BPF_CGROUP_INET4_POST_BIND,
    A.BPF_CGROUP_INET6_POST_BIND,
  ],
  [T.BPF_PROG_TYPE_CGROUP_SOCK_ADDR]: [
    A.BPF_CGROUP_INET4_BIND,
    A.BPF_CGROUP_INET6_BIND,
    A.BPF_CGROUP_INET4_CONNECT,
    A.BPF_CGROUP_INET6_CONNECT,
    A.BPF_CGROUP_UNIX_CONNECT,
    A.BPF_CGROUP_UDP4_SENDMSG,
    A.BPF_CGROUP_UDP6_SENDMSG,
    A.BPF_CGROUP_UNIX_SENDMSG,
    A.BPF_CGROUP_UDP4_RECVMSG,
    A.BPF_CGROUP_UDP6_RECVMSG,
    A.BPF_CGROUP_UNIX_RECVMSG,
    A.BPF_CGROUP_INET4_GETPEERNAME,
    A.BPF_CGROUP_INET6_GETPEERNAME,
    A.BPF_CGROUP_UNIX_GETPEERNAME,
    A.BPF_CGROUP_INET4_GETSOCKNAME,
    A.BPF_CGROUP_INET6_GETSOCKNAME,
    A.BPF_CGROUP_UNIX_GETSOCKNAME,
  ],
  [T.BPF_PROG_TYPE_CGROUP_SKB]: [A.BPF_CGROUP_INET_INGRESS, A.BPF_CGROUP_INET_EGRESS],
  [T.BPF_PROG_TYPE_CGROUP_SOCKOPT]: [A.BPF_CGROUP_GETSOCKOPT, A.BPF_CGROUP_SETSOCKOPT],
  [T.BPF_PROG_TYPE_XDP]: [0, A.BPF_XDP_DEVMAP, A.BPF_XDP_CPUMAP],
  [T.BPF_PROG_TYPE_SK_REUSEPORT]: [A.BPF_SK_REUSEPORT_SELECT, A.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE],
}

const call = (helper: number): Instruction => instruction({ opcode: 0x85, imm: helper })
const leaveUnless = (register: number): Instruction[] => [
  instruction({ opcode: 0x55, dst: register, offset: 2 }),
  instruction({ opcode: 0xb7, imm: 0 }),
  instruction({ opcode: 0x95 }),
]
/** `r1 = *(u64 *)(r1 + 168)`: the socket of an skb, as far as one may be sure of it. */
const socketOfPacket = [instruction({ opcode: 0x79, dst: 1, src: 1, offset: 168 }), ...leaveUnless(1)]

interface Place {
  readonly name: string
  readonly programType: number
  /** Brings a pointer into register 1. */
  readonly before: readonly Instruction[]
}

const behind = (name: string, helper: number): Place => ({
  name,
  programType: T.BPF_PROG_TYPE_CGROUP_SKB,
  before: [...socketOfPacket, call(helper), ...leaveUnless(0), instruction({ opcode: 0xbf, dst: 1, src: 0 })],
})

const PLACES: readonly Place[] = [
  ...TYPES.map((programType) => ({ name: 'context', programType, before: [] })),
  { name: 'sock_common', programType: T.BPF_PROG_TYPE_CGROUP_SKB, before: socketOfPacket },
  behind('full socket', 95),
  behind('tcp_sock', 96),
  behind('listener', 98),
]

/** Opcodes of loads, sign-extending loads, and stores of a register. */
const OPCODES = [0x71, 0x69, 0x61, 0x79, 0x91, 0x89, 0x81, 0x73, 0x6b, 0x63, 0x7b]
const LAST_OFFSET = 264

export function* accesses(): Generator<Subject> {
  for (const { programType, before } of PLACES) {
    for (const expectedAttachType of ATTACH_TYPES[programType] ?? [plainAttachType(programType)]) {
      for (let offset = 0; offset <= LAST_OFFSET; offset++) {
        for (const opcode of OPCODES) {
          const isStore = (opcode & 7) === 3
          const access = instruction({ opcode, dst: isStore ? 1 : 2, src: isStore ? 2 : 1, offset })
          yield {
            instructions: [
              ...before,
              instruction({ opcode: 0xb7, dst: 2, imm: 0 }),
              access,
              instruction({ opcode: 0xb7, imm: 0 }),
              instruction({ opcode: 0x95 }),
            ],
            programType,
            expectedAttachType,
            flags: programType === T.BPF_PROG_TYPE_SYSCALL ? SLEEPABLE : 0,
            license: 'GPL',
            name: 'fuzz',
            maps: [],
            descriptors: [],
            functions: [],
            lines: [],
            logLevel: 0,
          }
        }
      }
    }
  }
}
