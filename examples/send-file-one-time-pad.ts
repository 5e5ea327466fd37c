// A file under a one-time pad, with a one-time MAC: npx tsx examples/send-file-one-time-pad.ts [file]
//
// No computing power opens or forges it: every bit goes under a bit of key of its own. So key runs out as fast as data flows;
// the sender makes sure of all of it before the first byte leaves, and says what it took.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { buffer } from 'node:stream/consumers'
import {
  createLocalPair,
  delay,
  type Kms,
  ONE_TIME_TAG_BYTES,
  ONE_TIME_TAG_KEY_BYTES,
  oneTimePad,
  oneTimeTag,
  PoolExhaustedError,
  type SecretKey,
  verifyOneTimeTag,
} from '../lib/index.ts'

/** Unit in which a pool is used up: what a key leaves of its last cell is lost, so the file is filled up to whole ones. */
const CELL_BYTES = 32
const HEAD_BYTES = 4

/** Alice's side: the whole message, or a refusal that has taken nothing. In clear: the size, and which keys. */
async function seal(kms: Kms, peer: string, file: Buffer): Promise<Buffer> {
  const plain = Buffer.alloc(Math.ceil(file.byteLength / CELL_BYTES) * CELL_BYTES)
  plain.set(file)
  const { maxKeySizeBits, maxKeyPerRequest } = await requireStock(kms, peer, ONE_TIME_TAG_KEY_BYTES + plain.byteLength)
  const keys: { keyId: string; secret: SecretKey }[] = []
  try {
    const draw = async (sizeBytes: number, number: number) => {
      const request = { level: 'one-time-pad', sizeBits: sizeBytes * 8 } as const
      for (let left = number; left > 0; left -= maxKeyPerRequest) {
        keys.push(...(await kms.getKey(peer, { ...request, number: Math.min(left, maxKeyPerRequest) })))
      }
    }
    const padBytes = maxKeySizeBits / 8
    await draw(ONE_TIME_TAG_KEY_BYTES, 1)
    await draw(padBytes, Math.floor(plain.byteLength / padBytes))
    if (plain.byteLength % padBytes > 0) await draw(plain.byteLength % padBytes, 1)
    const [tagKey, ...pads] = keys.map(({ secret }) => secret) as [SecretKey, ...SecretKey[]]
    const head = Buffer.from(JSON.stringify({ sizeBytes: file.byteLength, keyIds: keys.map(({ keyId }) => keyId) }))
    const hidden = underPads(pads, plain)
    const length = Buffer.alloc(HEAD_BYTES)
    length.writeUInt32BE(head.byteLength)
    return Buffer.concat([length, head, hidden, oneTimeTag(tagKey, [head, hidden])])
  } finally {
    for (const { secret } of keys) secret.wipe()
  }
}

/** Waits a little for the pool to fill; throws where there is not enough key, before any is taken. */
async function requireStock(kms: Kms, peer: string, neededBytes: number) {
  for (let attempt = 0; ; attempt += 1) {
    const status = await kms.getStatus(peer)
    const storedBytes = status.storedKeyCount * (status.keySizeBits / 8)
    if (storedBytes >= neededBytes) return status
    if (attempt === 40)
      throw new PoolExhaustedError(`It takes ${neededBytes} bytes of key, and there are ${storedBytes}`)
    await delay(50)
  }
}

/** Bob's side: the file, if it is Alice's and nobody has touched it. */
async function open(kms: Kms, peer: string, message: Buffer): Promise<Buffer> {
  const headEnd = HEAD_BYTES + message.readUInt32BE(0)
  const [head, tagAt] = [message.subarray(HEAD_BYTES, headEnd), message.byteLength - ONE_TIME_TAG_BYTES]
  const hidden = message.subarray(headEnd, tagAt)
  const { sizeBytes, keyIds } = JSON.parse(head.toString()) as { sizeBytes: number; keyIds: string[] }
  const { maxKeyPerRequest } = await kms.getStatus(peer)
  const secrets: SecretKey[] = []
  try {
    for (let at = 0; at < keyIds.length; at += maxKeyPerRequest) {
      const keys = await kms.getKeyWithIds(peer, keyIds.slice(at, at + maxKeyPerRequest))
      for (const { level, secret } of keys) {
        secrets.push(secret)
        // Expanded key would decrypt as well, and would be no pad.
        if (level !== 'one-time-pad') throw new Error(`The key is of the level ${level}`)
      }
    }
    const [tagKey, ...pads] = secrets as [SecretKey, ...SecretKey[]]
    if (!verifyOneTimeTag(tagKey, [head, hidden], message.subarray(tagAt))) throw new Error('The file was altered')
    return underPads(pads, hidden).subarray(0, sizeBytes)
  } finally {
    for (const secret of secrets) secret.wipe()
  }
}

/** Each pad over as many bytes as it has; they are used up. */
function underPads(pads: readonly SecretKey[], bytes: Buffer): Buffer {
  let at = 0
  const parts = pads.map(pad => {
    const part = bytes.subarray(at, at + pad.sizeBytes)
    at += pad.sizeBytes
    return oneTimePad(pad, part)
  })
  return Buffer.concat(parts)
}

const [siteA, siteB] = await createLocalPair()
const [alice, bob] = [siteA.kmsFor('alice'), siteB.kmsFor('bob')]

const consumed = { keys: 0, bits: 0 }
siteA.telemetry.subscribe(event => {
  if (event.type !== 'key-issued') return
  consumed.keys += 1
  consumed.bits += event.sizeBits
})

// Plain TCP: there is nothing in the message that an eavesdropper could use.
const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

/** Sends one file, or says why not. */
async function send(what: string, file: Buffer): Promise<void> {
  Object.assign(consumed, { keys: 0, bits: 0 })
  try {
    const message = await seal(alice, 'bob', file)
    const accepted = once(server, 'connection')
    connect({ port, host: '127.0.0.1' }).resume().end(message)
    const [socket] = await accepted
    const arrived = await buffer(socket)
    socket.end()
    const received = await open(bob, 'alice', arrived)
    console.log(`${what}: ${file.byteLength} bytes sent, the same arrived: ${received.equals(file)}`)
  } catch (error) {
    if (!(error instanceof PoolExhaustedError)) throw error
    console.log(`${what}: refused, nothing was sent. ${error.message}`)
  }
  console.log(`Consumed: ${consumed.keys} keys, ${consumed.bits} bits`)
}

const path = process.argv[2] ?? new URL('../README.md', import.meta.url)
await send(String(path).split('/').at(-1)!, await readFile(path))
await send('A film of 10 MB', Buffer.alloc(10_000_000))

server.close()
await Promise.all([siteA.close(), siteB.close()])
