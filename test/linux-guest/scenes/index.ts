/** All that is told of two kernels. */
import { extendedScenes } from './extended.ts'
import { framesScenes, framesSince } from './frames.ts'
import { packetOutputScenes } from './packet-output.ts'
import { registersScenes } from './registers.ts'
import type { Scenes } from './scene.ts'
import { stackedScenes, stackedSince } from './stacked.ts'

export type { Stage, Told } from './scene.ts'

/** Programs of which the scenes need the objects, and those that other tests have, too. */
export const sceneObjects = ['stacked', 'packet-output', 'frames'] as const
export const sharedObjects = ['extended'] as const

export const scenes: Scenes = {
  ...stackedScenes,
  ...registersScenes,
  ...extendedScenes,
  ...packetOutputScenes,
  ...framesScenes,
}

/** The first Linux that plays a scene, as major * 1000 + minor; all others do. */
export const scenesSince: Readonly<Record<string, number>> = { ...stackedSince, ...framesSince }
