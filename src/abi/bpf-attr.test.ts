import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as attrs from './bpf-attr.ts'
import * as infos from './bpf-info.ts'
import { perfEventAttr } from './perf-event.ts'

describe('offsets that clients of Linux rely on', () => {
  test.each([
    ['BPF_MAP_CREATE btf_fd', attrs.mapCreateAttr.offsets.btf_fd, 48],
    ['BPF_MAP_CREATE map_extra', attrs.mapCreateAttr.offsets.map_extra, 64],
    ['BPF_MAP_CREATE ends', attrs.mapCreateAttr.endOfLastMember, 92],
    ['BPF_PROG_LOAD log_true_size ends', attrs.progLoadAttr.offsets.log_true_size + 4, 144],
    ['BPF_PROG_LOAD prog_token_fd ends', attrs.progLoadAttr.offsets.prog_token_fd + 4, 148],
    ['BPF_PROG_LOAD fd_array_cnt ends', attrs.progLoadAttr.offsets.fd_array_cnt + 4, 152],
    ['BPF_PROG_TEST_RUN', attrs.progTestRunAttr.size, 80],
    ['BPF_LINK_CREATE uprobe_multi.cnt', attrs.linkCreateUprobeMultiAttr.offsets.cnt, 48],
    ['BPF_LINK_CREATE uprobe_multi ends', attrs.linkCreateUprobeMultiAttr.endOfLastMember, 60],
    ['BPF_LINK_CREATE iter_info_len', attrs.linkCreateIterAttr.offsets.iter_info_len, 24],
    ['BPF_LINK_CREATE tcx.relative_fd', attrs.linkCreatePlaceAttr.offsets.relative, 16],
    ['BPF_LINK_CREATE netfilter.priority', attrs.linkCreateNetfilterAttr.offsets.priority, 24],
    ['BPF_LINK_CREATE tcx.expected_revision', attrs.linkCreatePlaceAttr.offsets.expected_revision, 24],
    ['BPF_BTF_LOAD', attrs.btfLoadAttr.size, 40],
    ['BPF_TASK_FD_QUERY', attrs.taskFdQueryAttr.size, 48],
    ['BPF_PROG_QUERY', attrs.progQueryAttr.size, 64],
    ['struct bpf_prog_info', infos.bpfProgInfo.size, 232],
    ['struct bpf_btf_info', infos.bpfBtfInfo.size, 32],
    ['struct bpf_link_info (kprobe)', infos.bpfLinkInfoKprobe.size, 64],
    ['struct perf_event_attr', perfEventAttr.size, 136],
  ])('%s: %i', (_name, is, expected) => {
    expect(is).toBe(expected)
  })
})

const vmlinux = '/sys/kernel/btf/vmlinux'

/** Member offsets of a struct of the running kernel, in bytes. */
function membersOf(structName: string): Map<string, number> {
  const dump = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', vmlinux], { maxBuffer: 1 << 28 })
  const { types } = JSON.parse(dump.toString()) as {
    types: { kind: string; name: string; members?: { name: string; bits_offset: number }[] }[]
  }
  const found = types.find((type) => type.kind === 'STRUCT' && type.name === structName)
  return new Map(found?.members?.map((member) => [member.name, member.bits_offset / 8]))
}

const missing = [
  ...(existsSync(vmlinux) ? [] : ['the running kernel has no BTF']),
  ...(existsSync('/usr/sbin/bpftool') ? [] : ['bpftool is not installed']),
].join(', ')

describe.skipIf(missing !== '')(
  `the running kernel's own types agree${missing && ` (skipped: ${missing})`}`,
  () => {
    test.each([
      ['bpf_prog_info', infos.bpfProgInfo.offsets],
      ['bpf_map_info', infos.bpfMapInfo.offsets],
      ['bpf_btf_info', infos.bpfBtfInfo.offsets],
    ] as const)('%s', (name, offsets) => {
      const members = membersOf(name)
      expect(members.size).toBeGreaterThan(4)
      for (const [member, offset] of Object.entries(offsets)) {
        if (members.has(member)) expect([member, offset]).toEqual([member, members.get(member)])
      }
    })
  },
)
