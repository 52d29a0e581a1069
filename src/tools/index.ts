/// <reference lib="esnext.disposable" preserve="true" />
export { syscallNames } from './syscall-names.ts'
export * from './syscount.ts'
