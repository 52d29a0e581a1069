/**
 * The programs inside of libbpf-tools, on a Linux that lets all of them be loaded, fentry and fexit too: what it takes, and
 * nothing else, this project's kernel takes.
 */
import { describe, expect, test } from 'vitest'
import { filesOfPackage, objectsUnder } from '../support/embedded-objects.ts'
import { runGuest, whyNoGuest } from './guest.ts'
import type { Difference, ToolCounts } from './outcome.ts'

/**
 * What Linux before 6.14 refuses: it forgets a pointer on the stack that a helper has read as a key, and these programs
 * take it from there again.
 */
const FORGETFUL = { before: 6_014, programs: ['biosnoop:block_rq_complete'] }

const folder = process.env.ANYBPF_TOOLS
const files = folder === undefined ? filesOfPackage('libbpf-tools', ['/usr/sbin', '/usr/bin']) : [folder]
const why =
  whyNoGuest() ??
  (files.length === 0 ? 'needs libbpf-tools, or a folder of its programs in ANYBPF_TOOLS' : undefined)

describe.skipIf(why !== undefined)(
  `libbpf-tools on a Linux of its own${why ? ` (skipped: ${why})` : ''}`,
  () => {
    test('both kernels take the same programs', { timeout: 900_000 }, () => {
      const objects = [...objectsUnder(files)].map(({ name, bytes }) => [`objects/${name}`, bytes] as const)
      const text = runGuest('tools', new Map(objects))
      const json = /^COUNTS (.*?)\r?$/m.exec(text)?.[1]
      expect(json, text.slice(-4000)).toBeDefined()
      const { programs, takenByBoth, refusedByBoth, notAllowed } = JSON.parse(json ?? '{}') as ToolCounts
      console.info(`${/^LINUX .*/m.exec(text)?.[0]}: ${json}`)
      const [, major, minor] = /^LINUX (\d+)\.(\d+)/m.exec(text) ?? []
      const linux = Number(major) * 1000 + Number(minor)
      const forgets = linux < FORGETFUL.before
      const isExpected = ({ object, program, ours, linux: theirs = '' }: Difference) =>
        forgets &&
        ours === undefined &&
        FORGETFUL.programs.includes(`${object}:${program}`) &&
        theirs.endsWith("invalid mem access 'scalar'")
      const differences = [...text.matchAll(/^DIFFERENCE (.*?)\r?$/gm)]
        .map(([, difference]) => JSON.parse(difference as string) as Difference)
        .filter((difference) => !isExpected(difference))
      expect(differences).toEqual([])
      expect(takenByBoth).toBeGreaterThan(0)
      expect(takenByBoth + refusedByBoth + notAllowed).toBe(
        programs - (forgets ? FORGETFUL.programs.length : 0),
      )
    })
  },
)
