/** Network devices, and frames that come to where they were sent, in a form that can be compared. */

/** A device that live frames come in by, and another one. */
export interface Devices {
  readonly ingress: number
  readonly other: number
  /** What went up the network stack from the first, and what left by either, since the last time. */
  arrived(): Arrived
}

export interface Arrived {
  readonly passed: readonly Frame[]
  readonly left: readonly Frame[]
}

export interface Frame {
  readonly lengthBytes: number
  /** The first ones. */
  readonly bytes: Uint8Array
}

/** As many bytes of a frame are looked at. */
export const SHOWN_BYTES = 40
/** An experimental protocol, to which nobody listens. A frame says behind it what was to become of it. */
export const PROTOCOL = [0x88, 0xb5] as const

/** Undefined for a frame that is too short to say so. */
export function verdictOf({ bytes }: Frame): number | undefined {
  const at = Buffer.from(bytes).indexOf(Uint8Array.from(PROTOCOL))
  return at < 0 ? undefined : bytes[at + PROTOCOL.length]
}

export const showFrame = ({ lengthBytes, bytes }: Frame): string =>
  `${lengthBytes} ${Buffer.from(bytes.subarray(0, lengthBytes)).toString('hex')}`

/** Where nothing arrives. */
export const noDevices: Devices = { ingress: 1, other: 1, arrived: () => ({ passed: [], left: [] }) }
