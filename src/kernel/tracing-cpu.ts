/** One CPU, for the tracing programs that run there: whether one does now, and where their contexts lie. */
import type { Arena } from '../memory/index.ts'
import type { StoppedCpu } from '../probes/index.ts'
import { CALL_BYTES, CALL_HEADER_BYTES, type FunctionCall, writeCall } from './function-call.ts'
import type { RegisterBytes, RegisterLayout } from './registers.ts'

/** The CPU's registers in the arena. */
interface RegisterContext extends RegisterBytes {
  /** The arena's memory as it was shown when this was made. */
  readonly memory: DataView
}

export class TracingCpu {
  /** Whether a tracing program is running: no other may then. */
  isActive = false
  readonly #arena: Arena
  readonly #layout: RegisterLayout | undefined
  /** Offset of its struct pt_regs. */
  #registersAt: number | undefined
  #registers: RegisterContext | undefined
  /** Offset of the arguments of the call that it is at. */
  #callAt: number | undefined

  constructor(arena: Arena, layout: RegisterLayout | undefined) {
    this.#arena = arena
    this.#layout = layout
  }

  /** Where programs find the registers; undefined without memory, and where nothing is known of the architecture's. */
  registersAddress(): bigint | undefined {
    const layout = this.#layout
    if (layout === undefined) return undefined
    this.#registersAt ??= this.#arena.allocate(layout.sizeBytes, { access: 'read' })
    return this.#registersAt === undefined ? undefined : this.#arena.address(this.#registersAt)
  }

  /** Where programs find the arguments of the traced call; undefined without memory. */
  callAddress(): bigint | undefined {
    if (this.#callAt === undefined) {
      const block = this.#arena.allocate(CALL_BYTES, { access: 'read' })
      if (block === undefined) return undefined
      this.#callAt = block + CALL_HEADER_BYTES
    }
    return this.#arena.address(this.#callAt)
  }

  /** The registers as they stand now. Only where `registersAddress` has given one. */
  writeRegisters(cpu: StoppedCpu): void {
    // The arena's memory is shown anew as it grows.
    const known = this.#registers
    const registers = known?.memory === this.#arena.view ? known : this.#showRegisters()
    this.#layout?.write(cpu, registers)
  }

  /** Only where `callAddress` has given one. */
  writeCall(call: FunctionCall): void {
    writeCall(this.#arena.view, this.#callAt as number, call)
  }

  #showRegisters(): RegisterContext {
    const { sizeBytes, copiedBytes } = this.#layout as RegisterLayout
    const { buffer } = this.#arena.bytes
    const offset = this.#registersAt as number
    this.#registers = {
      memory: this.#arena.view,
      view: new DataView(buffer, offset, sizeBytes),
      copied: new Uint8Array(buffer, offset, copiedBytes),
    }
    return this.#registers
  }
}
