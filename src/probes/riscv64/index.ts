export { riscv64 } from './riscv64.ts'
