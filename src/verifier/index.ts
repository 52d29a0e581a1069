export { successors } from './control-flow.ts'
export { checkFields, type FieldFault } from './instruction-fields.ts'
export type {
  AttachTarget,
  DescriptorEntry,
  FunctionInfo,
  MapSpec,
  ProgramInput,
  SourceLine,
} from './program.ts'
export { type ProofVerdict, prove, type Statistics } from './prover.ts'
export { explainRejection, type RegisterReport, type RejectionReport } from './report.ts'
export { checkStructure, MOST_INSTRUCTIONS } from './structure.ts'
export { StructureVerifier } from './structure-verifier.ts'
export { findSubprograms } from './subprograms.ts'
export * from './verdict.ts'
