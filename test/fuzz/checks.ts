/** What a refusal by the readers must hold. */
import { BtfError, type CoreError } from '../../src/btf/index.ts'
import type { LoadError, ObjectError, SkeletonError } from '../../src/client/index.ts'
import { ElfError } from '../../src/elf/index.ts'
import { checkMessage, Flaw } from './target.ts'

/** Errors that concern a file as a whole. */
const OF_THE_WHOLE = new Set([
  ...['not-elf', 'wrong-machine', 'not-relocatable', 'big-endian', 'stripped', 'no-programs'],
  ...['too-large', 'unknown-program'],
])

export function checkElfError(error: ElfError): string {
  const { offset } = error.place
  if (!Number.isInteger(offset) || offset < 0) throw new Flaw(`no place in ${error.message}`)
  return checkMessage(`elf ${error.code}`, error.message)
}

export function checkBtfError(error: BtfError): string {
  if (!Number.isInteger(error.offset) || error.offset < 0) throw new Flaw(`no place in ${error.message}`)
  return checkMessage(`btf ${error.code}`, error.message)
}

export function checkObjectError(error: ObjectError): string {
  const { cause, code, place } = error
  if (cause instanceof ElfError) return checkElfError(cause)
  if (cause instanceof BtfError) return checkBtfError(cause)
  const isPlaced = Object.values(place).some((part) => part !== undefined)
  if (!isPlaced && !OF_THE_WHOLE.has(code)) throw new Flaw(`no place in ${code}: ${error.message}`)
  return checkMessage(code, error.message)
}

export const checkCoreError = (error: CoreError): string => checkMessage(`core ${error.code}`, error.message)

export const checkLoadError = (error: LoadError): string => checkMessage(`load ${error.code}`, error.message)

export const checkSkeletonError = (error: SkeletonError): string => checkMessage('skeleton', error.message)
