/**
 * Property tests draw the same examples on every run, so that a change is judged by its own faults and not by
 * luck. ANYBPF_SEED=n draws others; ANYBPF_SEED=random as many as there are runs.
 */
import { configureGlobal } from 'fast-check'

const wanted = process.env.ANYBPF_SEED ?? '1'
if (wanted !== 'random') configureGlobal({ seed: Number(wanted) })
