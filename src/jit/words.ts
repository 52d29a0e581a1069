/** 64-bit values in memory that is seen as words of 32 bits, the low one first. */
export function setWords(words: Uint32Array, at: number, value: bigint): void {
  words[at] = lowWord(value)
  words[at + 1] = highWord(value)
}

/** Signed, as is the high one. */
export const lowWord = (value: bigint): number => Number(value & 0xffff_ffffn) | 0
export const highWord = (value: bigint): number => Number((value >> 32n) & 0xffff_ffffn) | 0

export function wordsAt(words: Uint32Array, at: number): bigint {
  const low = words[at] as number
  const high = words[at + 1] as number
  // What most programs give is no number to be made.
  if (low === 0 && high === 0) return 0n
  return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low)
}
