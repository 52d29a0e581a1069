/** How many registers a helper takes, by its prototype. */
import { helperById } from '../helpers/index.ts'

/** Its prototype names two arguments; the rest are what its format asks for. */
const TRACE_PRINTK = 6

/** 5 for a helper that is not known. */
export const argumentCountOf = (id: number): number =>
  id === TRACE_PRINTK ? 5 : (helperById(id)?.arguments.length ?? 5)
