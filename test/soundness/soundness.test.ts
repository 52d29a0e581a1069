/**
 * A small sample of what `npm run soundness` does at length: programs made at random, each that the verifier accepts run
 * with every value held against what the proof claimed, and shown to this machine's Linux where it may be asked.
 */
import { describe, expect, test } from 'vitest'
import { Campaign, describeFinding } from './campaign.ts'
import { LinuxKernel } from './linux.ts'

const SEED = Number(process.env.SEED ?? 1)

function findingsOf(campaign: Campaign): string {
  return campaign.findings.map((finding) => describeFinding(SEED, finding)).join('\n\n')
}

describe('what the verifier claims', () => {
  test('holds in every run of programs made at random', () => {
    const campaign = new Campaign({ seed: SEED })
    for (let index = 0; index < 200; index++) campaign.try(index)
    expect(findingsOf(campaign)).toBe('')
    // Were most refused, little would have been tried.
    expect(campaign.counts.run).toBeGreaterThan(80)
    expect(campaign.values).toBeGreaterThan(80_000)
  })
})

const kernel = LinuxKernel.open()
if (typeof kernel === 'string') console.log(`skipped, the running kernel cannot be asked: ${kernel}`)

describe.skipIf(typeof kernel === 'string')('the running Linux', () => {
  test('says of programs made at random what the verifier says', () => {
    using linux = kernel as LinuxKernel
    const campaign = new Campaign({ seed: SEED + 1, kernel: linux })
    for (let index = 0; index < 120; index++) campaign.try(index)
    expect(findingsOf(campaign)).toBe('')
    expect(campaign.counts.shown).toBeGreaterThan(90)
  })
})
