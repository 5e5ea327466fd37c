import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { createEtsi014Handler } from '../../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../../lib/etsi014/sae-identity.ts'
import { createHttpsServer } from '../../../lib/http/https-server.ts'
import { createInProcessTransport } from '../../../lib/http/in-process-transport.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'
import { keysOf, REGISTERED, refusal, UNKNOWN_ID } from '../wires.ts'
import { askOver, type Checklist } from './checklist.ts'
import { expiredCredentials } from './expired-certificate.ts'
import type { Rows } from './rows.ts'
import { authority, credentialsOf } from './ways-in.ts'

const METHODS = ['bob/status', 'bob/enc_keys', `bob/dec_keys?key_ID=${UNKNOWN_ID}`]

/** The status line of an answer to a plain request, or the error by which TLS ended it. */
async function statusLine(url: string, options: ConnectionOptions): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca: authority.ca, ...options })
  let text = ''
  socket.on('data', chunk => {
    text += String(chunk)
  })
  socket.on('secureConnect', () => {
    socket.end('GET /api/v1/keys/bob/enc_keys HTTP/1.1\r\nhost: kme\r\nconnection: close\r\n\r\n')
  })
  try {
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.on('error', () => {})
    socket.destroy()
  }
  return text.split('\r\n')[0]!
}

/** What callers that must not get in show in TLS. */
async function strangers(): Promise<Record<string, ConnectionOptions>> {
  const rogue = createTestAuthority('Checklist CA').issue('alice')
  return {
    'no certificate': {},
    'a certificate of another authority of the same name': { key: rogue.key, cert: rogue.cert },
    'an expired certificate': await expiredCredentials('alice'),
  }
}

/** The same without TLS: nobody was verified. */
async function refusesUnverified({ sites, log }: Checklist): Promise<void> {
  const handler = createEtsi014Handler({ directory: sites.sites[0], saeIdentity: saeIdentifier(REGISTERED) })
  const ask = askOver(createInProcessTransport(handler, { identity: undefined }))
  for (const path of METHODS) expect(refusal(await ask(path), 401).json.message).to.match(/No client certificate/)
  expect(log.join('\n')).not.to.include('key":"')
}

async function refusesInTls({ kmes, sites }: Checklist): Promise<void> {
  const url = kmes[0].url!
  const { key, cert } = credentialsOf('alice')
  expect(await statusLine(url, { key, cert })).to.equal('HTTP/1.1 200 OK')
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  expect(await statusLine(url, { key, cert, ...old })).to.match(/^ERR_SSL|ECONNRESET/)
  for (const [what, options] of Object.entries(await strangers())) {
    expect(await statusLine(url, options), what).not.to.match(/^HTTP/)
  }
  // Where the KME wants to say it in words, callers get through TLS and no further.
  const saeIdentity = saeIdentifier(REGISTERED)
  const handler = createEtsi014Handler({ directory: sites.sites[0], saeIdentity })
  await using server = createHttpsServer({ ...credentialsOf('kme'), handler, clientCertificate: 'optional' })
  await server.listen()
  for (const [what, options] of Object.entries(await strangers())) {
    expect(await statusLine(server.url, options), what).to.equal('HTTP/1.1 401 Unauthorized')
  }
}

export const accessRows: Rows<Checklist> = {
  '45 without a valid certificate, and below TLS 1.2, nothing is answered': checklist =>
    checklist.way.name === 'mTLS' ? refusesInTls(checklist) : refusesUnverified(checklist),

  '46 a certified stranger gets 401 in JSON from every method': async ({ as }) => {
    for (const path of METHODS) expect(refusal(await as('sae-9')(path), 401).json.message).to.include('sae-9')
  },

  '48 keys are not to be stored, and never in log or trace': async checklist => {
    const { A, B, log, trace } = checklist
    const given = await A('bob/enc_keys?number=2')
    const ids = keysOf(given).map(({ key_ID }) => key_ID)
    const fetched = await B(`alice/dec_keys?key_ID=${ids[0]}`)
    refusal(await B(`alice/dec_keys?key_ID=${ids[0]}`))
    for (const { headers } of [given, fetched]) {
      expect(headers).to.include({ 'content-type': 'application/json', 'cache-control': 'no-store' })
    }
    expect(log).to.have.length.above(0)
    // The IDs stand in the trace, so it is of these very keys.
    for (const id of ids) expect(trace.join('\n')).to.include(id)
    for (const { key } of keysOf(given)) {
      const bytes = Buffer.from(key, 'base64')
      for (const shape of [key, bytes.toString('hex'), bytes.toString('base64url'), JSON.stringify([...bytes])]) {
        expect([...log, ...trace].join('\n')).not.to.include(shape)
      }
    }
  },

  '49 a large body, another type and another method are refused': async ({ A }) => {
    refusal(await A('bob/enc_keys', { body: `{"x":"${'y'.repeat(65_536)}"}` }), 413)
    refusal(await A('bob/enc_keys', { body: '{}', headers: { 'content-type': 'text/plain' } }), 415)
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      expect(refusal(await A('bob/enc_keys', { method }), 405).headers.allow).to.equal('GET, POST')
      expect(refusal(await A('bob/dec_keys', { method }), 405).headers.allow).to.equal('GET, POST')
      expect(refusal(await A('bob/status', { method }), 405).headers.allow).to.equal('GET')
    }
  },
}
