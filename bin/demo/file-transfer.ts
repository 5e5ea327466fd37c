import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect, createServer, formatIdentity, type QkdInfo, qkdInfo } from '../../integrations/tls/index.ts'
import { abortable, type Kms } from '../../lib/index.ts'
import { openWireTap, type WireTap } from './wire-tap.ts'

/** What came of sending one file. */
export interface FileTransfer {
  /** What Alice's end says of the session. */
  readonly session: QkdInfo
  /** The identity in Alice's ClientHello: it names the key. */
  readonly pskIdentity: string
  readonly sentSha256: string
  readonly receivedSha256: string
  readonly receivedBytes: number
  /** What an eavesdropper between the two hosts got. */
  readonly wire: {
    readonly byteCount: number
    /** True if the key's name was seen: it is no secret. */
    readonly sawKeyId: boolean
    /** True if the begin of the file was seen; undefined where it is too short to be told from chance. */
    readonly sawFile: boolean | undefined
  }
}

/** Who sends what to whom. */
export interface TransferOptions {
  readonly path: string
  readonly alice: Kms
  readonly bob: Kms
  readonly signal: AbortSignal
}

/** Bytes of the file that the eavesdropper looks for. */
const SAMPLE_BYTES = 32

/** Alice sends the file to Bob through a TLS 1.3 session under a key that each takes from the own KMS. */
export async function transferFile({ path, alice, bob, signal }: TransferOptions): Promise<FileTransfer> {
  const received = createHash('sha256')
  let receivedBytes = 0
  const server = createServer(bob, { peers: [{ saeId: alice.saeId }] })
  const arrived = new Promise<void>((resolve, reject) => {
    server.once('tlsClientError', reject)
    server.once('secureConnection', socket => {
      socket.on('error', reject)
      socket.on('data', (bytes: Buffer) => {
        received.update(bytes)
        receivedBytes += bytes.byteLength
      })
      socket.once('end', resolve)
    })
  })
  // Where Alice's side fails first, nobody waits for this one.
  arrived.catch(() => {})
  let tap: WireTap | undefined
  try {
    await once(server.listen(0, '127.0.0.1'), 'listening', { signal })
    tap = await openWireTap({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
    const socket = await connect(alice, { peerSaeId: bob.saeId, host: tap.host, port: tap.port, signal })
    const session = qkdInfo(socket)!
    const sent = createHash('sha256')
    const sample = new Sample()
    await pipeline(createReadStream(path), measure(sent, sample), socket, { signal })
    await abortable(arrived, { signal })
    return {
      session,
      pskIdentity: formatIdentity(session),
      sentSha256: sent.digest('hex'),
      receivedSha256: received.digest('hex'),
      receivedBytes,
      wire: {
        byteCount: tap.byteCount,
        sawKeyId: tap.saw(Buffer.from(session.keyId)),
        sawFile: sample.bytes.byteLength < SAMPLE_BYTES ? undefined : tap.saw(sample.bytes),
      },
    }
  } finally {
    await tap?.close()
    await new Promise(resolve => server.close(resolve))
  }
}

/** The first bytes of a stream. */
class Sample {
  bytes: Buffer = Buffer.alloc(0)

  add(chunk: Buffer): void {
    if (this.bytes.byteLength < SAMPLE_BYTES) this.bytes = Buffer.concat([this.bytes, chunk]).subarray(0, SAMPLE_BYTES)
  }
}

function measure(hash: Hash, sample: Sample): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      sample.add(chunk)
      done(null, chunk)
    },
  })
}
