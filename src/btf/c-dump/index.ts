export { dumpC } from './dump.ts'
