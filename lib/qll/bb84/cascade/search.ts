/**
 * Who decides which blocks of a frame are compared next. Both sides run the same search over the same answers, so the
 * questions need not be sent: only one parity each.
 */
export interface CascadeSearch {
  /** Blocks whose parities are to be compared next; empty when the frame is done. */
  questions(): readonly number[]
  /** Takes what the comparison of each block showed, EVEN or ODD, in the order of the questions. */
  answer(errors: ArrayLike<number>): void
}
