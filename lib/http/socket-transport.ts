import { request as httpRequest, type IncomingMessage } from 'node:http'
import { ClosedError, KmeUnreachableError } from '../errors.ts'
import type { HttpClientRequest, HttpResponse, HttpTransport } from '../interface/http.ts'

const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The way to a server at a unix socket of this machine. A connection for each request. */
export function createSocketTransport({ path }: { readonly path: string }): HttpTransport {
  let closed = false
  const close = async () => {
    closed = true
  }
  return {
    request: async request => {
      if (closed) throw new ClosedError()
      return await send(path, request)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function send(socketPath: string, { method, target, headers, body, signal }: HttpClientRequest): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    let sent = false
    const fail = (error: NodeJS.ErrnoException) => {
      if (signal?.aborted) return reject(signal.reason)
      const why = error.code === 'ENOENT' ? 'there is no such socket: is the site running?' : error.message
      reject(new KmeUnreachableError(`${socketPath}: ${why}`, { cause: error, details: [{ sent }] }))
    }
    const options = {
      socketPath,
      method,
      path: target,
      headers: { ...headers },
      agent: false,
      ...(signal && { signal }),
    }
    const outgoing = httpRequest(options, answer => {
      readAnswer(answer).then(read => resolve({ status: answer.statusCode ?? 0, headers: {}, body: read }), fail)
    })
    outgoing.once('socket', socket =>
      socket.once('connect', () => {
        sent = true
      }),
    )
    outgoing.once('error', fail)
    outgoing.end(body)
  })
}

async function readAnswer(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength
    if (sizeBytes > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
