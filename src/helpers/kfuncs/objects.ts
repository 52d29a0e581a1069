/**
 * Objects of the program's own types: allocated, shared, given back, kept in lists and trees.
 *
 * Source: kernel/bpf/helpers.c of Linux 6.18.
 */
import { EINVAL } from '../../abi/index.ts'
import { badMemory, failedCallback, failure } from '../access.ts'
import type { HelperEnvironment, HelperFault } from '../environment.ts'
import { endNode, LIST_HEAD_BYTES, LIST_NODE_BYTES, popNode, pushNode } from '../graph/list.ts'
import { addNode, childNode, removeNode, TREE_NODE_BYTES, TREE_ROOT_BYTES, treeEnd } from '../graph/tree.ts'
import type { KfuncBody, KfuncCall } from './row.ts'

export const objNew: KfuncBody = (env, { objectType }) =>
  objectType === undefined ? 0n : (env.objects?.create(objectType) ?? 0n)

export const objDrop: KfuncBody = (env, _call, r1) => {
  env.objects?.release(r1)
  return 0n
}

/** The object itself; null where it has no owner left. */
export const refcountAcquire: KfuncBody = (env, _call, r1) => (env.objects?.acquire(r1) === true ? r1 : 0n)

/** Offset of a range that a call works on, or a fault. */
function place(
  env: HelperEnvironment,
  argument: number,
  address: bigint,
  bytes: number,
): number | HelperFault {
  const at = env.arena.check(address, bytes, true)
  return at < 0 ? badMemory(argument, address, bytes, 'write') : at
}

/** What could not be put in has no owner any more. */
function dropNode(env: HelperEnvironment, { nodeOffset }: KfuncCall, node: bigint): bigint {
  env.objects?.release(node - BigInt(nodeOffset ?? 0))
  return failure(EINVAL)
}

const push =
  (atFront: boolean): KfuncBody =>
  (env, call, r1, r2) => {
    const head = place(env, 1, r1, LIST_HEAD_BYTES)
    if (typeof head !== 'number') return head
    const node = place(env, 2, r2, LIST_NODE_BYTES)
    if (typeof node !== 'number') return node
    return pushNode(env.arena, head, node, atFront) ? 0n : dropNode(env, call, r2)
  }

const atEnd =
  (find: typeof endNode, atFront: boolean): KfuncBody =>
  (env, _call, r1) => {
    const head = place(env, 1, r1, LIST_HEAD_BYTES)
    return typeof head === 'number' ? find(env.arena, head, atFront) : head
  }

export const listPushFront = push(true)
export const listPushBack = push(false)
export const listPopFront = atEnd(popNode, true)
export const listPopBack = atEnd(popNode, false)
export const listFront = atEnd(endNode, true)
export const listBack = atEnd(endNode, false)

export const treeAdd: KfuncBody = (env, call, r1, r2, r3) => {
  const root = place(env, 1, r1, TREE_ROOT_BYTES)
  if (typeof root !== 'number') return root
  const node = place(env, 2, r2, TREE_NODE_BYTES)
  if (typeof node !== 'number') return node
  const added = addNode(env.arena, root, node, (one, other) => env.callback(r3, one, other, 0n, 0n))
  if (added === undefined) return failedCallback(3, r3)
  return added ? 0n : dropNode(env, call, r2)
}

export const treeRemove: KfuncBody = (env, _call, r1, r2) => {
  const root = place(env, 1, r1, TREE_ROOT_BYTES)
  if (typeof root !== 'number') return root
  const node = place(env, 2, r2, TREE_NODE_BYTES)
  if (typeof node !== 'number') return node
  return removeNode(env.arena, root, node) ? r2 : 0n
}

const end =
  (which: 'first' | 'top'): KfuncBody =>
  (env, _call, r1) => {
    const root = place(env, 1, r1, TREE_ROOT_BYTES)
    return typeof root === 'number' ? treeEnd(env.arena, root, which) : root
  }

const child =
  (side: 'left' | 'right'): KfuncBody =>
  (env, _call, r1, r2) => {
    const root = place(env, 1, r1, TREE_ROOT_BYTES)
    if (typeof root !== 'number') return root
    const node = place(env, 2, r2, TREE_NODE_BYTES)
    return typeof node === 'number' ? childNode(env.arena, root, node, side) : node
  }

export const treeFirst = end('first')
export const treeRoot = end('top')
export const treeLeft = child('left')
export const treeRight = child('right')

/** An exception: the engines end all frames. */
export const throwException: KfuncBody = (_env, _call, r1) => ({ kind: 'throw', cookie: r1 })

/** A pointer that the verifier knows by another type from now on. */
export const same: KfuncBody = (_env, _call, r1) => r1
