/// <reference lib="esnext.disposable" preserve="true" />
export type { AbortSignalLike } from './abort.ts'
export type { AttachOptions } from './attach.ts'
export {
  attachIterator,
  type CgroupOrder,
  type IteratorAttachment,
  type IteratorScope,
} from './attach-iterator.ts'
export { attachKprobe, type KprobeAttachment, type KprobeTarget } from './attach-kprobe.ts'
export {
  attachKprobeMulti,
  type KprobeMultiAttachment,
  type KprobeMultiTarget,
} from './attach-kprobe-multi.ts'
export { attachKsyscall, type KsyscallAttachment, type KsyscallTarget } from './attach-ksyscall.ts'
export {
  attachPerfEvent,
  type PerfEventAttachment,
  type PerfEventPlace,
  softwareEventName,
} from './attach-perf-event.ts'
export {
  attachToPlace,
  type ChainNeighbour,
  type ChainPosition,
  type Place,
  type PlaceAttachment,
  type XdpMode,
} from './attach-place.ts'
export {
  attachRawTracepoint,
  attachTracepoint,
  type RawTracepointAttachment,
  type TracepointAttachment,
} from './attach-tracepoint.ts'
export { attachTracing, type TracingAttachment, type TracingTarget } from './attach-tracing.ts'
export { attachUprobe, type UprobeAttachment, type UprobeTarget } from './attach-uprobe.ts'
export { attachUprobeMulti, type UprobeMultiAttachment } from './attach-uprobe-multi.ts'
export { type BtfCodecOptions, type BtfValue, btfCodec } from './btf-codec.ts'
export { createMap } from './calls.ts'
export * from './codec.ts'
export { Collection, Links } from './collection.ts'
export * from './errors.ts'
export * from './features.ts'
export { Globals } from './globals.ts'
export { IteratorReader } from './iterator.ts'
export { kernelName } from './kernel-name.ts'
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
export { MappedArena } from './mapped-arena.ts'
export { type OfflineKernel, type OfflineProgram, offlineProgram } from './offline-program.ts'
export { PerfReader, type PerfReaderOptions } from './perf-buffer.ts'
export { possibleCpuCount } from './possible-cpus.ts'
export { Program, type TestRun, type TestRunResult } from './program.ts'
export { readTextFile } from './read-file.ts'
export { guessRecordType, type RecordType, recordType } from './record-types.ts'
export { type RingBufferOptions, RingBufferReader, recordsOf } from './ring-buffer.ts'
export * from './skeleton/index.ts'
export * from './spec/index.ts'
export { openObject as open } from './spec/index.ts'
export { StructOps } from './struct-ops.ts'
export type { StructOpsChanges, StructOpsFunction, StructOpsPlan } from './struct-ops-plan.ts'
export { TracePipe } from './trace-pipe.ts'
export { attachUsdt, type UsdtAttachment, type UsdtTarget } from './usdt/attach-usdt.ts'
export { readUsdtNotes, type UsdtNote } from './usdt/notes.ts'
export { parseVerifierLog, type SourceLine, type VerifierReport } from './verifier-report.ts'
