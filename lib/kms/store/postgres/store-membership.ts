import { StoreError } from '../../../errors.ts'
import { RowMac } from '../../../key/row-mac.ts'
import type { PostgresClient } from '../../../util/postgres-client.ts'
import type { SlotFile } from '../slot-file.ts'
import { HostKey } from './host-key.ts'

/** What the rows of a store are checked by, as each of its hosts has it. */
export interface Membership {
  readonly mac: RowMac
  readonly hostKey: HostKey
}

const CHECKED = Buffer.from('qkdkit/1 store')

/**
 * The keys of this host for the site's store. The first host of a new store draws them; every other one must have been
 * given its slot file by a host that had it.
 * @throws {StoreError} the store is not new and this host has no keys for it, or those of another one
 */
export async function joinStore(client: PostgresClient, siteId: string, slots: SlotFile): Promise<Membership> {
  await client.write('insert into qkd_site (site_id) values ($1) on conflict do nothing', [siteId])
  const found = await HostKey.find(slots)
  const check = await rowCheck(client, siteId)
  if (found === undefined && check !== undefined) throw notGiven(siteId)
  const hostKey = found ?? (await HostKey.create(slots))
  try {
    const rowKey = await slots.ownKey('rows')
    const mac = new RowMac(rowKey)
    rowKey.wipe()
    const own = mac.protect(CHECKED, Buffer.from(siteId))
    if (check === undefined) {
      // Of two first hosts that start at once one has drawn keys for nothing, and finds them refused below.
      await client.write(
        'update qkd_site set row_check = $2, key_epoch = $3 where site_id = $1 and row_check is null',
        [siteId, own, hostKey.epoch],
      )
    }
    if (!own.equals((await rowCheck(client, siteId)) ?? Buffer.alloc(0))) throw notGiven(siteId)
    return { mac, hostKey }
  } catch (error) {
    hostKey.wipe()
    throw error
  }
}

async function rowCheck(client: PostgresClient, siteId: string): Promise<Buffer | undefined> {
  const [row] = await client.query('select row_check from qkd_site where site_id = $1', [siteId])
  return (row?.row_check as Buffer | null) ?? undefined
}

function notGiven(siteId: string): StoreError {
  return new StoreError(
    `The database has a store of site ${siteId} already, and this host has no keys for it: copy slots.bin, and the key encryption key, from the directory of a replica that runs`,
  )
}
