import { createHash, createHmac, randomBytes } from 'node:crypto'

/** What goes into an Access-Request. */
export interface AccessRequestFields {
  readonly id?: number
  readonly user?: string
  readonly password?: string
  readonly authenticator?: Buffer
  /** With a Message-Authenticator, as its last attribute. */
  readonly isAuthenticated?: boolean
}

/** An Access-Request under the empty secret, as a KDC writes it. */
export function accessRequest({
  id = 1,
  user = 'bob@A.QKD',
  password = 'password',
  authenticator = randomBytes(16),
  isAuthenticated = false,
}: AccessRequestFields): Buffer {
  const attribute = (type: number, value: Buffer) => Buffer.concat([Buffer.of(type, value.byteLength + 2), value])
  const attributes = [
    attribute(1, Buffer.from(user)),
    attribute(2, hide(password, authenticator)),
    attribute(32, Buffer.from('kdc')),
    ...(isAuthenticated ? [attribute(80, Buffer.alloc(16))] : []),
  ]
  const packet = Buffer.concat([Buffer.of(1, id, 0, 0), authenticator, ...attributes])
  packet.writeUInt16BE(packet.byteLength, 2)
  if (isAuthenticated)
    createHmac('md5', '')
      .update(packet)
      .digest()
      .copy(packet, packet.byteLength - 16)
  return packet
}

function hide(password: string, authenticator: Buffer): Buffer {
  const hidden = Buffer.alloc(Math.ceil(password.length / 16) * 16)
  hidden.write(password)
  let last = authenticator
  for (let at = 0; at < hidden.byteLength; at += 16) {
    const mask = createHash('md5').update(last).digest()
    for (let i = 0; i < 16; i += 1) hidden[at + i]! ^= mask[i]!
    last = hidden.subarray(at, at + 16)
  }
  return hidden
}
