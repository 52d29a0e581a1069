export * from './bodies.ts'
export * from './environment.ts'
export * from './prototype.ts'
export { readKernel } from './foreign-memory.ts'
