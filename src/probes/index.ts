export { ProbeManager } from './manager.ts'
export type * from './probe.ts'
export * from './target.ts'
