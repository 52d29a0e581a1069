export { LinkError, type LinkErrorCode } from './error.ts'
export type { LinkInput } from './input.ts'
export { linkObjects } from './link.ts'
