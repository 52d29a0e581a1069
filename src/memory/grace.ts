/**
 * Grace periods: when memory that was unlinked may be used for something else.
 *
 * A program that looked a value up may hold its address until the run ends. So what a map unlinks goes to
 * `defer`, and the callback runs when no program that was running then is running any more. Runs may nest
 * (a program fires inside another's helper); the callbacks wait for the outermost one.
 */
export class Grace {
  #depth = 0
  #deferred: (() => void)[] = []

  /** A program begins to run on some CPU. Pair with `leave`, also when the run fails. */
  enter(): void {
    this.#depth++
  }

  leave(): void {
    if (this.#depth === 0) throw new Error('grace: leave without enter')
    if (--this.#depth > 0 || this.#deferred.length === 0) return
    const due = this.#deferred
    this.#deferred = []
    for (const callback of due) callback()
  }

  /** Whether a program is running now. */
  get isRunning(): boolean {
    return this.#depth > 0
  }

  /** Runs `callback` when no program that runs now can still hold what it saw: at once where none runs. */
  defer(callback: () => void): void {
    if (this.#depth === 0) callback()
    else this.#deferred.push(callback)
  }
}
