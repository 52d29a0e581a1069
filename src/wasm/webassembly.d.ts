/**
 * The part of the WebAssembly JavaScript API that this project uses, so that the core compiles without the
 * DOM library. Source: https://www.w3.org/TR/wasm-js-api-2/
 */
declare namespace WebAssembly {
  interface MemoryDescriptor {
    /** Pages of 65,536 bytes. */
    initial: number
    maximum?: number
    shared?: boolean
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor)
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
  class Table {
    constructor(descriptor: { element: 'anyfunc'; initial: number; maximum?: number })
    readonly length: number
    get(index: number): unknown
    set(index: number, value: unknown): void
    grow(delta: number): number
  }
  class Global {
    constructor(descriptor: { value: 'i32' | 'i64' | 'f32' | 'f64'; mutable?: boolean }, value?: unknown)
    value: unknown
  }
  class Module {
    constructor(bytes: Uint8Array | ArrayBuffer)
  }
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>)
    readonly exports: Record<string, unknown>
  }
  class RuntimeError extends Error {}
  class CompileError extends Error {}
  class LinkError extends Error {}
  function compile(bytes: Uint8Array | ArrayBuffer): Promise<Module>
  function validate(bytes: Uint8Array | ArrayBuffer): boolean
}
