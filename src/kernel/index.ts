/// <reference lib="esnext.disposable" preserve="true" />
export { createKernel } from './kernel.ts'
export type * from './port.ts'
export type * from './struct-ops/types.ts'
export type * from './types.ts'
