/**
 * The globals beyond the language that the core may use, since Node and every browser have them: tsconfig.core.json
 * checks it with these and without the types of either.
 */
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>
}
declare class TextDecoder {
  constructor(label?: string, options?: { readonly fatal?: boolean; readonly ignoreBOM?: boolean })
  decode(bytes?: Uint8Array, options?: { readonly stream?: boolean }): string
}
declare function setTimeout(handler: () => void, milliseconds: number): unknown
declare function clearTimeout(timer: unknown): void
declare function atob(text: string): string
declare function btoa(bytes: string): string
