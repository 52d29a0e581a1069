/// <reference lib="esnext.disposable" preserve="true" />
export { EmbeddedPort, type GuestImage, readGuestImage } from './embedded-port.ts'
export { type CreateGuestResult, createGuest, Guest, type GuestOptions } from './guest.ts'
export { type BacktraceFrame, formatPanic, type GuestPanic } from './panic-report.ts'
export { TRACER_EXTENSION, TRACER_FD_BASE } from './tracer-calls.ts'
