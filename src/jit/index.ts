export * from './compiled.ts'
export * from './environment.ts'
export type { JitFault } from './fault.ts'
export * from './jit.ts'
