export type * from './probe.ts'
export * from './target.ts'
