/// <reference lib="esnext.disposable" preserve="true" />
export { ProbeManager } from './manager.ts'
export type * from './probe.ts'
export * from './target.ts'
