import { InvalidArgumentError } from '../../errors.ts'
import type { KmeProfileName } from '../../etsi014/kme-profile.ts'
import { formatTarget } from '../../etsi014/target.ts'
import { createHttpsTransport } from '../../http/https-transport.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { requireInteger } from '../../util/deadline.ts'
import { requireSaeId } from '../../util/kms-arguments.ts'
import type { TlsCredentials } from '../../util/tls-credentials.ts'
import { type KmeFinding, KmeNotes } from './finding.ts'
import { checkKey } from './key-check.ts'
import { checkRefusals, type Inquiry, NOBODY } from './refusal-checks.ts'
import { checkStatus } from './status-check.ts'
import { suggestProfile } from './suggest-profile.ts'
import { checkStranger, checkTls } from './tls-checks.ts'

/** Options of `examineKme`. */
export interface ExamineKmeOptions extends TlsCredentials, AbortOptions {
  /** `https://host[:port][/prefix]`. */
  readonly baseUrl: string
  /** SAE ID of a host at the other site; without it the pool is not asked for. */
  readonly peerSaeId?: string
  /** Draws one key for `peerSaeId`, which is spent at the KME. Default false: nothing is consumed. */
  readonly takeKey?: boolean
  /** How long each answer may take, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
}

/** What was found out about a KME. */
export interface KmeExamination {
  readonly findings: readonly KmeFinding[]
  /** The compatibility profile under which a client of ours gets on with it. */
  readonly profile: KmeProfileName
}

/**
 * Looks at a KME of any make with what a host has: TLS, certificates, the identities in them, the status, and the shapes of
 * its refusals, against ETSI GS QKD 014 V1.1.1. Consumes nothing unless `takeKey` says so. What can't be reached or read
 * becomes a finding.
 * @throws {InvalidArgumentError} an option is wrong
 */
export async function examineKme(options: ExamineKmeOptions): Promise<KmeExamination> {
  const { baseUrl, peerSaeId, takeKey = false, signal = new AbortController().signal } = options
  const timeoutMs = requireInteger('timeoutMs', options.timeoutMs ?? 5_000, { min: 1, max: 600_000 })
  if (peerSaeId !== undefined) requireSaeId('peerSaeId', peerSaeId)
  else if (takeKey) throw new InvalidArgumentError('A key is drawn for an SAE of the other site: name it')
  await using transport = createHttpsTransport({
    ...options,
    timeoutMs,
    connectTimeoutMs: timeoutMs,
    maxConnections: 1,
  })
  const url = new URL(baseUrl)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const address = { host, port: Number(url.port || 443), credentials: options, timeoutMs, signal }
  const notes = new KmeNotes()
  const look = await checkTls(notes, address)
  if (look !== undefined) {
    const prefix = url.pathname.replace(/\/+$/, '')
    await checkStranger(notes, address, prefix + formatTarget('status', peerSaeId ?? NOBODY))
    const inquiry: Inquiry = { transport, notes, peerSaeId, signal }
    try {
      const status = await checkStatus(inquiry, look.identity)
      await checkRefusals(inquiry)
      if (takeKey && peerSaeId !== undefined) await checkKey(inquiry, peerSaeId, status)
    } catch (error) {
      signal.throwIfAborted()
      const told = `The KME does not answer: ${(error as Error).message}`
      notes.fault(
        'status',
        'ERR_QKD_KME_UNREACHABLE',
        told,
        'See what the KME logs of it; the certificate may be refused',
      )
    }
  }
  return { findings: notes.findings, profile: suggestProfile(notes.traits) }
}
