import type { IncomingMessage } from 'node:http'

const EMPTY = new Uint8Array(0)

/**
 * The whole body of a request; `too-large` as soon as that is sure, `cut-off` when the caller has gone. What is too large is
 * read on and dropped, so that the caller is there to hear why; the request timeout bounds that.
 */
export function readBody(incoming: IncomingMessage, limitBytes: number): Promise<Uint8Array | 'too-large' | 'cut-off'> {
  const { 'content-length': declared, 'transfer-encoding': coding } = incoming.headers
  if (coding === undefined && (declared === undefined || declared === '0')) {
    incoming.resume()
    return Promise.resolve(EMPTY)
  }
  if (declared !== undefined && Number(declared) > limitBytes) {
    incoming.resume()
    return Promise.resolve('too-large')
  }
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    incoming.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.byteLength
      if (sizeBytes <= limitBytes) chunks.push(chunk)
      else resolve('too-large')
    })
    incoming.once('end', () => resolve(joinAndWipe(chunks)))
    incoming.once('close', () => resolve('cut-off'))
  })
}

/** The body in one buffer; what it was put together from may hold keys of another domain. */
function joinAndWipe(chunks: readonly Buffer[]): Uint8Array {
  if (chunks.length === 1 && chunks[0]) return chunks[0]
  const body = Buffer.concat(chunks)
  for (const chunk of chunks) chunk.fill(0)
  return body
}
