export * from './environment.ts'
export * from './interpreter.ts'
export { FUNCTION_BASE, functionAddress, type PreparedProgram, prepare } from './prepared.ts'
export { MAX_FRAMES, MAX_TAIL_CALLS, STACK_BYTES } from './run.ts'
