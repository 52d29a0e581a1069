export * from './compiled.ts'
export * from './environment.ts'
export * from './jit.ts'
export { JitRun, type JitRunOptions } from './run.ts'
