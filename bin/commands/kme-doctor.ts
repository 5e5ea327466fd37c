import { readFile } from 'node:fs/promises'
import {
  ConfigError,
  createQkdError,
  examineKme,
  type KmeExamination,
  type KmeFinding,
  kmeProfiles,
  type TlsCredentials,
} from '../../lib/index.ts'
import { defineCommand, usageError } from '../command.ts'
import { readPassword } from '../password.ts'
import { printJson, printLines, sayIfLong } from '../terminal.ts'

const MARKS: Readonly<Record<KmeFinding['state'], string>> = {
  ok: 'ok       ',
  note: 'note     ',
  deviation: 'DEVIATION',
  fault: 'FAULT    ',
}
const INDENT = ' '.repeat(10)

/** `qkd kme doctor`: how far a KME keeps to the standard, and what we do about the rest. */
export const doctorCommand = defineCommand({
  command: 'doctor <url>',
  describe: 'Probe a KME: TLS, identities, status, the shapes of its refusals; says what deviates from ETSI 014',
  builder: yargs =>
    yargs
      .positional('url', { type: 'string', demandOption: true, describe: 'Base URL: https://host[:port][/prefix]' })
      .option('cert', { type: 'string', requiresArg: true, describe: 'Certificate of this host (PEM file)' })
      .option('key', { type: 'string', requiresArg: true, describe: 'Its private key (PEM file)' })
      .option('p12', {
        type: 'string',
        requiresArg: true,
        describe: 'Both in one PKCS#12 file; its password is asked for, or the first line of standard input',
      })
      .option('ca', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Certificate authority of the KME (PEM file)',
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
      .example('$0 kme doctor https://kme:8014 --p12 sae.p12 --ca ca.crt --peer bob --take-key', 'with one key'),
  handler: async ({ url, peer, takeKey, timeoutMs, json, ...files }) => {
    if (takeKey && peer === undefined) throw usageError('--take-key draws a key for --peer: name the SAE')
    const credentials = await readCredentials(files)
    const examination = await sayIfLong(
      `asking ${url} …`,
      examineKme({ baseUrl: url, ...credentials, takeKey, timeoutMs, ...(peer !== undefined && { peerSaeId: peer }) }),
    )
    await (json ? printJson(examination) : printLines(...describe(examination)))
    const fault = examination.findings.find(({ state }) => state === 'fault')
    if (fault?.code !== undefined) throw createQkdError(fault.code, `${fault.check}: ${fault.text}`)
  },
})

interface CredentialFiles {
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly p12: string | undefined
  readonly ca: string
}

async function readCredentials({ cert, key, p12, ca }: CredentialFiles): Promise<TlsCredentials> {
  const pair = cert !== undefined && key !== undefined
  if (pair === (p12 !== undefined) || (p12 !== undefined && (cert ?? key) !== undefined)) {
    throw usageError('Say who this host is: --cert and --key, or --p12')
  }
  const authority = (await read('ca', ca)).toString('utf8')
  if (p12 !== undefined) {
    const pfx = await read('p12', p12)
    return { pfx, passphrase: await readPassword(`Password of ${p12}`), ca: authority }
  }
  return { cert: await read('cert', cert!), key: await read('key', key!), ca: authority }
}

async function read(option: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new ConfigError(`--${option}: can't read ${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}

function describe({ findings, profile }: KmeExamination): string[] {
  const lines = findings.flatMap(({ check, state, text, remedy }) => {
    const line = `${MARKS[state]} ${check}: ${text}`
    return remedy === undefined ? [line] : [line, `${INDENT}-> ${remedy}`]
  })
  const { title, deviations } = kmeProfiles[profile]
  return [...lines, '', `profile: ${profile} (${title})`, ...deviations.map(deviation => `${INDENT}${deviation}`)]
}
