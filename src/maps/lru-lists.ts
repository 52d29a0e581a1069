/**
 * Which element of a full LRU map has to go: Linux's approximation of least-recently-used, which decides the
 * same evictions from the same history.
 *
 * A node is always on one list. In the common form, free nodes pass from one shared set of lists to a CPU's
 * own free list in batches, and what a CPU inserts waits on its own pending list; when that CPU next needs a
 * batch, its pending nodes enter the shared lists, *active* when they were looked up meanwhile, else
 * *inactive*. Before each batch the lists are aged: if there are fewer inactive than active nodes, the oldest
 * active ones that were not looked up become inactive; inactive ones that were looked up become active. Then
 * the oldest inactive nodes are evicted. With BPF_F_NO_COMMON_LRU each CPU has a whole set of lists for itself
 * and no batches.
 *
 * Source: the behaviour of kernel/bpf/bpf_lru_list.c of Linux, as the oracle test compares it.
 */

const BATCH_MOST = 128
const SCAN_COMMON = 128
const OWN_BATCH = 4
const SCAN_OWN = 4

const ACTIVE = 0
const INACTIVE = 1
const FREE = 2
const LOCAL_FREE = 3
const PENDING = 4

/** What the lists ask of the map. */
export interface LruOwner {
  isReferenced(node: number): boolean
  clearReferenced(node: number): void
  /** Removes the node's element from the table; false where it is not in it. */
  evict(node: number): boolean
}

/** ACTIVE, INACTIVE and FREE with what ageing needs to know of them. */
interface ListSet {
  /** Heads of the three lists. */
  readonly heads: readonly [number, number, number]
  /** Nodes on ACTIVE and INACTIVE. */
  readonly counts: [number, number]
  /** Where the next look through INACTIVE begins. */
  hand: number
}

export class LruLists {
  readonly #owner: LruOwner
  readonly #cpuCount: number
  readonly #batch: number
  readonly #scan: number
  /** Circular lists; a head's own links come after the nodes'. */
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #kind: Uint8Array
  readonly #cpu: Uint16Array
  /** One shared set, or one for each CPU. */
  readonly #sets: ListSet[] = []
  readonly #isCommon: boolean
  readonly #localFree: number[] = []
  readonly #pending: number[] = []
  /** For each CPU, whose local lists it robs next. */
  readonly #robNext: number[] = []

  constructor(owner: LruOwner, nodeCount: number, cpuCount: number, isCommon: boolean) {
    this.#owner = owner
    this.#cpuCount = cpuCount
    this.#isCommon = isCommon
    const headCount = isCommon ? 3 + 2 * cpuCount : 3 * cpuCount
    this.#next = new Int32Array(nodeCount + headCount)
    this.#previous = new Int32Array(nodeCount + headCount)
    this.#kind = new Uint8Array(nodeCount).fill(FREE)
    this.#cpu = new Uint16Array(nodeCount)
    let head = nodeCount
    const list = () => {
      this.#next[head] = head
      this.#previous[head] = head
      return head++
    }
    const set = (): ListSet => {
      const heads = [list(), list(), list()] as const
      return { heads, counts: [0, 0], hand: heads[INACTIVE] }
    }
    if (isCommon) {
      this.#sets.push(set())
      for (let cpu = 0; cpu < cpuCount; cpu++) {
        this.#localFree.push(list())
        this.#pending.push(list())
        this.#robNext.push(cpu)
      }
    } else {
      for (let cpu = 0; cpu < cpuCount; cpu++) this.#sets.push(set())
    }
    this.#batch = Math.min(Math.max(Math.floor(nodeCount / cpuCount / 2), 1), BATCH_MOST)
    this.#scan = isCommon ? SCAN_COMMON : SCAN_OWN
    const share = Math.max(1, Math.floor(nodeCount / cpuCount))
    for (let cpu = 0; cpu < this.#sets.length; cpu++) {
      const isLast = cpu === this.#sets.length - 1
      this.#makeFree(cpu, cpu * share, isLast ? nodeCount : Math.min(nodeCount, (cpu + 1) * share))
    }
  }

