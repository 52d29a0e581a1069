export { successors } from './control-flow.ts'
export type { KfuncCallFacts, ProgramFacts, ProvedFunction, SlotRange } from './facts.ts'
export { checkFields, type FieldFault } from './instruction-fields.ts'
export { isGplCompatible } from './license.ts'
export type { ProofObserver } from './observer.ts'
export type {
  AttachTarget,
  DescriptorEntry,
  FunctionInfo,
  LineRecord,
  MapSpec,
  NoMap,
  ProgramInput,
  SourceLine,
  TargetProgram,
} from './program.ts'
export { type Attacher, attachmentError } from './program-types/attach-program.ts'
export { type ProofVerdict, prove, type Statistics } from './prover.ts'
export { ProvingVerifier } from './proving-verifier.ts'
export { type FieldRecord, type RecordField, Records } from './records/records.ts'
export {
  explainRejection,
  type RegisterReport,
  type RejectionReport,
  type RelatedStep,
} from './report/explain.ts'
export { checkStructure, MOST_INSTRUCTIONS, type StructureInput } from './structure.ts'
export { StructureVerifier } from './structure-verifier.ts'
export { findSubprograms } from './subprograms.ts'
export * from './verdict.ts'
