import { createReadStream, watchFile } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import {
  type AuditLine,
  type AuditVerdict,
  ConfigError,
  type ProvenanceVerdict,
  verifyAudit,
  verifyProvenance,
} from '../../lib/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

const file = { type: 'string', demandOption: true, describe: 'The audit log of a site' } as const

const verifyCommand = defineCommand({
  command: 'verify <files..>',
  describe: 'Check that every line of an audit log follows from the one before, and with --provenance who signed it',
  repeatable: ['files'],
  builder: yargs =>
    yargs
      .positional('files', { ...file, array: true, describe: 'Audit logs, each of one site' })
      .option('link', {
        type: 'string',
        requiresArg: true,
        describe: 'Hash of the last line as it was kept elsewhere: a log without that line fails',
      })
      .option('provenance', {
        type: 'boolean',
        default: false,
        describe: 'Check the signatures of the site too, and that every key lies in a block whose way is told',
      })
      .option('key', {
        type: 'string',
        requiresArg: true,
        implies: 'provenance',
        describe:
          'PEM file of who must have signed: certificate of the site or of its authority, or a public key (ML-DSA-65)',
      })
      .option('signed-after', {
        type: 'string',
        requiresArg: true,
        implies: 'provenance',
        describe: 'Fail where the last signature is older, as 2026-11-23T12:00Z: the end of the log may be missing',
      })
      .example(
        '$0 audit verify --provenance --key sites-ca.pem site-a.log site-b.log',
        'says of each how far it is signed, by whom, and how many blocks and keys it tells of',
      )
      .example(
        '$0 audit verify audit.log',
        'says how many lines there are, and the hash of the last to keep elsewhere',
      ),
  handler: async ({ files, link, json, provenance, key, signedAfter }) => {
    if (provenance && link !== undefined) throw usageError('--link and --provenance are two ways; take one')
    if (link !== undefined && files.length > 1) throw usageError('--link is about one log; name one')
    const check = provenance ? await provenanceCheck(key, signedAfter) : (path: string) => verifyChain(path, link)
    const verdicts: Record<string, unknown>[] = []
    for (const path of files) {
      const { verdict, words } = await check(path)
      verdicts.push({ file: path, ...verdict })
      if (!json) await printLines(words)
    }
    if (json) await printJson(files.length === 1 ? without('file', verdicts[0]!) : verdicts)
  },
})

interface Checked {
  readonly verdict: AuditVerdict
  readonly words: string
}

async function verifyChain(path: string, link: string | undefined): Promise<Checked> {
  const links = new Set<string>()
  const verdict = await verifyAudit(path, { onLine: line => link !== undefined && links.add(line.follows) })
  links.add(verdict.link)
  refuseFault(path, verdict)
  if (link !== undefined && !links.has(link))
    throw new ConfigError(`${path}: no line has the hash ${link}: the end of the log is missing, or it is another one`)
  const words = `${path}: ${verdict.lines} lines, each follows from the one before; the last has the hash ${verdict.link}`
  return { verdict, words }
}

async function provenanceCheck(
  keyFile: string | undefined,
  signedAfter: string | undefined,
): Promise<(path: string) => Promise<Checked>> {
  const key = keyFile === undefined ? {} : { key: await readFile(keyFile, 'utf8') }
  const afterMs = timeOf('signed-after', signedAfter)
  return async path => {
    const verdict = await verifyProvenance(path, key)
    refuseFault(path, verdict)
    if (afterMs !== undefined && Date.parse(verdict.signedAt!) < afterMs)
      throw new ConfigError(`${path}: was signed last at ${verdict.signedAt}: its end may be missing`)
    return { verdict, words: describeProvenance(path, verdict) }
  }
}

function refuseFault(path: string, { fault, lines }: AuditVerdict): void {
  if (fault === undefined) return
  throw new ConfigError(`${path}:${fault.line}: ${fault.message}; the ${lines} lines before it hold`, {
    details: [{ file: path, ...fault }],
  })
}

function describeProvenance(path: string, verdict: ProvenanceVerdict): string {
  const { lines, signedLines, signedAt, signer, checkpoints, blocks, keys, keysWithoutOrigin, siteId } = verdict
  const unknown = keysWithoutOrigin === 0 ? '' : `; of ${keysWithoutOrigin} keys it is not told where they come from`
  return [
    `${path}: ${lines} lines of ${siteId}, of which ${signedLines} are signed, the last time at ${signedAt}`,
    `  ${checkpoints} checkpoints, by the key with SHA-256 ${signer}`,
    `  ${blocks} blocks, ${keys} keys${unknown}`,
  ].join('\n')
}

function without(name: string, { [name]: _, ...rest }: Record<string, unknown>): Record<string, unknown> {
  return rest
}