  /** Nodes that are on no list yet, the last of them youngest. */
  #makeFree(cpu: number, from: number, to: number): void {
    if (from >= to) return
    const next = this.#next
    const previous = this.#previous
    const head = this.#setOf(cpu).heads[FREE]
    for (let node = from; node < to; node++) {
      next[node] = node - 1
      previous[node] = node + 1
    }
    next[from] = head
    previous[head] = from
    previous[to - 1] = head
    next[head] = to - 1
    this.#cpu.fill(cpu, from, to)
  }

  /** A node for a new element of `cpu`, evicting others where none is free; -1 where all are busy. */
  take(cpu: number): number {
    return this.#isCommon ? this.#takeCommon(cpu) : this.#takeOwn(cpu)
  }

  /** Gives a node back whose element is gone. */
  give(node: number): void {
    const cpu = this.#cpu[node] as number
    if (this.#kind[node] === PENDING) {
      this.#kind[node] = LOCAL_FREE
      this.#owner.clearReferenced(node)
      this.#move(node, this.#localFree[cpu] as number)
      return
    }
    this.#moveWithin(this.#setOf(this.#isCommon ? 0 : cpu), node, FREE)
  }

  #setOf(cpu: number): ListSet {
    return this.#sets[this.#isCommon ? 0 : cpu] as ListSet
  }

  #takeCommon(cpu: number): number {
    const free = this.#localFree[cpu] as number
    let node = this.#popFirst(free)
    if (node < 0) {
      this.#fetchBatch(cpu)
      node = this.#popFirst(free)
    }
    if (node < 0) node = this.#rob(cpu)
    if (node < 0) return -1
    this.#cpu[node] = cpu
    this.#kind[node] = PENDING
    this.#owner.clearReferenced(node)
    this.#insert(node, this.#pending[cpu] as number)
    return node
  }

  /** Takes from the local lists of the CPUs in turn, this one included. */
  #rob(cpu: number): number {
    const first = this.#robNext[cpu] as number
    let victim = first
    let node: number
    do {
      node = this.#popFirst(this.#localFree[victim] as number)
      if (node < 0) node = this.#popPending(victim)
      victim = (victim + 1) % this.#cpuCount
    } while (node < 0 && victim !== first)
    this.#robNext[cpu] = victim
    return node
  }

  /** Evicts the oldest pending node of a CPU, if possible one that was not looked up. */
  #popPending(cpu: number): number {
    const head = this.#pending[cpu] as number
    for (const force of [false, true]) {
      for (let node = this.#before(head); node !== head; node = this.#before(node)) {
        if ((force || !this.#owner.isReferenced(node)) && this.#owner.evict(node)) {
          this.#remove(node)
          return node
        }
      }
    }
    return -1
  }

  /** Moves a CPU's pending nodes to the shared lists, ages these, and brings it a batch of free nodes. */
  #fetchBatch(cpu: number): void {
    const set = this.#setOf(0)
    const pending = this.#pending[cpu] as number
    for (let node = this.#before(pending); node !== pending; ) {
      const before = this.#before(node)
      const target = this.#owner.isReferenced(node) ? ACTIVE : INACTIVE
      set.counts[target]++
      this.#kind[node] = target
      this.#owner.clearReferenced(node)
      this.#move(node, set.heads[target])
      node = before
    }
    this.#age(set)
    const localFree = this.#localFree[cpu] as number
    let count = 0
    const free = set.heads[FREE]
    for (let node = this.#after(free); node !== free && count < this.#batch; count++) {
      const after = this.#after(node)
      this.#moveToFree(set, node, localFree, LOCAL_FREE)
      node = after
    }
    if (count < this.#batch) this.#shrink(set, this.#batch - count, localFree, LOCAL_FREE)
  }

  #takeOwn(cpu: number): number {
    const set = this.#setOf(cpu)
    this.#age(set)
    const free = set.heads[FREE]
    if (this.#after(free) === free) this.#shrink(set, OWN_BATCH, free, FREE)
    const node = this.#after(free)
    if (node === free) return -1
    this.#moveWithin(set, node, INACTIVE)
    return node
  }

  #age(set: ListSet): void {
    if (set.counts[INACTIVE] < set.counts[ACTIVE]) this.#ageActive(set)
    this.#ageInactive(set)
  }

  #ageActive(set: ListSet): void {
    const head = set.heads[ACTIVE]
    const youngest = this.#after(head)
    let scanned = 0
    for (let node = this.#before(head); node !== head; ) {
      const before = this.#before(node)
      this.#moveWithin(set, node, this.#owner.isReferenced(node) ? ACTIVE : INACTIVE)
      if (++scanned === this.#scan || node === youngest) break
      node = before
    }
  }

  #ageInactive(set: ListSet): void {
    const head = set.heads[INACTIVE]
    if (this.#after(head) === head) return
    let last = this.#after(set.hand)
    if (last === head) last = this.#after(last)
    let node = set.hand
    let next = head
    for (let scanned = 0; scanned < this.#scan; ) {
      if (node === head) {
        node = this.#before(node)
        continue
      }
      next = this.#before(node)
      if (this.#owner.isReferenced(node)) this.#moveWithin(set, node, ACTIVE)
      if (node === last) break
      node = next
      scanned++
    }
    set.hand = next
  }

  /** Evicts up to `wanted` inactive nodes to a free list; at least one if any can go. */
  #shrink(set: ListSet, wanted: number, freeList: number, freeKind: number): void {
    const head = set.heads[INACTIVE]
    let evicted = 0
    let scanned = 0
    for (let node = this.#before(head); node !== head; ) {
      const before = this.#before(node)
      if (this.#owner.isReferenced(node)) {
        this.#moveWithin(set, node, ACTIVE)
      } else if (this.#owner.evict(node)) {
        this.#moveToFree(set, node, freeList, freeKind)
        if (++evicted === wanted) break
      }
      if (++scanned === this.#scan) break
      node = before
    }
    if (evicted > 0) return
    const forced = this.#after(head) !== head ? head : set.heads[ACTIVE]
    for (let node = this.#before(forced); node !== forced; node = this.#before(node)) {
      if (!this.#owner.evict(node)) continue
      this.#moveToFree(set, node, freeList, freeKind)
      return
    }
  }

  #moveToFree(set: ListSet, node: number, freeList: number, freeKind: number): void {
    this.#stepHand(set, node)
    this.#uncount(set, node)
    this.#kind[node] = freeKind
    this.#move(node, freeList)
  }

  /** Moves to the young end of another list of the set, or of the same one. */
  #moveWithin(set: ListSet, node: number, target: typeof ACTIVE | typeof INACTIVE | typeof FREE): void {
    if (this.#kind[node] !== target) {
      this.#uncount(set, node)
      if (target !== FREE) set.counts[target]++
      this.#kind[node] = target
    }
    this.#owner.clearReferenced(node)
    this.#stepHand(set, node)
    this.#move(node, set.heads[target])
  }

  #uncount(set: ListSet, node: number): void {
    const kind = this.#kind[node]
    if (kind === ACTIVE || kind === INACTIVE) set.counts[kind]--
  }

  #stepHand(set: ListSet, node: number): void {
    if (set.hand === node) set.hand = this.#before(node)
  }

  #after(node: number): number {
    return this.#next[node] as number
  }

  #before(node: number): number {
    return this.#previous[node] as number
  }

  #popFirst(head: number): number {
    const node = this.#after(head)
    if (node === head) return -1
    this.#remove(node)
    return node
  }

  #move(node: number, head: number): void {
    this.#remove(node)
    this.#insert(node, head)
  }

  #insert(node: number, head: number): void {
    const after = this.#after(head)
    this.#next[node] = after
    this.#previous[node] = head
    this.#previous[after] = node
    this.#next[head] = node
  }

  #remove(node: number): void {
    const after = this.#after(node)
    const before = this.#before(node)
    this.#next[before] = after
    this.#previous[after] = before
  }
}
