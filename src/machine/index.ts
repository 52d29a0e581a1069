export { board, TIMEBASE_HZ } from './board.ts'
export type { Device } from './bus.ts'
export type { PropertyValue, TreeNode } from './firmware/device-tree.ts'
export { flattenDeviceTree } from './firmware/device-tree.ts'
export type { LoadError } from './firmware/loader.ts'
export type { SbiAnswer, SbiCall, SbiHandler } from './firmware/sbi.ts'
export { sbiError } from './firmware/sbi.ts'
export type { HartState, Privilege } from './hart.ts'
export { Hart, hartState, privilege } from './hart.ts'
export type {
  BreakpointHandler,
  CreateMachineResult,
  ExceptionHandler,
  MachineOptions,
  StopReason,
} from './machine.ts'
export { createMachine, INSTRUCTION_NS, Machine } from './machine.ts'
