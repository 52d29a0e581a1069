export * from './arena.ts'
export * from './grace.ts'
export * from './packet-buffer.ts'
export * from './paged-memory.ts'
