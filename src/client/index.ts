/// <reference lib="esnext.disposable" preserve="true" />
export type { AbortSignalLike } from './abort.ts'
export { attachKprobe, type KprobeAttachment, type KprobeTarget } from './attach-kprobe.ts'
export {
  attachRawTracepoint,
  attachTracepoint,
  type RawTracepointAttachment,
  type TracepointAttachment,
} from './attach-tracepoint.ts'
export { attachUprobe, type UprobeAttachment, type UprobeTarget } from './attach-uprobe.ts'
export { type BtfCodecOptions, type BtfValue, btfCodec } from './btf-codec.ts'
export * from './codec.ts'
export { Collection, Links } from './collection.ts'
export * from './errors.ts'
export { Globals } from './globals.ts'
export * from './kernel-objects.ts'
export * from './keyless-maps.ts'
export type { Link } from './link.ts'
export { load } from './load.ts'
export { typeName } from './load-maps.ts'
export type { LoadOptions } from './load-options.ts'
export { BpfMap, type IterationEnd, isPerCpu } from './map.ts'
export * from './map-batch.ts'
export { MapHandle } from './map-handle.ts'
export { BpfMapOfMaps } from './map-of-maps.ts'
export { PerfReader, type PerfReaderOptions } from './perf-buffer.ts'
export { possibleCpuCount } from './possible-cpus.ts'
export { type AttachOptions, Program, type TestRun, type TestRunResult } from './program.ts'
export { guessRecordType, type RecordType, recordType } from './record-types.ts'
export { type RingBufferOptions, RingBufferReader, recordsOf } from './ring-buffer.ts'
export * from './skeleton/index.ts'
export * from './spec/index.ts'
export { openObject as open } from './spec/index.ts'
export { TracePipe } from './trace-pipe.ts'
