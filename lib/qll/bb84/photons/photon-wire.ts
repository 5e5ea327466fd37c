/**
 * What travels between a side and its devices where these are in another process: the side asks, the devices answer with
 * the bytes of `encodeRecords` in pieces, and say when the light goes and comes. Each message begins with its type.
 */
export const PHOTONS = {
  /** The side: the next block, please. */
  next: 1,
  /** The devices: a piece of the records, and more to come. */
  piece: 2,
  /** The devices: the last piece. */
  last: 3,
  /** The devices: why no light comes through, as text; empty when it does. */
  light: 4,
} as const

/** Largest piece, in bytes. */
export const PIECE_BYTES = 512 * 1024

/** Largest records of one block, in bytes: some ten million clicks. */
export const MAX_RECORDS_BYTES = 64 * 1024 * 1024
