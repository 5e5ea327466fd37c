/** A ClientHello message with these extensions, or without the field for any. */
export function buildHello(extensions: readonly (readonly [type: number, body: Uint8Array])[] | undefined): Buffer {
  const parts = [Buffer.of(3, 3), Buffer.alloc(32), list(1), list(2, Buffer.of(0x13, 0x01)), list(1, Buffer.of(0))]
  if (extensions !== undefined) {
    parts.push(list(2, ...extensions.flatMap(([type, body]) => [Buffer.of(type >> 8, type & 0xff), list(2, body)])))
  }
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(1, 0, body.byteLength >> 8, body.byteLength & 0xff), body])
}

/** Body of a pre_shared_key extension; its binders prove nothing. */
export function offerOf(identities: readonly string[], binders = identities.length): Buffer {
  return Buffer.concat([
    list(2, ...identities.map(identity => Buffer.concat([list(2, Buffer.from(identity)), Buffer.alloc(4)]))),
    list(2, ...Array.from({ length: binders }, () => list(1, Buffer.alloc(32)))),
  ])
}

/** Bytes behind their length. */
export function list(lengthBytes: 1 | 2, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(body.byteLength, 0, lengthBytes)
  return Buffer.concat([length, body])
}
