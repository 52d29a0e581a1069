export { Btf } from './btf.ts'
export * from './kinds.ts'
export type * from './types.ts'
