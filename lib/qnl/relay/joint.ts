import { lp, u64 } from '../../key/lp.ts'
import { ONE_TIME_TAG_KEY_BYTES, oneTimeTag, verifyOneTimeTag } from '../../key/one-time-pad.ts'
import { hideUnderPad, type PadPiece, partOf, showUnderPad } from '../../key/pad.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { MATERIAL_BYTES } from './transfer-key.ts'

/**
 * Relays that announce (rule L5). Each link of a path reserves a range of its key for one block. A relay knows the ranges of
 * its two links and says their XOR aloud; the destination knows the last range and so comes, announcement by announcement,
 * to the first, which is the key. Who reads the announcements alone learns nothing; who learns one range later learns all.
 *
 * The range of link i has the length of the key, then a key for the tag of the announcement before it, then pads that carry
 * the tag keys of those further up: 32 bytes more from link to link, so that every relay's word is proved to the destination
 * with one-time keys, whoever passes it on.
 */

/** What an announcement is for. */
export interface JointContext {
  readonly source: string
  readonly dest: string
  readonly transfer: bigint
  readonly path: readonly string[]
  /** Place of the relay in `path`. */
  readonly place: number
}

/** What a relay says of the ranges of its two links. */
export interface Joint {
  readonly joint: Uint8Array
  readonly tag: Uint8Array
}

/** Bytes of the range that link `link` of a path reserves, counted from 1. */
export function rangeBytes(link: number): number {
  return MATERIAL_BYTES + ONE_TIME_TAG_KEY_BYTES * (link - 1)
}

/** The announcement of a relay whose links have these ranges. Wipes both: from now on they open the block. */
export function joinRanges(before: SecretKey, after: SecretKey, context: JointContext): Joint {
  const { tagKey, pad } = partsOf(after)
  const joint = hideUnderPad([before], pad)
  const tag = oneTimeTag(tagKey, [wordsOf(context), joint])
  before.wipe()
  after.wipe()
  return { joint, tag }
}

/** The range before the relay, for who has the one after it; undefined, and nothing is wiped, where the tag is wrong. */
export function openJoint(after: SecretKey, { joint, tag }: Joint, context: JointContext): SecretKey | undefined {
  const { tagKey, pad } = partsOf(after)
  const fits = joint.byteLength === after.sizeBytes - ONE_TIME_TAG_KEY_BYTES
  if (!verifyOneTimeTag(tagKey, [wordsOf(context), joint], tag) || !fits) return undefined
  const [before] = showUnderPad(joint, pad, [joint.byteLength])
  after.wipe()
  return before
}

function partsOf(range: SecretKey): { tagKey: SecretKey; pad: PadPiece[] } {
  const restAt = MATERIAL_BYTES + ONE_TIME_TAG_KEY_BYTES
  return {
    tagKey: partOf(range, MATERIAL_BYTES, ONE_TIME_TAG_KEY_BYTES),
    pad: [
      { source: range, from: 0, sizeBytes: MATERIAL_BYTES },
      { source: range, from: restAt, sizeBytes: range.sizeBytes - restAt },
    ],
  }
}

function wordsOf({ source, dest, transfer, path, place }: JointContext): Uint8Array {
  return lp('qkdkit/1 joint', source, dest, u64(transfer), String(place), ...path)
}
