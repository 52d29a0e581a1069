export * from './bodies.ts'
export * from './environment.ts'
export { readKernel } from './foreign-memory.ts'
export * from './prototype.ts'
