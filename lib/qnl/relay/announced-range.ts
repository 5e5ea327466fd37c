import type { SecretKey } from '../../key/secret-key.ts'
import { type Joint, type JointContext, openJoint, rangeBytes } from './joint.ts'

/** At the destination of an announced block: from the range of the last link to that of the first, which is the material. */
export class AnnouncedRange {
  readonly #context: Omit<JointContext, 'place'>
  /** By the relay's place in the path; what came last counts, for a forged one must not keep the right one out. */
  readonly #joints = new Map<number, Joint>()
  #range: SecretKey | undefined
  /** Link of which `#range` is. */
  #link: number

  constructor(context: Omit<JointContext, 'place'>) {
    this.#context = context
    this.#link = context.path.length - 1
  }

  /** The range of the last link has come; false where it is not what this waits for. */
  reserve(range: SecretKey): boolean {
    const awaited = this.#range === undefined && this.#link === this.#context.path.length - 1
    if (!awaited || range.sizeBytes !== rangeBytes(this.#link)) return false
    this.#range = range
    return true
  }

  /** A relay's announcement; false where none stands at that place. */
  announce(place: number, joint: Joint): boolean {
    if (place < 1 || place >= this.#context.path.length - 1) return false
    this.#joints.set(place, joint)
    return true
  }

  /**
   * The material, once all is there; the caller owns it. `altered` where an announcement is not its relay's: it is thrown
   * away, and the right one may still come.
   */
  open(): SecretKey | 'more' | 'altered' {
    while (this.#range !== undefined && this.#link > 1) {
      const place = this.#link - 1
      const joint = this.#joints.get(place)
      if (joint === undefined) return 'more'
      this.#joints.delete(place)
      const before = openJoint(this.#range, joint, { ...this.#context, place })
      if (before === undefined) return 'altered'
      this.#range = before
      this.#link = place
    }
    const material = this.#range
    this.#range = undefined
    return material ?? 'more'
  }

  wipe(): void {
    this.#range?.wipe()
    this.#range = undefined
    this.#joints.clear()
  }
}
