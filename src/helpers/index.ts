export * from './environment.ts'
export * from './prototype.ts'
