import {
  createQkdError,
  examineKme,
  type KmeExamination,
  type KmeFinding,
  kmeProfiles,
  readKmeTlsFiles,
} from '../../lib/index.ts'
import { defineCommand, usageError } from '../command.ts'
import { printJson, printLines, sayIfLong, warn } from '../terminal.ts'

const MARKS: Readonly<Record<KmeFinding['state'], string>> = {
  ok: 'ok       ',
  note: 'note     ',
  deviation: 'DEVIATION',
  fault: 'FAULT    ',
}
const INDENT = ' '.repeat(10)
const OPTIONS = { cert: '--cert', key: '--key', pfx: '--pfx', passphraseFile: '--passphrase-file', ca: '--ca' } as const

/** `qkd kme doctor`: how far a KME keeps to the standard, and what we do about the rest. */
export const doctorCommand = defineCommand({
  command: 'doctor <url>',
  describe: 'Probe a KME: TLS, identities, status, the shapes of its refusals; says what deviates from ETSI 014',
  builder: yargs =>
    yargs
      .positional('url', { type: 'string', demandOption: true, describe: 'Base URL: https://host[:port][/prefix]' })
      .option('cert', { type: 'string', requiresArg: true, describe: 'Certificate of this host (PEM file)' })
      .option('key', { type: 'string', requiresArg: true, describe: 'Its private key (PEM file)' })
      .option('pfx', {
        alias: 'p12',
        type: 'string',
        requiresArg: true,
        describe: 'Certificate and key in one PKCS #12 file, in place of --cert and --key',
      })
      .option('passphrase-file', {
        type: 'string',
        requiresArg: true,
        describe: 'File whose first line is the passphrase of --pfx or --key',
      })
      .option('ca', {
        type: 'string',
        requiresArg: true,
        describe: 'Certificate authority of the KME (PEM file); with --pfx, default the authorities in that',
      })
      .option('peer', { type: 'string', requiresArg: true, describe: 'SAE ID of a host at the other site' })
      .option('take-key', {
        type: 'boolean',
        default: false,
        describe: 'Also draw one key for --peer, which is spent; without it nothing is consumed',
      })
      .option('timeout-ms', {
        type: 'number',
        requiresArg: true,
        default: 5_000,
        describe: 'How long to wait for each answer, in milliseconds',
      })
      .example('$0 kme doctor https://kme:8014 --cert sae.crt --key sae.key --ca ca.crt', 'consumes nothing')
      .example('$0 kme doctor https://kme:8014 --p12 sae.p12 --peer bob --take-key', 'with one key'),
  handler: async ({ url, peer, takeKey, timeoutMs, json, ...files }) => {
    if (takeKey && peer === undefined) throw usageError('--take-key draws a key for --peer: name the SAE')
    const { cert, key, pfx, passphraseFile, ca } = files
    const { tls, warnings } = await readKmeTlsFiles(
      { cert, key, pfx, passphraseFile, ca },
      { nameOf: field => OPTIONS[field] },
    )
    warn(warnings, { json })
    const examination = await sayIfLong(
      `asking ${url} …`,
      examineKme({ baseUrl: url, ...tls, takeKey, timeoutMs, ...(peer !== undefined && { peerSaeId: peer }) }),
    )
    await (json ? printJson(examination) : printLines(...describe(examination)))
    const fault = examination.findings.find(({ state }) => state === 'fault')
    if (fault?.code !== undefined) throw createQkdError(fault.code, `${fault.check}: ${fault.text}`)
  },
})

function describe({ findings, profile }: KmeExamination): string[] {
  const lines = findings.flatMap(({ check, state, text, remedy }) => {
    const line = `${MARKS[state]} ${check}: ${text}`
    return remedy === undefined ? [line] : [line, `${INDENT}-> ${remedy}`]
  })
  const { title, deviations } = kmeProfiles[profile]
  return [...lines, '', `profile: ${profile} (${title})`, ...deviations.map(deviation => `${INDENT}${deviation}`)]
}
