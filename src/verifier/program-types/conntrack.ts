/**
 * Stores into connection tracking entries, from packet programs.
 *
 * Source: net/netfilter/nf_conntrack_bpf.c of Linux 6.18.
 */
import { BTF_KIND, type BtfId } from '../../btf/index.ts'
import type { Register } from '../domain/register.ts'
import type { Proof } from '../proof.ts'
import { EACCES } from '../refusal.ts'

/** The same layout: an entry, and one that is not in the table yet. */
const ENTRIES: readonly string[] = ['nf_conn', 'nf_conn___init']
const WRITABLE = 'mark'
const MARK_BYTES = 4

/** The mark of a connection alone may be written. */
export function writeConnection(p: Proof, register: Register, offset: number, size: number): void {
  const { btf, btfId } = register
  if (btf === undefined || btf !== p.kernel || !ENTRIES.includes(btf.nameOf(btfId as BtfId))) {
    throw p.refuse(EACCES, 'only read is supported')
  }
  const id = btf.find('nf_conn', BTF_KIND.STRUCT)
  const type = id === undefined ? undefined : btf.typeById(id)
  const mark = type?.kind === BTF_KIND.STRUCT ? type.members.find(({ name }) => name === WRITABLE) : undefined
  const begin = mark === undefined ? -1 : mark.bitOffset / 8
  if (offset !== begin) throw p.refuse(EACCES, `no write support to nf_conn at off ${offset}`)
  const end = begin + MARK_BYTES
  if (offset + size > end) {
    throw p.refuse(
      EACCES,
      `write access at off ${offset} with size ${size} beyond the member of nf_conn ended at ${end}`,
    )
  }
}
