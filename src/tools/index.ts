export { syscallNames } from './syscall-names.ts'
export * from './syscount.ts'
