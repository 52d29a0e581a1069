/**
 * Ring buffers in WebAssembly: what `RingBuffer` does for programs that reserve and commit, on the same bytes.
 */
import {
  BPF_RB_FORCE_WAKEUP,
  BPF_RB_NO_WAKEUP,
  BPF_RINGBUF_BUSY_BIT,
  BPF_RINGBUF_DISCARD_BIT,
  BPF_RINGBUF_HDR_SZ,
  PAGE_SIZE,
} from '../../abi/index.ts'
import { SHADOW_POINTER } from '../../memory/index.ts'
import {
  block,
  br,
  brIf,
  type Code,
  type FunctionRef,
  i32,
  i64,
  type Local,
  label,
  load32,
  load64,
  loop,
  type ModuleBuilder,
  memory,
  ret,
  seq,
  store32,
  store64,
  when,
} from '../../wasm/index.ts'
import { mapHeader, roundUp } from '../layout.ts'
import { ringState } from '../ringbuf.ts'
import { shadowRange } from './bytes-code.ts'

const CONSUMER = PAGE_SIZE
const PRODUCER = 2 * PAGE_SIZE
const DATA = 3 * PAGE_SIZE
const LENGTH_MASK = BPF_RINGBUF_DISCARD_BIT - 1
const HEADER = BPF_RINGBUF_HDR_SZ

const roundUp8 = (value: Code<'i32'>) => i32.and(i32.add(value, i32.const(7)), i32.const(-8))

/**
 * reserve(): the record, or 0, of `sizeBytes` in the ring whose header is at `header` and that has `ringBytes`.
 */
export function reserveFunction(
  builder: ModuleBuilder,
  header: number,
  ringBytes: number,
  sizeBytes: number,
): FunctionRef<readonly [], 'i32'> {
  const reserve = builder.function(`reserve ${sizeBytes}`, [], 'i32')
  const length = roundUp(sizeBytes + HEADER, 8)
  const base = i32.const(header)
  const mask = ringBytes - 1
  const producer = reserve.local('i64')
  const after = reserve.local('i64')
  const pending = reserve.local('i64')
  const word = reserve.local('i32')
  const at = reserve.local('i32')
  const done = label('busy')
  const again = label('records')
  const { offsets } = ringState
  const dropped = seq(
    store64.full(base, i64.add(load64.full(base, offsets.dropped), i64.const(1n)), offsets.dropped),
    ret(i32.const(0)),
  )
  const place = (position: Local<'i64'>) =>
    i32.add(i32.and(i32.wrap_i64(position.get), i32.const(mask)), i32.const(header + DATA))
  const isTooFar = (from: Code<'i64'>) => i64.gt_u(i64.sub(after.get, from), i64.const(BigInt(mask)))
  reserve.body([
    when(i32.const(sizeBytes > LENGTH_MASK || length > ringBytes ? 1 : 0), dropped),
    producer.set(load64.full(base, PRODUCER)),
    after.set(i64.add(producer.get, i64.const(BigInt(length)))),
    pending.set(load64.full(base, offsets.pending)),
    block(
      done,
      loop(
        again,
        seq(
          brIf(done, i64.ge_u(pending.get, producer.get)),
          word.set(load32.full(place(pending))),
          brIf(done, i32.and(word.get, i32.const(BPF_RINGBUF_BUSY_BIT | 0))),
          pending.set(
            i64.add(
              pending.get,
              i64.extend_i32_u(
                roundUp8(i32.add(i32.and(word.get, i32.const(LENGTH_MASK)), i32.const(HEADER))),
              ),
            ),
          ),
          br(again),
        ),
      ),
    ),
    store64.full(base, pending.get, offsets.pending),
    // a consumer position from user space may be anything: never let it put a busy record at risk
    when(isTooFar(load64.full(base, CONSUMER)), dropped),
    when(isTooFar(pending.get), dropped),
    at.set(place(producer)),
    store32.full(at.get, i32.const(sizeBytes | BPF_RINGBUF_BUSY_BIT | 0)),
    store32.full(at.get, i32.shr_u(i32.sub(at.get, base), i32.const(12)), 4),
    store64.full(base, after.get, PRODUCER),
    shadowRange(
      i32.add(load32.full(i32.const(SHADOW_POINTER)), i32.shr_u(at.get, i32.const(3))),
      HEADER,
      sizeBytes,
      'write',
    ),
    i32.add(at.get, i32.const(HEADER)),
  ] as unknown as Code<'i32'>)
  return reserve
}

/**
 * commit(record, flags, extra): hands a reserved record to the reader (`extra` 0) or gives it up (the discard bit). The
 * record must be one, which a verifier has proved; `wake(header)` is called when the reader is to be told.
 */
export function commitFunction(
  builder: ModuleBuilder,
  wake: FunctionRef<readonly ['i32'], 'void'>,
): FunctionRef<readonly ['i32', 'i32', 'i32'], 'void'> {
  const commit = builder.function('commit', ['i32', 'i32', 'i32'], 'void')
  const [record, flags, extra] = commit.parameters
  const at = commit.local('i32')
  const ring = commit.local('i32')
  const size = commit.local('i32')
  const granule = commit.local('i32')
  const last = commit.local('i32')
  const mask = commit.local('i32')
  const again = label('granules')
  const data = i32.add(ring.get, i32.const(DATA))
  const dataEnd = i32.add(data, i32.add(mask.get, i32.const(1)))
  const recordEnd = i32.add(record.get, size.get)
  const shadow = load32.full(i32.const(SHADOW_POINTER))
  const has = (flag: bigint) => i32.and(flags.get, i32.const(Number(flag)))
  const isAwaited = i32.eq(i32.sub(at.get, data), i32.and(load32.full(ring.get, CONSUMER), mask.get))
  commit.body(
    seq(
      at.set(i32.sub(record.get, i32.const(HEADER))),
      ring.set(
        i32.sub(i32.and(at.get, i32.const(-PAGE_SIZE)), i32.shl(load32.full(at.get, 4), i32.const(12))),
      ),
      mask.set(load32.full(ring.get, mapHeader.offsets.mask)),
      size.set(i32.and(load32.full(at.get), i32.const(LENGTH_MASK))),
      granule.set(i32.add(shadow, i32.shr_u(record.get, i32.const(3)))),
      last.set(i32.add(granule.get, i32.shr_u(i32.add(size.get, i32.const(7)), i32.const(3)))),
      loop(
        again,
        when(
          i32.lt_u(granule.get, last.get),
          seq(
            store32.low8(granule.get, i32.const(0)),
            granule.set(i32.add(granule.get, i32.const(1))),
            br(again),
          ),
        ),
      ),
      when(i32.gt_u(recordEnd, dataEnd), memory.copy(data, dataEnd, i32.sub(recordEnd, dataEnd))),
      store32.full(at.get, i32.or(size.get, extra.get)),
      when(
        i32.or(has(BPF_RB_FORCE_WAKEUP), i32.and(i32.eqz(has(BPF_RB_NO_WAKEUP)), isAwaited)),
        wake.call(ring.get),
      ),
    ),
  )
  return commit
}
