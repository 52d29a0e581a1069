export * from './arena.ts'
export * from './grace.ts'