const tailCommand = defineCommand({
  command: 'tail <file>',
  describe: 'Print the last lines of an audit log, and with --follow those that come',
  builder: yargs =>
    yargs
      .positional('file', file)
      .option('lines', { type: 'number', default: 10, requiresArg: true, describe: 'How many lines' })
      .option('follow', { type: 'boolean', default: false, describe: 'Go on until Ctrl-C' }),
  handler: async ({ file: path, lines: count, follow, json }) => {
    if (!Number.isInteger(count) || count < 0) throw usageError(`--lines ${count} is no number of lines`)
    const stopped = stopSignal()
    const { text, end } = await lastLines(path, count)
    const show = (lines: string) => printLines(json ? lines.trimEnd() : describeAll(lines))
    if (text !== '') await show(text)
    if (follow) await followFrom(path, end, { show, stopped })
  },
})

const exportCommand = defineCommand({
  command: 'export <file>',
  describe: 'Print what an audit log says of some hosts or some time, as JSON lines; the log is verified on the way',
  builder: yargs =>
    yargs
      .positional('file', file)
      .option('sae', { type: 'string', requiresArg: true, describe: 'Lines that name this host' })
      .option('since', { type: 'string', requiresArg: true, describe: 'From this time on, as 2026-11-23T12:00Z' })
      .option('until', { type: 'string', requiresArg: true, describe: 'Before this time' })
      .example('$0 audit export audit.log --sae alice --since 2026-11-23T00:00Z', 'what alice was given and refused'),
  handler: async ({ file: path, sae, since, until }) => {
    const [from, to] = [timeOf('since', since) ?? -Infinity, timeOf('until', until) ?? Infinity]
    const found: string[] = []
    const verdict = await verifyAudit(path, {
      onLine: line => {
        const at = Date.parse(line.at)
        const saes = [line.masterSaeId, line.slaveSaeId, ...(line.additionalSlaveSaeIds ?? [])]
        const named = sae === undefined || saes.includes(sae)
        if (named && at >= from && at < to) found.push(JSON.stringify(line))
      },
    })
    if (found.length > 0) await printLines(found.join('\n'))
    if (verdict.fault !== undefined)
      throw new ConfigError(`${path}:${verdict.fault.line}: ${verdict.fault.message}; what follows was not read`)
  },
})

/** `qkd audit`: what a site decided, and that nobody changed it. */
export const auditCommands = defineGroup('audit', 'Read and verify the audit log of a site', [
  verifyCommand,
  tailCommand,
  exportCommand,
])

function timeOf(option: string, text: string | undefined): number | undefined {
  const time = text === undefined ? undefined : Date.parse(text)
  if (Number.isNaN(time)) throw usageError(`--${option} ${text} is no time; write it as 2026-11-23T12:00Z`)
  return time
}

/** The last lines of a file, and where it ends. Lines of an audit log have at most 64 KiB. */
async function lastLines(path: string, count: number): Promise<{ text: string; end: number }> {
  const { size } = await stat(path)
  const handle = await open(path)
  try {
    let text = ''
    let from = size
    while (from > 0 && text.split('\n').length <= count + 1) {
      const length = Math.min(65_536, from)
      from -= length
      const chunk = Buffer.alloc(length)
      await handle.read(chunk, 0, length, from)
      text = chunk.toString('latin1') + text
    }
    const lines = Buffer.from(text, 'latin1').toString().split('\n').slice(0, -1)
    return { text: count === 0 ? '' : lines.slice(-count).join('\n'), end: size }
  } finally {
    await handle.close()
  }
}

async function followFrom(
  path: string,
  start: number,
  { show, stopped }: { show: (lines: string) => Promise<void>; stopped: Promise<unknown> },
): Promise<void> {
  let at = start
  let rest = ''
  const read = async () => {
    for await (const chunk of createReadStream(path, { start: at, encoding: 'utf8' })) {
      at += Buffer.byteLength(chunk as string)
      rest += chunk
    }
    const end = rest.lastIndexOf('\n')
    if (end >= 0) await show(rest.slice(0, end))
    rest = rest.slice(end + 1)
  }
  let reading = read()
  const watcher = watchFile(path, { interval: 200 }, () => {
    reading = reading.then(read)
  })
  await stopped
  watcher.unref()
  await reading
}

function describeAll(lines: string): string {
  return lines
    .split('\n')
    .map(line => describeLine(JSON.parse(line) as AuditLine))
    .join('\n')
}

function describeLine(line: AuditLine): string {
  const { at, event, outcome, masterSaeId, slaveSaeId, additionalSlaveSaeIds = [], keyIds, level, rule, reason } = line
  const place = line.block === undefined ? '' : ` ${line.block} for ${line.peerSiteId}`
  const others = additionalSlaveSaeIds.filter(saeId => saeId !== slaveSaeId)
  const who = masterSaeId === undefined ? '' : ` ${masterSaeId} to ${[slaveSaeId, ...others].join(', ')}`
  const what =
    keyIds === undefined
      ? ''
      : ` ${keyIds.length === 1 ? keyIds[0] : `${keyIds.length} keys`} (${level ?? line.receipt?.use})`
  const why = reason === undefined ? '' : `: ${reason}`
  return `${at} ${event}${place}${who}${what} ${outcome}${rule === undefined ? '' : ` by rule "${rule}"`}${why}`
}
