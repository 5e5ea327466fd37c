import { EpochKey } from '../../../key/epoch-key.ts'
import type { PostgresClient } from '../../../util/postgres-client.ts'
import type { SlotFile } from '../slot-file.ts'

const NAME = 'epoch'

type Places = Pick<SlotFile, 'putOwnKey' | 'erase'>
const NOWHERE: Places = { putOwnKey: async () => 0, erase: async () => {} }

/**
 * The epoch key as this host keeps it: in a place of its slot file, which is overwritten once the next one is there. The
 * key encryption key and the database together open nothing that was sealed under an epoch before it.
 */
export class HostKey {
  readonly #slots: Places
  #current: EpochKey
  #slot: number
  #advancing: Promise<void> = Promise.resolve()

  private constructor(slots: Places, current: EpochKey, slot: number) {
    this.#slots = slots
    this.#current = current
    this.#slot = slot
  }

  /** The key of this host; undefined where it has none yet. */
  static async find(slots: SlotFile): Promise<HostKey | undefined> {
    const found: HostKey[] = []
    for (const { slot, key } of await slots.ownKeys(NAME)) {
      found.push(new HostKey(slots, EpochKey.restore(key), slot))
      key.wipe()
    }
    // A crash in the middle of a step leaves two: the later one counts.
    const [latest, ...earlier] = found.sort((a, b) => b.epoch - a.epoch)
    for (const one of earlier) {
      await slots.erase(one.#slot)
      one.wipe()
    }
    return latest
  }

  /** The first key of a new store. */
  static async create(slots: SlotFile): Promise<HostKey> {
    const first = EpochKey.first()
    return new HostKey(slots, first, await store(slots, first))
  }

  /** The same key in memory alone, for who only looks: as it goes on, the host keeps what it has. The caller wipes it. */
  inMemory(): HostKey {
    const secret = this.#current.stored()
    try {
      return new HostKey(NOWHERE, EpochKey.restore(secret), 0)
    } finally {
      secret.wipe()
    }
  }

  get epoch(): number {
    return this.#current.epoch
  }

  /** The key in use; stays this one's. */
  get current(): EpochKey {
    return this.#current
  }

  /**
   * Goes on to an epoch that was seen in the database. The server that shows it may be the only one that has it, and a standby
   * that takes over without it needs the key before: so the row is written as it stands, and the answer waits for the standby.
   */
  async follow(client: PostgresClient, { siteId, epoch }: { siteId: string; epoch: number }): Promise<void> {
    if (epoch <= this.epoch) return
    const rows = await client.write(
      'update qkd_site set key_epoch = key_epoch where site_id = $1 and key_epoch = $2 returning key_epoch',
      [siteId, epoch],
    )
    if (rows.length > 0) await this.advanceTo(epoch)
  }

  /** Goes on to that epoch, durably, and destroys the keys before it. One that is behind changes nothing. */
  advanceTo(epoch: number): Promise<void> {
    const turn = this.#advancing.then(() => this.#advance(epoch))
    this.#advancing = turn.catch(() => {})
    return turn
  }

  async #advance(epoch: number): Promise<void> {
    if (epoch <= this.epoch) return
    let key = this.#current.next()
    while (key.epoch < epoch) {
      const next = key.next()
      key.wipe()
      key = next
    }
    const slot = await store(this.#slots, key)
    const before = { slot: this.#slot, key: this.#current }
    this.#slot = slot
    this.#current = key
    before.key.wipe()
    await this.#slots.erase(before.slot)
  }

  wipe(): void {
    this.#current.wipe()
  }
}

async function store(slots: Places, key: EpochKey): Promise<number> {
  const secret = key.stored()
  try {
    return await slots.putOwnKey(NAME, secret)
  } finally {
    secret.wipe()
  }
}
