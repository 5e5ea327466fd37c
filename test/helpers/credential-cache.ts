import { readFile } from 'node:fs/promises'
import { type Enctype, enctypeProfile } from '../../integrations/kerberos/enctype.ts'
import type { MessageName } from '../../integrations/kerberos/messages/common-fields.ts'
import type { TicketGrant } from '../../integrations/kerberos/messages/tgs-req.ts'
import { decodeTicket } from '../../integrations/kerberos/messages/ticket.ts'
import { SecretKey } from '../../lib/index.ts'

/** A ticket that a user holds, and for whom it is. */
export interface HeldTicket extends TicketGrant {
  /** As `krbtgt/B.QKD@A.QKD`. */
  readonly server: string
}

/** The tickets in a credential cache file of MIT Kerberos, version 4, without its configuration entries. */
export async function readCredentialCache(path: string): Promise<HeldTicket[]> {
  const reader = new CacheReader(await readFile(path))
  if (reader.number(2) !== 0x0504) throw new Error(`${path} is no credential cache of version 4`)
  reader.take(reader.number(2))
  reader.name()
  const tickets: HeldTicket[] = []
  while (!reader.ended) {
    const ticket = readCredential(reader)
    if (ticket !== undefined) tickets.push(ticket)
  }
  return tickets
}

function readCredential(reader: CacheReader): HeldTicket | undefined {
  const client = reader.name()
  const server = reader.name()
  const enctype = reader.number(2)
  const key = reader.take(reader.number(4))
  // Four times, whether the session key is a user's, flags.
  reader.take(4 * 4 + 1 + 4)
  for (let lists = 0; lists < 2; lists += 1) {
    for (let left = reader.number(4); left > 0; left -= 1) {
      reader.take(2)
      reader.take(reader.number(4))
    }
  }
  const ticket = reader.take(reader.number(4))
  reader.take(reader.number(4))
  if (server.realm === 'X-CACHECONF:') return undefined
  const sessionKey = { enctype: enctypeProfile(enctype).enctype as Enctype, secret: SecretKey.copyOf(key) }
  return { client, server: `${server.components.join('/')}@${server.realm}`, ticket: decodeTicket(ticket), sessionKey }
}

class CacheReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.byteLength
  }

  take(sizeBytes: number): Buffer {
    this.#at += sizeBytes
    return this.#bytes.subarray(this.#at - sizeBytes, this.#at)
  }

  number(sizeBytes: number): number {
    return this.take(sizeBytes).readUIntBE(0, sizeBytes)
  }

  name(): MessageName {
    const type = this.number(4)
    const count = this.number(4)
    const realm = this.take(this.number(4)).toString()
    const components = Array.from({ length: count }, () => this.take(this.number(4)).toString())
    return { nameType: type, components, realm }
  }
}
