/** A binary heap of the open nodes of a shortest-path search, nearest first, over distances that the search keeps. */
export class DistanceHeap {
  readonly #distance: Float64Array
  readonly #heap: Int32Array
  /** Where a node stands in the heap; -1 while it does not. */
  readonly #place: Int32Array
  #size = 0

  constructor(distance: Float64Array) {
    this.#distance = distance
    this.#heap = new Int32Array(distance.length)
    this.#place = new Int32Array(distance.length)
  }

  /** Empties the heap. */
  reset(): void {
    this.#size = 0
    this.#place.fill(-1)
  }

  /** Takes the nearest node out, or returns -1. */
  pop(): number {
    if (this.#size === 0) return -1
    const heap = this.#heap
    const place = this.#place
    const distance = this.#distance
    const nearest = heap[0]!
    place[nearest] = -1
    const size = --this.#size
    if (size === 0) return nearest
    const leaf = heap[size]!
    const leafDistance = distance[leaf]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && distance[heap[child + 1]!]! < distance[heap[child]!]!) child++
      const below = heap[child]!
      if (distance[below]! >= leafDistance) break
      heap[at] = below
      place[below] = at
      at = child
    }
    heap[at] = leaf
    place[leaf] = at
    return nearest
  }

  /** Puts a node in, or moves it up after its distance fell. */
  update(node: number): void {
    const heap = this.#heap
    const place = this.#place
    const distance = this.#distance
    const nodeDistance = distance[node]!
    let at = place[node]!
    if (at < 0) at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]!
      if (distance[above]! <= nodeDistance) break
      heap[at] = above
      place[above] = at
      at = parent
    }
    heap[at] = node
    place[node] = at
  }
}
