/**
 * Test runs with live frames (BPF_F_TEST_XDP_LIVE_FRAMES): each run has a frame of its own, and what the program
 * decides about it is done. Runs are in batches, at whose end frames go where they were sent.
 *
 * Source: bpf_test_run_xdp_live(), xdp_test_run_batch() of net/bpf/test_run.c of Linux.
 */
import { ENOMEM } from '../../abi/index.ts'
import type { Redirection } from '../../helpers/index.ts'
import { LOOPBACK } from '../contexts/device.ts'
import { FramePool } from './frame-pool.ts'
import { FrameTargets, XDP_PASS, XDP_REDIRECT } from './frame-targets.ts'
import { repeatRun, type TestRequest, type TestResult } from './request.ts'
import type { FrameOptions, XdpFrame } from './xdp-frame.ts'

const XDP_TX = 3

/** The result says nothing of the verdicts. */
export function runLiveFrames(
  request: TestRequest,
  frames: FrameOptions,
  batchSize: number,
): TestResult | number {
  const { attr, call, program } = request
  using pool = new FramePool(call.core.arena, frames, batchSize)
  const targets = new FrameTargets(call.core, pool)
  const passed: XdpFrame[] = []
  let redirection: Redirection = { target: undefined }
  let left = Math.max(attr.repeat, 1)
  let inBatch = 0
  let failure = 0

  const endBatch = () => {
    targets.flush(redirection)
    for (const frame of passed.splice(0)) targets.pass(frame)
    targets.complete()
    targets.drain()
    redirection = { target: undefined }
    inBatch = 0
  }

  const result = repeatRun(request, () => {
    const frame = pool.take()
    if (frame === undefined) {
      failure = -ENOMEM
      return undefined
    }
    const verdict = targets.run(program.id, frame, 0, redirection)
    if (verdict === undefined) return undefined
    if (verdict === XDP_TX) redirection.target = { kind: 'device', index: LOOPBACK }
    if (verdict === XDP_TX || verdict === XDP_REDIRECT) targets.redirect(frame, redirection)
    else if (verdict === XDP_PASS) passed.push(frame)
    else pool.give(frame)
    if (--left === 0 || ++inBatch === batchSize) endBatch()
    return 0n
  })
  return failure === 0 ? result : failure
}
