/** What a client is told of helpers that it asks for as libbpf and bpftool do: by a call without arguments. */
import { expect, test } from 'vitest'
import { BPF_PROG_TYPE } from '../src/abi/index.ts'
import { hasHelper } from '../src/client/index.ts'
import { helperBodies, helperPrototypes } from '../src/helpers/index.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { programTypes } from '../src/kernel/program-types.ts'
import { Caller } from '../src/kernel/testing/caller.ts'
import { TinyPort } from '../src/kernel/testing/tiny-port.ts'

const T = BPF_PROG_TYPE
/** Those that attach to something with a type have other rules for what they are loaded without. */
const UNATTACHED: readonly number[] = programTypes
  .map(({ type }) => type)
  .filter((type) => type !== T.BPF_PROG_TYPE_TRACING && type !== T.BPF_PROG_TYPE_STRUCT_OPS)
/** libbpf_probe_bpf_helper() of libbpf takes these for "no", and any other answer for "yes". */
const NO = /invalid func |unknown func |program of this type cannot use helper /

test('a helper without a body is said not to be there, whatever its arguments', () => {
  using kernel = createKernel({ port: new TinyPort() })
  using client = kernel.openClient()
  const caller = new Caller(client)
  const missing = helperPrototypes.filter(({ id }) => !helperBodies.has(id))
  for (const { id, name, programTypes: types } of missing) {
    for (const type of types.filter((one) => UNATTACHED.includes(one))) {
      expect([name, type, hasHelper(client, type, id)]).toEqual([name, type, false])
    }
    const log = { text: '' }
    const type = types.find((one) => one === T.BPF_PROG_TYPE_SCHED_CLS || one === T.BPF_PROG_TYPE_SK_MSG)
    if (type === undefined) continue
    caller.load(`call ${name}\nexit`, { prog_type: type }, log)
    expect([name, NO.test(log.text)]).toEqual([name, true])
  }
})

test('one with a body is there', () => {
  using kernel = createKernel({ port: new TinyPort() })
  using client = kernel.openClient()
  for (const type of [T.BPF_PROG_TYPE_KPROBE, T.BPF_PROG_TYPE_XDP, T.BPF_PROG_TYPE_SCHED_CLS]) {
    for (const { id, name, programTypes: types } of helperPrototypes) {
      if (!types.includes(type) || !helperBodies.has(id) || name === 'bpf_override_return') continue
      expect([name, type, hasHelper(client, type, id)]).toEqual([name, type, true])
    }
  }
})
