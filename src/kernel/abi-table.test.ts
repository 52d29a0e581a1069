/** docs/abi.md lists every command and call, and says of each what the tables say. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BPF_ATTR_SIZE, BPF_CMD } from '../abi/index.ts'
import { bpfCommands } from './bpf/dispatch.ts'
import { programTypes } from './program-types.ts'
import { syscallTable } from './syscall-table.ts'

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'abi.md'), 'utf8')

test('commands', () => {
  const said = new Map([...page.matchAll(/^\| `(BPF_\w+)` \| (\S+) \|/gm)].map((row) => [row[1], row[2]]))
  const answered = new Set(bpfCommands.map(({ cmd }) => cmd))
  for (const [name, cmd] of Object.entries(BPF_CMD)) {
    if (name === 'BPF_PROG_RUN') continue
    expect([name, said.get(name)]).toEqual([name, answered.has(cmd as never) ? 'answered' : '`EINVAL`'])
  }
  expect(page).toContain(`the ${BPF_ATTR_SIZE} of \`union bpf_attr\``)
})

test('system calls and program types', () => {
  for (const { name, nr } of syscallTable) expect(page).toContain(`\`${name}\` ${nr}`)
  expect(page).toContain(`types ${programTypes.map(({ name }) => name).join(', ')};`)
})

test('each command has one row, in the table and by name', () => {
  expect(new Set(bpfCommands.map(({ cmd }) => cmd)).size).toBe(bpfCommands.length)
  for (const { cmd, name } of bpfCommands) expect(BPF_CMD[name]).toBe(cmd)
})
